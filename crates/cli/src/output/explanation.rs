//! Why an instance is where it is: for each datacenter the terms of its score, or the filter that removed it.

use kato_core::Timestamp;
use kato_proto::v1::{Candidate, Decision, ExplainResponse, Instance, Past, Quote};

use super::candidates::{
    candidate_latency, chosen_total, conflict, machine, name, offer_name, verdict,
};
use super::details::state;
use super::lists::offer_terms;
use super::plain;
use super::style::{BAD, STRONG, paint};
use super::table::Table;
use super::units::{moment, money, since};

/// The whole answer.
pub(crate) fn explanation(response: &ExplainResponse, now: Timestamp) -> String {
    let instance = response.instance.clone().unwrap_or_default();
    let mut text = match &response.past {
        Some(past) => past_place(&instance, past) + &kept_by(past),
        None => place(&instance, now),
    };
    let Some(decision) = &response.decision else {
        let none = "\nNo decision has been made for it yet.\n";
        return if response.past.is_some() { text } else { text + none };
    };
    // Ages are told of when it was so.
    let (now, when) = match &response.past {
        Some(_) => (Timestamp(decision.at_unix_ms), format!("at {}", moment(decision.at_unix_ms))),
        None => (now, format!("{} ago", since(decision.at_unix_ms, now))),
    };
    let rate = money(decision.latency_price_micros_per_ms_hour);
    text += &format!(
        "\nDecided {when}: the least of what it adds to what is paid and of its latency, at {rate} a millisecond and hour.\n",
    );
    let (feasible, removed): (Vec<&Candidate>, Vec<&Candidate>) =
        decision.candidates.iter().partition(|c| c.refusal.is_empty() || c.chosen > 0);
    if feasible.is_empty() {
        text += "No datacenter would do.\n";
    } else {
        text += &format!("\n{}", scores(&feasible));
    }
    text += &conflict(&response.conflict);
    if !removed.is_empty() {
        text += &format!("\nRemoved by a filter:\n{}", filters(&removed));
    }
    text + &prices(decision, now)
}

/// Whose table says so: those of others may say more.
fn kept_by(past: &Past) -> String {
    format!("by what the coordinator of {} has kept\n", plain(&past.kept_by))
}

/// Where it was, in a line or two.
fn past_place(instance: &Instance, past: &Past) -> String {
    let id = paint(STRONG, &plain(&instance.id));
    let at = moment(past.since_unix_ms);
    if past.deleted {
        return format!("{id} was deleted at {at}\n");
    }
    let until = match past.until_unix_ms {
        Some(until) => format!("until {}", moment(until)),
        None => "and nothing has been decided about it since".to_owned(),
    };
    if past.waited {
        return format!("{id} lost its place at {at}, and waited for another one, {until}\n");
    }
    if instance.unplaceable.is_empty() {
        let (datacenter, cell) = (plain(&instance.datacenter), plain(&instance.cell));
        return format!(
            "{id} was placed in {} ({cell}) at {at}, epoch {}, {until}\n",
            paint(STRONG, &datacenter),
            instance.epoch
        );
    }
    let why = plain(&instance.unplaceable);
    format!("{id}: {} at {at}, {until}: {why}\n", paint(BAD, "no place was found"))
}

/// Where it is now, in a line or two.
fn place(instance: &Instance, now: Timestamp) -> String {
    let id = paint(STRONG, &plain(&instance.id));
    let mut text = if instance.datacenter.is_empty() {
        format!("{id} has no place\n")
    } else {
        let machine = match instance.machine.as_str() {
            "" => format!("{}, no machine yet", instance.cell),
            machine => machine.to_owned(),
        };
        let (state, style) = state(instance.state());
        format!(
            "{id} was placed in {} ({}) {} ago, epoch {}: {}\n",
            paint(STRONG, &plain(&instance.datacenter)),
            plain(&machine),
            since(instance.placed_at_unix_ms, now),
            instance.epoch,
            paint(style, state),
        )
    };
    if !instance.unplaceable.is_empty() {
        text += &format!("{} {}\n", paint(BAD, "no place is found:"), plain(&instance.unplaceable));
    }
    text
}

/// Price and latency, in dollars, and their sum.
fn scores(candidates: &[&Candidate]) -> String {
    let quote = |pick: fn(&Quote) -> i64| {
        candidates.iter().map(move |c| c.quote.as_ref().map(pick)).collect::<Vec<_>>()
    };
    let chosen = chosen_total(candidates.iter().copied());
    let mut table = Table::new(candidates.len())
        .left("DATACENTER", candidates.iter().map(|c| name(c)))
        .money("PRICE $/H", quote(|q| q.price_micros_per_hour))
        .right("LATENCY", candidates.iter().map(|c| candidate_latency(c).into()))
        .money("ADDS $/H", quote(|q| q.adds_micros_per_hour))
        .money("+ LATENCY $/H", quote(|q| q.latency_micros_per_hour));
    for (heading, term) in [
        ("+ PREFERENCE $/H", (|q| q.preference_micros_per_hour) as fn(&Quote) -> i64),
        ("+ MOVING $/H", |q| q.moving_micros_per_hour),
    ] {
        // Most decisions have none of these.
        if quote(term).iter().any(|found| found.is_some_and(|micros| micros != 0)) {
            table = table.money(heading, quote(term));
        }
    }
    table
        .money("= TOTAL $/H", quote(|q| q.total_micros_per_hour))
        .left("", candidates.iter().map(|c| verdict(c, chosen)))
        .render()
}

fn filters(candidates: &[&Candidate]) -> String {
    Table::new(candidates.len())
        .left("DATACENTER", candidates.iter().map(|c| name(c)))
        .right("LATENCY", candidates.iter().map(|c| candidate_latency(c).into()))
        .left("WHY", candidates.iter().map(|c| c.refusal.as_str().into()))
        .render()
}

/// What the prices are of, where they were read, and how old they were when it was decided.
fn prices(decision: &Decision, now: Timestamp) -> String {
    let quoted: Vec<(&Candidate, &Quote)> =
        decision.candidates.iter().filter_map(|c| Some((c, c.quote.as_ref()?))).collect();
    if quoted.is_empty() {
        return String::new();
    }
    let offer = |quote: &Quote| quote.offer.clone().unwrap_or_default();
    let table = Table::new(quoted.len())
        .left("DATACENTER", quoted.iter().map(|(c, _)| name(c)))
        .left("OFFER", quoted.iter().map(|(_, q)| offer_name(q.offer.as_ref()).into()))
        .left(
            "REGION",
            quoted.iter().map(|(_, q)| format!("{} {}", offer(q).provider, offer(q).region).into()),
        )
        .left("MACHINE", quoted.iter().map(|(_, q)| machine(Some(q)).into()))
        .money(
            "WHOLE MACHINE $/H",
            quoted.iter().map(|(_, q)| Some(offer(q).price_micros_per_hour)),
        )
        .left("TERMS", quoted.iter().map(|(_, q)| offer_terms(&offer(q)).into()))
        .right(
            "PRICE READ",
            quoted.iter().map(|(_, q)| since(offer(q).priced_at_unix_ms, now).into()),
        )
        .left("FROM", quoted.iter().map(|(_, q)| offer(q).source.into()));
    format!("\nPrices (on a running machine an instance pays its share):\n{}", table.render())
}
