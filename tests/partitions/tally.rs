//! What all rounds came to.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::faults::{FAULTS, Fault};
use crate::rounds::Told;

/// Sums over rounds.
#[derive(Debug, Default)]
pub(crate) struct Tally(BTreeMap<Fault, Row>);

#[derive(Debug, Default, Clone, Copy)]
struct Row {
    rounds: usize,
    copies: usize,
    moves: usize,
    longest: Duration,
}

impl Row {
    fn and(self, other: Self) -> Self {
        Self {
            rounds: self.rounds + other.rounds,
            copies: self.copies + other.copies,
            moves: self.moves + other.moves,
            longest: self.longest.max(other.longest),
        }
    }
}

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { rounds, copies, moves, longest } = self;
        write!(f, "{rounds:>6} {copies:>10} {moves:>6} {:>10.2} s", longest.as_secs_f64())
    }
}

impl Tally {
    pub(crate) fn add(&mut self, told: &Told) {
        let row = self.0.entry(told.plan.fault()).or_default();
        *row = row.and(Row {
            rounds: 1,
            copies: told.gaps.len(),
            moves: told.moves,
            longest: told.gaps.iter().max().copied().unwrap_or_default(),
        });
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{:<50} rounds new copies  moves longest gap", "")?;
        for fault in FAULTS {
            if let Some(row) = self.0.get(&fault) {
                writeln!(f, "{:<50} {row}", fault.name())?;
            }
        }
        write!(
            f,
            "{:<50} {}",
            "all",
            self.0.values().fold(Row::default(), |sum, row| sum.and(*row))
        )
    }
}
