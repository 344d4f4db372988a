//! From what was packed to the answer for one workload: a quote for each copy, and for every cell what became of it.

use std::cmp::Ordering;
use std::sync::Arc;

use kato_core::{Candidate, Decision, MicroDollars, Quote, Refusal, Source, Timestamp, Verdict};

use super::assess::Assessed;
use super::{Answer, Chosen, Host, Room, suits};
use crate::pack::{Packing, Use};

/// The answer for an item; what is the same for all of its cells is left to the caller.
pub(super) fn answer(
    packing: &Packing,
    item: usize,
    uses: &[Use],
    assessed: &[Assessed],
) -> Answer {
    let mut placements = placements(uses, assessed);
    placements.sort_by(|a, b| {
        let rank = |chosen: &Chosen| {
            let quote = &chosen.quote;
            (quote.total_micros_per_hour(), quote.price_micros_per_hour, chosen.site, chosen.on)
        };
        rank(a).cmp(&rank(b))
    });
    let mut candidates: Vec<Candidate> = assessed
        .iter()
        .enumerate()
        .map(|(site, assessed)| candidate(packing, item, site, assessed, &placements))
        .collect();
    // Stable: those that are equal stay in the order of their names.
    candidates.sort_by(compare);
    let latency_price_micros_per_ms_hour = MicroDollars::ZERO;
    let decision = Decision { at: Timestamp(0), latency_price_micros_per_ms_hour, candidates };
    Answer { decision, placements, unplaced: 0 }
}

/// Those that were chosen, then those that would do, by total, then those that were refused.
fn compare(a: &Candidate, b: &Candidate) -> Ordering {
    let rank = |candidate: &Candidate| match candidate.verdict {
        Verdict::Chosen(_) => 0,
        Verdict::Costlier => 1,
        Verdict::Refused(_) => 2,
    };
    let total = |candidate: &Candidate| {
        let feasible = !matches!(candidate.verdict, Verdict::Refused(_));
        candidate.quote.as_ref().filter(|_| feasible).map(Quote::total_micros_per_hour)
    };
    (rank(a), total(a)).cmp(&(rank(b), total(b)))
}

/// The copies of the item, each with its place.
fn placements(uses: &[Use], assessed: &[Assessed]) -> Vec<Chosen> {
    let mut placements = Vec::new();
    for used in uses {
        let on = used.machine.map_or(Host::Bought(used.number), Host::Machine);
        let chosen = Chosen { site: used.site, on, quote: quote(used, &assessed[used.site]) };
        placements.extend(std::iter::repeat_n(chosen, used.copies as usize));
    }
    placements
}

fn candidate(
    packing: &Packing,
    item: usize,
    site: usize,
    assessed: &Assessed,
    placements: &[Chosen],
) -> Candidate {
    let mut here = placements.iter().filter(|chosen| chosen.site == site);
    let count = u32::try_from(here.clone().count()).unwrap_or(u32::MAX);
    let (quote, verdict) = match here.next() {
        Some(first) => (Some(first.quote.clone()), Verdict::Chosen(count)),
        None => not_chosen(packing, item, site, assessed),
    };
    Candidate {
        datacenter: assessed.site.datacenter.clone(),
        cell: assessed.one_of_several.then(|| assessed.site.cell.clone()),
        latency_us: assessed.latency.map(|latency| latency.mean_us),
        quote,
        verdict,
    }
}

/// What a copy would cost in a cell that has none of those that were placed, beside all that was placed, and why it has none.
fn not_chosen(
    packing: &Packing,
    item: usize,
    site: usize,
    assessed: &Assessed,
) -> (Option<Quote>, Verdict) {
    let closed = assessed.refusal.as_ref().filter(|refusal| is_closed(refusal));
    if let Some(refusal) = closed {
        return (None, Verdict::Refused(refusal.clone()));
    }
    let one = packing.one_more(item, site);
    let max = assessed.workload.price_micros_per_hour_max;
    let refusal = assessed.refusal.clone().or_else(|| match (&one, max) {
        (None, _) => Some(why_none(packing, item, site, assessed)),
        (Some(one), Some(max)) if one.price > max => Some(Refusal::TooExpensive {
            price_micros_per_hour: one.price,
            max_micros_per_hour: max,
        }),
        // Last, because it passes: the other reasons hold whatever room there is.
        (Some(_), _) => assessed.refused.then_some(Refusal::RefusedByCell),
    });
    (one.map(|one| quote(&one, assessed)), refusal.map_or(Verdict::Costlier, Verdict::Refused))
}

/// What is not reachable or not allowed has no quote: nothing there would do.
fn is_closed(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::NotAllowed | Refusal::Unavailable)
}

/// Why no machine of a cell takes another copy at any price.
fn why_none(packing: &Packing, item: usize, site: usize, assessed: &Assessed) -> Refusal {
    let workload = assessed.workload;
    let large_enough = |machine: &Room| {
        suits(workload, &machine.offer) && workload.request.fits(machine.offer.capacity)
    };
    let runs = assessed.site.machines.iter().any(large_enough);
    if packing.sells(item, site) || (runs && assessed.site.machines_to_buy_max == 0) {
        return Refusal::NoRoom;
    }
    Refusal::NoOffer { request: workload.request, spot: workload.spot }
}

fn quote(used: &Use, assessed: &Assessed) -> Quote {
    Quote {
        offer: Arc::clone(used.offer),
        source: if used.machine.is_some() { Source::Running } else { Source::Buy },
        price_micros_per_hour: used.price,
        adds_micros_per_hour: used.adds,
        latency_micros_per_hour: assessed.latency_price,
    }
}
