//! One machine for what is on several: what no change of one item alone finds, because the machine pays only once many of
//! different items are on it.

use std::cmp::Reverse;

use kato_core::{Market, Resources};

use super::super::bin::Bin;
use super::super::sequence::Sequence;
use super::super::yard::Yard;
use crate::catalogue::Wanted;
use crate::place::SLOTS;

/// A machine that may go, and what it would save.
struct Candidate {
    site: usize,
    bin: usize,
    request: Resources,
    /// What it costs now, copies and all, less what its copies would cost at the other site.
    saves: i64,
}

/// Buys the machine that saves most, if any saves something, at a site and market that the sequence picks.
pub(super) fn merge(yard: &mut Yard, sequence: &mut Sequence) {
    let site = sequence.below(yard.layout.bins.len());
    let market = if sequence.below(2) == 0 { Market::OnDemand } else { Market::Spot };
    if yard.may_buy(site) == 0 {
        return;
    }
    let mut candidates = candidates(yard, site, market);
    if sequence.below(2) == 0 {
        sequence.shuffle(&mut candidates);
    } else {
        // What is dearest for what it needs goes first.
        candidates.sort_by_key(|found| {
            let weight = i128::from(yard.weigh(found.request).max(1));
            Reverse((i128::from(found.saves) * 1_000_000 / weight, found.site, found.bin))
        });
    }
    let (mut request, mut copies, mut saves, mut best) = (Resources::NONE, 0, 0, (0, 0));
    let mut wanted: Option<Wanted> = None;
    for (count, candidate) in (1..).zip(&candidates) {
        request = request + candidate.request;
        saves += candidate.saves;
        let load = &yard.layout.bins[candidate.site][candidate.bin].load;
        copies += load.iter().map(|(_, copies)| copies).sum::<u32>();
        let own = yard.wanted_by_all(market, load.iter().map(|(item, _)| *item));
        wanted = match wanted {
            None => own,
            Some(wanted) => own.and_then(|own| wanted.and(&own, market)),
        };
        let Some(wanted) = wanted.as_ref().filter(|_| copies <= SLOTS) else { break };
        let Some(offer) = yard.cheapest_for(site, request, wanted) else { break };
        best = best.max((saves - offer.price_nanos_over(wanted.stay_s), count));
    }
    let (gain, count) = best;
    if gain <= 0 {
        return;
    }
    candidates.truncate(count);
    yard.buy_for(site, market, candidates.iter().map(|found| (found.site, found.bin)).collect());
}

/// The machines all of whose copies may go to this site, and on a machine of this market.
fn candidates(yard: &Yard, to: usize, market: Market) -> Vec<Candidate> {
    let candidate = |site: usize, bin: usize, found: &Bin| {
        let mut candidate = Candidate { site, bin, request: Resources::NONE, saves: found.cost() };
        for (item, copies) in &found.load {
            let item = &yard.items[*item];
            let here = item.at[site]?;
            let there = item.at[to]?;
            if !item.wanted.admits_market(market) || !item.levels.is_empty() {
                return None;
            }
            candidate.request = candidate.request + item.request.times(*copies);
            candidate.saves += (here - there) * i64::from(*copies);
        }
        Some(candidate)
    };
    let bins = yard.layout.bins.iter().enumerate().flat_map(|(site, bins)| {
        let costly = bins.iter().enumerate().filter(|(_, bin)| bin.cost() > 0);
        costly.filter_map(move |(index, bin)| candidate(site, index, bin))
    });
    bins.filter(|candidate| candidate.saves > 0).collect()
}
