//! Many runs, each in a process of its own: how many hold, what happened in all of them, and how fast they were.

use std::collections::BTreeMap;
use std::io;
use std::ops::RangeInclusive;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use kato_core::Flaw;

use crate::run::Outcome;
use crate::scenario::Scenario;

/// What each run must have on average, so that a quiet one cannot pass for a good one.
const LEAST: Outcome = Outcome {
    leader_changes: 5,
    suspends: 10,
    losses: 1,
    moves: 5,
    handovers: 5,
    fences: 5,
    crashes: 5,
    snapshots: 1,
    calls: 300,
    simulated_s: 600,
    ..Outcome::NONE
};

/// What came of many runs.
#[derive(Default)]
pub(crate) struct Campaign {
    /// What each run that held said.
    held: Vec<Outcome>,
    /// What was broken, by seed.
    broken: BTreeMap<u64, String>,
    took: Duration,
}

impl Campaign {
    /// Runs all seeds, `jobs` at a time. With a flaw it ends once one of them has found it.
    #[allow(clippy::disallowed_methods)] // The time that people wait is the true one.
    pub(crate) fn run(
        seeds: RangeInclusive<u64>,
        jobs: usize,
        flaw: Option<Flaw>,
        scenario: Option<Scenario>,
    ) -> Result<Self> {
        let began = Instant::now();
        let (first, last) = (*seeds.start(), *seeds.end());
        let bar = ProgressBar::new(last.saturating_sub(first) + 1);
        bar.set_style(ProgressStyle::with_template(
            "{bar:40} {pos}/{len} seeds, {eta} left {msg}",
        )?);
        let (next, campaign) = (AtomicU64::new(first), Mutex::new(Self::default()));
        std::thread::scope(|scope| {
            for _ in 0..jobs {
                scope.spawn(|| {
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed > last {
                            return;
                        }
                        let ran = child(seed, flaw, scenario);
                        let Ok(mut campaign) = campaign.lock() else { return };
                        match ran {
                            Ok(outcome) => campaign.held.push(outcome),
                            Err(broken) => {
                                campaign.broken.insert(seed, broken.to_string());
                                if flaw.is_some() {
                                    next.store(last + 1, Ordering::Relaxed);
                                }
                            }
                        }
                        bar.inc(1);
                        let broken = campaign.broken.len();
                        if broken > 0 {
                            bar.set_message(format!("({broken} broken)"));
                        }
                    }
                });
            }
        });
        bar.finish_and_clear();
        let mut campaign = campaign.into_inner()?;
        campaign.took = began.elapsed();
        Ok(campaign)
    }

    /// The seeds that broke a promise, and which.
    pub(crate) fn broken(&self) -> &BTreeMap<u64, String> {
        &self.broken
    }

    /// What too little happened of.
    pub(crate) fn too_quiet(&self) -> Vec<String> {
        let (sum, runs) = (self.sum(), self.held.len() as u64);
        let least = LEAST.rows().into_iter().zip(sum.rows());
        let little = least.filter(|((_, least), (_, found))| *found < least * runs);
        little
            .map(|((what, least), (_, found))| {
                format!("{found} {what} in {runs} runs, at least {} are needed", least * runs)
            })
            .collect()
    }

    fn sum(&self) -> Outcome {
        self.held.iter().fold(Outcome::NONE, |sum, outcome| sum.and(outcome))
    }

    /// A table for people.
    #[allow(clippy::print_stdout)]
    pub(crate) fn print(&self) {
        let runs = self.held.len() + self.broken.len();
        println!("{runs} runs, {} held, {} broke a promise", self.held.len(), self.broken.len());
        for (seed, broken) in &self.broken {
            println!("  seed {seed}: {broken}");
            println!("    cargo run --release -p kato-tests --bin sim -- --seed {seed} --trace");
        }
        let mut all: Vec<_> = self.held.iter().map(Outcome::rows).collect();
        println!("{:>24} {:>8} {:>8} {:>8} {:>9}", "in each run", "least", "median", "most", "all");
        for (row, (what, sum)) in self.sum().rows().into_iter().enumerate() {
            all.sort_by_key(|rows| rows[row].1);
            let at = |place: usize| all.get(place).map_or(0, |rows| rows[row].1);
            let (least, median, most) = (at(0), at(all.len() / 2), at(all.len().saturating_sub(1)));
            println!("{what:>24} {least:>8} {median:>8} {most:>8} {sum:>9}");
        }
        let sum = self.sum();
        let minutes = self.took.as_secs_f64() / 60.0;
        #[allow(clippy::cast_precision_loss)]
        let (runs, simulated_s, cpu_ms) = (runs as f64, sum.simulated_s as f64, sum.cpu_ms as f64);
        println!(
            "{:.1} seeds a minute, {:.0} simulated hours for each hour of a processor",
            runs / minutes,
            simulated_s * 1_000.0 / cpu_ms.max(1.0)
        );
    }
}

/// Runs one seed in a process of its own.
fn child(seed: u64, flaw: Option<Flaw>, scenario: Option<Scenario>) -> Result<Outcome> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--seed", &seed.to_string(), "--json"]).stdin(Stdio::null());
    if let Some(flaw) = flaw {
        command.args(["--flaw", flaw.name()]);
    }
    if let Some(scenario) = scenario {
        command.args(["--scenario", scenario.name()]);
    }
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    if output.status.success() {
        return Ok(serde_json::from_str(said.trim())?);
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    let error = said.lines().chain(errors.lines()).next().unwrap_or("it said nothing");
    Err(io::Error::other(error.to_owned()).into())
}
