//! What is on some machines, placed anew in the best of all ways: dynamic programming over every content that a machine may
//! have, for as many machines as that is quick for.

use std::collections::BTreeSet;

use kato_core::{Market, Resources};

use super::super::cover::NEVER;
use super::super::sequence::Sequence;
use super::super::yard::Yard;
use crate::place::SLOTS;

/// Machines that run among them.
pub(super) const RUNNING_MAX: usize = 4;

/// A machine by its site and its number there.
type At = (usize, usize);

/// Empties machines, in the order of the sequence, and fills and buys the best ones for what was on them. So many of them that no more
/// than `steps` pairs of a content and a part of it are looked at, for machines to buy and for each one that runs. Says whether
/// those were all the machines that there are: what it leaves is the best then.
pub(super) fn place_anew(yard: &mut Yard, sequence: &mut Sequence, steps: u64) -> bool {
    let bins: usize = yard.layout.bins.iter().map(|bins| bins.len()).sum();
    let (load, running, emptied) = empty_some(yard, sequence, usize::MAX, steps);
    let best = !load.is_empty() && fill(yard, &load, &running, &Contents::new(&load, steps));
    best && emptied == bins
}

/// The same for a number of machines, however much is on them: copies that are many are moved several at a time.
pub(super) fn place_roughly(yard: &mut Yard, sequence: &mut Sequence, machines: usize, steps: u64) {
    let (load, running, _) = empty_some(yard, sequence, machines, u64::MAX);
    if load.is_empty() {
        return;
    }
    let contents = Contents::new(&load, steps);
    if !fill(yard, &load, &running, &contents) {
        return;
    }
    for ((item, copies), (_, most)) in load.iter().zip(&contents.items) {
        let rest = copies - most * contents.unit(*item);
        if rest > 0 {
            yard.add(*item, rest);
        }
    }
}

/// Puts contents on machines in the best of all ways, or notes that they have no place.
fn fill(yard: &mut Yard, load: &[(usize, u32)], running: &[At], contents: &Contents) -> bool {
    let buying = contents.buying(yard);
    let mut fills: Vec<Best> = Vec::new();
    for at in running {
        let before = fills.last().unwrap_or(&buying);
        fills.push(contents.filling(yard, *at, before));
    }
    let mut whole = contents.count - 1;
    if fills.last().unwrap_or(&buying).least[whole] >= NEVER {
        // The caller puts everything back.
        load.iter().for_each(|(item, copies)| yard.layout.unplaced[*item] += copies);
        return false;
    }
    for (at, best) in running.iter().zip(&fills).rev() {
        let part = best.part[whole];
        yard.fill(*at, &contents.load(part));
        whole -= part;
    }
    while whole > 0 {
        let part = buying.part[whole];
        let (_, site, market) = contents.cheapest(yard, part).expect("it had a price");
        yard.buy_with(site, market, &contents.load(part));
        whole -= part;
    }
    true
}

/// What was on the machines, items with copies, those of them that run, and how many machines there were.
fn empty_some(
    yard: &mut Yard,
    sequence: &mut Sequence,
    machines: usize,
    steps: u64,
) -> (Vec<(usize, u32)>, Vec<At>, usize) {
    let bins = yard.layout.bins.iter().enumerate();
    let mut bins: Vec<At> =
        bins.flat_map(|(site, bins)| (0..bins.len()).map(move |bin| (site, bin))).collect();
    sequence.shuffle(&mut bins);
    // Of machines that are alike one says as much as many: the first of each kind come before the others.
    let mut seen = BTreeSet::new();
    let (mut bins, others): (Vec<At>, Vec<At>) = bins
        .into_iter()
        .partition(|(site, bin)| seen.insert((*site, yard.layout.bins[*site][*bin].likeness())));
    bins.extend(others);
    let mut load: Vec<(usize, u32)> = Vec::new();
    let (mut chosen, mut running) = (Vec::new(), Vec::new());
    for (site, bin) in bins {
        let found = &yard.layout.bins[site][bin];
        if found.machine.is_some() && running.len() == RUNNING_MAX {
            continue;
        }
        let mut with = load.clone();
        for (item, copies) in &found.load {
            match with.iter_mut().find(|(known, _)| known == item) {
                Some((_, sum)) => *sum += copies,
                None => with.push((*item, *copies)),
            }
        }
        let limited = with.iter().any(|(item, _)| !yard.items[*item].levels.is_empty());
        let few = chosen.len() < machines && pairs(with.iter().map(|(_, copies)| *copies)) <= steps;
        if few && !limited {
            load = with;
            chosen.push((site, bin));
            running.extend(found.machine.map(|_| (site, bin)));
        }
    }
    // From behind, so that the numbers of the others stay as they are; those that run stay in any case, before those
    // that were bought.
    chosen.sort_unstable_by(|a, b| b.cmp(a));
    let emptied = chosen.len();
    for (site, bin) in chosen {
        yard.empty(site, bin);
    }
    (load, running, emptied)
}

/// How many pairs of a content and a part of it there are.
fn pairs(copies: impl Iterator<Item = u32>) -> u64 {
    let each = copies.map(|copies| u64::from(copies + 1) * u64::from(copies + 2) / 2);
    each.fold(1, u64::saturating_mul)
}

