//! A unit that writes down when it lived, and what it wrote.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::wall_ms;

/// Where a unit writes its lives.
#[derive(Debug)]
pub(crate) struct Record(PathBuf);

impl Record {
    pub(crate) fn new(home: &Path) -> Self {
        Self(home.join("lives"))
    }

    /// A command that writes its epoch and the time every fifty milliseconds, and ends `stop_seconds` after it is
    /// asked to.
    pub(crate) fn exec_start(&self, stop_seconds: u32) -> String {
        format!(
            "ExecStart=/bin/sh -c 'trap \"end=1\" TERM; left={}; \
             while [ $$left -gt 0 ]; do echo \"$$KATO_EPOCH $$(date +%%s%%3N)\" >> {}; sleep 0.05; \
             [ -z \"$$end\" ] || left=$$((left-1)); done'",
            1 + stop_seconds * 20,
            self.0.display()
        )
    }

    /// When each epoch of the unit was alive, first and last, in milliseconds since 1970.
    pub(crate) fn lives(&self) -> BTreeMap<u64, (u64, u64)> {
        let mut lives = BTreeMap::new();
        for line in fs::read_to_string(&self.0).unwrap_or_default().lines() {
            // The last line may not be whole.
            let Some((epoch, at)) = line.split_once(' ') else { continue };
            let (Ok(epoch), Ok(at)) = (epoch.parse(), at.parse::<u64>()) else { continue };
            if at > wall_ms() / 2 {
                let life = lives.entry(epoch).or_insert((at, at));
                *life = (life.0.min(at), life.1.max(at));
            }
        }
        lives
    }

    /// # Panics
    /// If two epochs were alive at the same moment.
    pub(crate) fn one_at_a_time(&self) {
        let lives: Vec<_> = self.lives().into_iter().collect();
        for pair in lives.windows(2) {
            assert!(pair[0].1.1 < pair[1].1.0, "two singletons at once: {lives:?}");
        }
    }
}
