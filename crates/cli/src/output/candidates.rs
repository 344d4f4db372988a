//! A decision as people ask for it before they say yes: every datacenter, what an instance would cost there,
//! and why it was taken or not.

use kato_proto::v1::{ApplyResponse, Candidate, Change, Decision, Market, Offer, Quote};

use super::style::{BAD, FAINT, GOOD, STRONG, WARN, paint};
use super::table::{Cell, Table};
use super::units::{self, count, latency, money_beside};
use super::{plain, plain_lines};

/// What would change, and what it would cost.
pub(crate) fn plan(response: &ApplyResponse) -> String {
    let mut text = format!("{}\n", change(response));
    if let Some(decision) = response.decision.as_ref().filter(|d| !d.candidates.is_empty()) {
        text += &format!("\n{}", candidates(decision));
    }
    text += &format!("\n{}", total(response));
    text += &conflict(&response.conflict);
    if !response.survives.is_empty() {
        text += &format!("Survives the loss of {}\n", one_of(&response.survives));
    }
    for warning in &response.warnings {
        text += &format!("{} {}\n", paint(WARN, "warning:"), plain_lines(warning));
    }
    text
}

/// What cannot hold together, if that is known.
pub(crate) fn conflict(wishes: &[String]) -> String {
    let cannot = paint(BAD, "cannot hold");
    match wishes {
        [] => String::new(),
        [only] => format!("{} {cannot}, whatever else is asked for\n", plain(only)),
        all => format!(
            "{} {cannot} together; without any one of them the others can\n",
            plain(&all.join(", "))
        ),
    }
}

/// `any one of dub, ewr, sin`.
fn one_of(all: &[String]) -> String {
    match all {
        [only] => plain(only),
        all => format!("any one of {}", plain(&all.join(", "))),
    }
}

/// Whether one of the prices that are shown needs more than 4 decimals: then all are shown with 6.
pub(crate) fn is_fine(response: &ApplyResponse) -> bool {
    let candidates = response.decision.iter().flat_map(|decision| &decision.candidates);
    let prices = candidates.filter_map(|c| Some(c.quote.as_ref()?.price_micros_per_hour));
    prices.chain(response.workload.as_ref().map(|w| w.price_micros_per_hour)).any(units::is_fine)
}

/// `web would be created: 2 instances of 100m CPU, 64 MiB each`.
fn change(response: &ApplyResponse) -> String {
    let workload = response.workload.clone().unwrap_or_default();
    let spec = workload.spec.unwrap_or_default();
    let word = match response.change() {
        Change::Created => format!("would be {}", paint(GOOD, "created")),
        Change::Updated => format!("would be {}", paint(WARN, "updated")),
        Change::None => "would stay as it is".to_owned(),
        Change::Unspecified => "would change in a way that this kato does not know".to_owned(),
    };
    let copies = spec.count.max(1);
    let (instances, each) = (count(copies, "instance"), if copies > 1 { " each" } else { "" });
    let takes = units::resources(spec.request.as_ref());
    let name = paint(STRONG, &plain(&spec.name));
    let kind = if spec.singleton { ", a singleton" } else { "" };
    format!("{name} {word}: {instances} of {takes}{each}{kind}")
}

fn total(response: &ApplyResponse) -> String {
    let price = response.workload.as_ref().map_or(0, |w| w.price_micros_per_hour);
    let mut text = format!("Total {}/h", money_beside(price, is_fine(response)));
    // Where nothing changes the decision is one that was carried out.
    if response.change() != Change::None {
        let adds = money_beside(response.adds_micros_per_hour, is_fine(response));
        text += &match (response.machines_to_buy, response.adds_micros_per_hour) {
            (0, 0) => ", on machines that are paid for already".to_owned(),
            (0, _) => format!(", which adds {adds}/h to what is paid"),
            (bought, _) => format!(", which adds {adds}/h for {} to buy", count(bought, "machine")),
        };
    }
    if response.unplaced > 0 {
        let left = format!("{} without a place", count(response.unplaced, "instance"));
        text += &format!(", {}", paint(BAD, &left));
    }
    text + "\n"
}

