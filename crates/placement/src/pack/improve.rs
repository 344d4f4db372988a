//! Takes what was placed up again, some of it at a time, and places it anew: what costs more afterwards is put back as it
//! was. Large neighbourhood search (Shaw, CP 1998), with a fixed number of steps and a sequence of its own, so that it gives
//! the same each time.

mod exact;
mod merge;

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::sequence::Sequence;
use super::yard::{Score, Yard};
use super::{CHUNK, MANY};

/// Rounds in which every item is placed anew.
const ROUNDS: usize = 4;
/// Times that some machines are emptied and what was on them is placed anew.
const STEPS: usize = 600;
/// Machines beyond which there are fewer such times, for each takes as much longer.
const MACHINES: usize = 1_000;
/// The effort of placing anew what is on some machines, many times and in the end: pairs of contents.
const SMALL: u64 = 20_000;
const LARGE: u64 = 1_500_000;
const LARGE_STEPS: usize = 4;
/// The effort of placing anew what is on all machines, once: then nothing else needs to be tried.
const ALL: u64 = 6_000_000;
/// Steps between two looks at whether one large machine would do for many.
const MERGE_EVERY: usize = 10;
/// The most machines, less two, whose contents are placed anew several copies at a time.
const ROUGH_MAX: usize = 15;
/// Machines that are emptied at once.
const EMPTIED_MAX: usize = 4;

/// Improves on what was placed in this order.
pub(super) fn improve(yard: &mut Yard, order: &[usize]) {
    let copies: u64 = yard.items.iter().map(|item| u64::from(item.copies)).sum();
    // One item alone was placed in the best way already.
    let exact = yard.items.len() == 1 && copies <= u64::from(CHUNK);
    if exact || copies <= 1 || copies > MANY || yard.layout.bins.is_empty() {
        return;
    }
    if yard.unplaced() == copies {
        return;
    }
    let mut best = yard.score();
    let mut sequence = Sequence::new();
    if is_solved(yard, &mut best, &mut sequence) {
        return;
    }
    for _ in 0..ROUNDS {
        let before = best.clone();
        for item in order {
            attempt(yard, &mut best, |yard| {
                let copies = yard.lift(*item);
                yard.add(*item, copies);
            });
        }
        if best == before {
            break;
        }
    }
    let dearness: Vec<i64> = (0..yard.items.len()).map(|item| yard.dearness(item)).collect();
    let machines: usize = yard.layout.bins.iter().map(|bins| bins.len()).sum();
    for step in 0..STEPS * MACHINES / machines.max(MACHINES) {
        if step % MERGE_EVERY == 0 {
            attempt(yard, &mut best, |yard| merge::merge(yard, &mut sequence));
            attempt(yard, &mut best, |yard| exact::place_anew(yard, &mut sequence, SMALL));
            let machines = 2 + sequence.below(ROUGH_MAX);
            attempt(yard, &mut best, |yard| {
                exact::place_roughly(yard, &mut sequence, machines, SMALL);
            });
        }
        attempt(yard, &mut best, |yard| {
            let emptied = 1 + sequence.below(EMPTIED_MAX);
            // What fits nowhere does so at most steps: it is tried again now and then.
            let load = empty_some(yard, &mut sequence, emptied, step % MERGE_EVERY == 0);
            let mut again: Vec<usize> = order.iter().copied().filter(|i| load[*i] > 0).collect();
            match sequence.below(3) {
                // The largest first, as at the beginning.
                0 => {}
                // Those first that would be dearest to buy room for, for their size.
                1 => again.sort_by_key(|item| Reverse((dearness[*item], *item))),
                _ => sequence.shuffle(&mut again),
            }
            for item in again {
                yard.add(item, load[item]);
            }
        });
    }
    for _ in 0..LARGE_STEPS {
        attempt(yard, &mut best, |yard| exact::place_anew(yard, &mut sequence, LARGE));
    }
}

/// Places everything in the best of all ways, if that is quick: says whether it did.
fn is_solved(yard: &mut Yard, best: &mut Score, sequence: &mut Sequence) -> bool {
    let bins = yard.layout.bins.iter().flat_map(|bins| bins.iter());
    if bins.filter(|bin| bin.machine.is_some()).nth(exact::RUNNING_MAX).is_some() {
        return false;
    }
    // What has no place yet is not among what that looks at.
    let all = attempt(yard, best, |yard| exact::place_anew(yard, sequence, ALL)) == Some(true);
    all && yard.unplaced() == 0
}

/// Does something, and gives what that gave, or undoes it if it made things worse.
fn attempt<T>(yard: &mut Yard, best: &mut Score, change: impl FnOnce(&mut Yard) -> T) -> Option<T> {
    let before = yard.layout.clone();
    let done = change(yard);
    let now = yard.score();
    if now > *best || yard.is_overbought() || yard.is_overpriced() {
        yard.layout = before;
        return None;
    }
    *best = now;
    Some(done)
}

/// Empties some machines, and says how many copies of each item were on them, those that have no place among them if all are
/// wanted.
fn empty_some(yard: &mut Yard, sequence: &mut Sequence, count: usize, all: bool) -> Vec<u32> {
    let mut load: Vec<u32> = vec![0; yard.items.len()];
    if all {
        load = yard.layout.unplaced.iter_mut().map(std::mem::take).collect();
    }
    let one_of_each = sequence.below(2) == 0;
    for _ in 0..count {
        let bins = yard.layout.bins.iter().enumerate();
        let mut loaded: Vec<(usize, usize)> = bins
            .flat_map(|(site, bins)| {
                let loaded = bins.iter().enumerate().filter(|(_, bin)| !bin.load.is_empty());
                loaded.map(move |(index, _)| (site, index))
            })
            .collect();
        if loaded.is_empty() {
            break;
        }
        if one_of_each {
            // Of machines that are alike one says as much as many.
            let mut seen = BTreeSet::new();
            loaded.retain(|(site, bin)| {
                seen.insert((*site, yard.layout.bins[*site][*bin].likeness()))
            });
        }
        let (site, bin) = loaded[sequence.below(loaded.len())];
        for (item, copies) in yard.empty(site, bin) {
            load[item] += copies;
        }
    }
    load
}
