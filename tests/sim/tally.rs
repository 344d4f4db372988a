//! How often what happened in a run, or in many.

use std::ops::{Add, Index, IndexMut};

use serde::{Deserialize, Serialize};

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Count {
    LeaderChanges,
    Suspensions,
    Losses,
    Moves,
    Handovers,
    Fences,
    Bought,
    Crashes,
    Snapshots,
    Timings,
    Delegations,
    Calls,
    Undecided,
    SimulatedSeconds,
    SecondsToHeal,
    ProcessorMs,
}

/// All of it, in the order of the enumeration, with the words for people.
const NAMES: [(Count, &str); 16] = [
    (Count::LeaderChanges, "leader changes"),
    (Count::Suspensions, "machines suspended"),
    (Count::Losses, "datacenters lost"),
    (Count::Moves, "instances moved"),
    (Count::Handovers, "singletons handed over"),
    (Count::Fences, "copies fenced"),
    (Count::Bought, "machines bought"),
    (Count::Crashes, "crashes"),
    (Count::Snapshots, "snapshots installed"),
    (Count::Timings, "timings changed"),
    (Count::Delegations, "coordinators stood in for"),
    (Count::Calls, "operators' calls"),
    (Count::Undecided, "histories not decided"),
    (Count::SimulatedSeconds, "simulated seconds"),
    (Count::SecondsToHeal, "seconds to heal"),
    (Count::ProcessorMs, "processor ms"),
];

/// The numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tally([u64; NAMES.len()]);

impl Tally {
    /// Every number, with what it counts.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&'static str, u64)> {
        NAMES.iter().map(|(count, name)| (*name, self[*count]))
    }
}

impl Count {
    /// The words for it.
    pub(crate) fn name(self) -> &'static str {
        NAMES[self as usize].1
    }

    /// Everything that is counted.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        NAMES.iter().map(|(count, _)| *count)
    }
}

impl Index<Count> for Tally {
    type Output = u64;

    fn index(&self, count: Count) -> &u64 {
        &self.0[count as usize]
    }
}

impl IndexMut<Count> for Tally {
    fn index_mut(&mut self, count: Count) -> &mut u64 {
        &mut self.0[count as usize]
    }
}

impl Add for Tally {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(own, more)| *own += more);
        self
    }
}