/// The best way for every content: what it costs, and which part of it is on the machine that was looked at last.
struct Best {
    least: Vec<i64>,
    part: Vec<usize>,
}

/// Contents of machines, numbered: so many units of the first item, of the second, and so on.
struct Contents {
    items: Vec<(usize, u32)>,
    /// For each of them, how many copies are a unit.
    units: Vec<u32>,
    /// What one more copy of an item adds to the number.
    strides: Vec<usize>,
    count: usize,
}

impl Contents {
    /// Of single copies, as far as that is no more than `steps` pairs.
    fn new(load: &[(usize, u32)], steps: u64) -> Self {
        let mut units = vec![1; load.len()];
        let most = |units: &[u32]| -> Vec<u32> {
            load.iter().zip(units).map(|((_, copies), unit)| copies / unit).collect()
        };
        while pairs(most(&units).into_iter()) > steps {
            let counts = most(&units);
            let Some(largest) = (0..counts.len()).max_by_key(|index| counts[*index]) else { break };
            units[largest] += 1;
        }
        let items: Vec<(usize, u32)> =
            load.iter().zip(most(&units)).map(|((item, _), most)| (*item, most)).collect();
        let (mut strides, mut count) = (Vec::with_capacity(load.len()), 1);
        for (_, most) in &items {
            strides.push(count);
            count *= *most as usize + 1;
        }
        Self { items, units, strides, count }
    }

    /// How many copies of an item are a unit.
    fn unit(&self, item: usize) -> u32 {
        let index = self.items.iter().position(|(of, _)| *of == item);
        index.map_or(1, |index| self.units[index])
    }
    /// The items of a content, with copies.
    fn load(&self, content: usize) -> Vec<(usize, u32)> {
        let digit = |(((item, most), stride), unit): ((&(usize, u32), &usize), &u32)| {
            let units = content / stride % (*most as usize + 1);
            (*item, u32::try_from(units).unwrap_or(u32::MAX).saturating_mul(*unit))
        };
        let all = self.items.iter().zip(&self.strides).zip(&self.units).map(digit);
        all.filter(|(_, copies)| *copies > 0).collect()
    }

    /// The least that one machine with this content costs, copies and all, and where and on which market that is.
    fn cheapest(&self, yard: &Yard, content: usize) -> Option<(i64, usize, Market)> {
        let load = self.load(content);
        let request: Resources =
            load.iter().map(|(item, copies)| yard.items[*item].request.times(*copies)).sum();
        let mut best = None;
        if load.iter().map(|(_, copies)| copies).sum::<u32>() > SLOTS {
            return None;
        }
        for market in [Market::OnDemand, Market::Spot] {
            let all = load.iter().map(|(item, _)| *item);
            let Some(wanted) = yard.wanted_by_all(market, all) else { continue };
            for site in 0..yard.layout.bins.len() {
                let beside = load
                    .iter()
                    .map(|(item, copies)| Some(yard.items[*item].at[site]? * i64::from(*copies)));
                let Some(beside) = beside.sum::<Option<i64>>() else { continue };
                let Some(offer) = yard.cheapest_for(site, request, &wanted) else { continue };
                let found = (offer.price_nanos_over(wanted.stay_s) + beside, site, market);
                if best.is_none_or(|best: (i64, usize, Market)| found.0 < best.0) {
                    best = Some(found);
                }
            }
        }
        best
    }

    /// On machines that are bought, however many.
    fn buying(&self, yard: &Yard) -> Best {
        let one = |content| self.cheapest(yard, content).map_or(NEVER, |(cost, ..)| cost);
        let alone: Vec<i64> = (0..self.count).map(one).collect();
        let mut best = Best { least: vec![NEVER; self.count], part: vec![0; self.count] };
        best.least[0] = 0;
        let mut parts = Vec::new();
        for whole in 1..self.count {
            self.parts(whole, &mut parts);
            for part in &parts[1..] {
                let sum = alone[*part] + best.least[whole - part];
                if sum < best.least[whole] {
                    (best.least[whole], best.part[whole]) = (sum, *part);
                }
            }
        }
        best
    }

    /// With one more machine, that runs.
    fn filling(&self, yard: &Yard, at: At, before: &Best) -> Best {
        let alone: Vec<i64> = (0..self.count)
            .map(|content| yard.cost_of_filling(at, &self.load(content)).unwrap_or(NEVER))
            .collect();
        let mut best = Best { least: before.least.clone(), part: vec![0; self.count] };
        let mut parts = Vec::new();
        for whole in 1..self.count {
            self.parts(whole, &mut parts);
            for part in &parts[1..] {
                let sum = alone[*part] + before.least[whole - part];
                if sum < best.least[whole] {
                    (best.least[whole], best.part[whole]) = (sum, *part);
                }
            }
        }
        best
    }

    /// Every content that is part of this one, from nothing to all of it.
    fn parts(&self, whole: usize, parts: &mut Vec<usize>) {
        parts.clear();
        parts.push(0);
        for ((_, most), stride) in self.items.iter().zip(&self.strides) {
            let here = whole / stride % (*most as usize + 1);
            let before = parts.len();
            for copies in 1..=here {
                for part in 0..before {
                    parts.push(parts[part] + copies * stride);
                }
            }
        }
    }
}