/// Every datacenter of a decision.
pub(crate) fn candidates(decision: &Decision) -> String {
    let all = &decision.candidates;
    let quote = |c: &Candidate| c.quote.clone();
    Table::new(all.len())
        .left("DATACENTER", all.iter().map(name))
        .left(
            "OFFER",
            all.iter().map(|c| offer_name(quote(c).and_then(|q| q.offer).as_ref()).into()),
        )
        .left("MACHINE", all.iter().map(|c| machine(c.quote.as_ref()).into()))
        .money("$/H", all.iter().map(|c| quote(c).map(|q| q.price_micros_per_hour)))
        .money("ADDS $/H", all.iter().map(|c| quote(c).map(|q| q.adds_micros_per_hour)))
        .right("LATENCY", all.iter().map(|c| candidate_latency(c).into()))
        .money("TOTAL $/H", all.iter().map(|c| quote(c).map(|q| q.total_micros_per_hour)))
        .left("", all.iter().map(|c| verdict(c, chosen_total(all.iter()))))
        .render()
}

/// `dub`, or `cell-1.dub` where it has several cells.
pub(crate) fn place(candidate: &Candidate) -> String {
    match candidate.cell.as_str() {
        "" => candidate.datacenter.clone(),
        cell => format!("{cell}.{}", candidate.datacenter),
    }
}

/// A candidate's name, in bold where it was chosen.
pub(crate) fn name(candidate: &Candidate) -> Cell {
    let style = if candidate.chosen > 0 { STRONG } else { super::style::PLAIN };
    Cell::styled(place(candidate), style)
}

/// The dearest of what was chosen: what the others are compared with.
pub(crate) fn chosen_total<'a>(all: impl Iterator<Item = &'a Candidate>) -> Option<i64> {
    let chosen = all.filter(|candidate| candidate.chosen > 0);
    chosen.filter_map(|c| Some(c.quote.as_ref()?.total_micros_per_hour)).max()
}

/// What became of a datacenter, beside those that were chosen for so much.
pub(crate) fn verdict(candidate: &Candidate, chosen: Option<i64>) -> Cell {
    match (candidate.chosen, candidate.refusal.as_str()) {
        (0, "") => Cell::styled(instead(candidate, chosen), FAINT),
        (0, refusal) => Cell::styled(refusal, FAINT),
        (chosen, _) => Cell::styled(format!("CHOSEN ×{chosen}"), GOOD),
    }
}

/// What would have had to be otherwise.
fn instead(candidate: &Candidate, chosen: Option<i64>) -> String {
    let total = candidate.quote.as_ref().map(|quote| quote.total_micros_per_hour);
    match (candidate.chosen_at_micros_per_hour, candidate.chosen_nearer_us) {
        (Some(price), _) => format!("costs more; chosen at {}/h or less", units::money(price)),
        (None, Some(us)) => format!("costs more; chosen if {} nearer", latency(us)),
        (None, None) if total > chosen => "costs more".to_owned(),
        (None, None) => "no better".to_owned(),
    }
}

/// What is sold, and in which market where that is not the ordinary one.
pub(crate) fn offer_name(offer: Option<&Offer>) -> String {
    match offer {
        Some(offer) if offer.market() == Market::Spot => format!("{} (spot)", offer.kind),
        Some(offer) => offer.kind.clone(),
        None => "-".to_owned(),
    }
}

/// Whether money would be spent on a new machine.
pub(crate) fn machine(quote: Option<&Quote>) -> &'static str {
    match quote {
        Some(quote) if quote.buy => "to buy",
        Some(quote) if quote.shared => "on order",
        Some(_) => "running",
        None => "-",
    }
}

/// The latency of a candidate; `-` without demand.
pub(crate) fn candidate_latency(candidate: &Candidate) -> String {
    candidate.latency_us.map_or_else(|| "-".to_owned(), latency)
}
