//! Many runs, each in a process of its own: how many hold, what happened in all of them, and how fast they were.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use kato_core::Flaw;

use crate::BROKEN;
use crate::broken::Broken;
use crate::mesh::clients::REGISTERS;
use crate::scenario::Scenario;
use crate::tally::{Count, Tally};

/// What each run must have on average, so that a quiet one cannot pass for a good one.
const LEAST: [(Count, u64); 11] = [
    (Count::LeaderChanges, 5),
    (Count::Suspensions, 10),
    (Count::Losses, 1),
    (Count::Moves, 5),
    (Count::Handovers, 5),
    (Count::Fences, 5),
    (Count::Crashes, 5),
    (Count::Snapshots, 1),
    (Count::Delegations, 1),
    (Count::Calls, 300),
    (Count::SimulatedSeconds, 600),
];

/// What came of many runs.
#[derive(Default)]
pub(crate) struct Campaign {
    /// What each run that held said.
    held: Vec<Tally>,
    /// What was broken, by seed.
    broken: BTreeMap<u64, Broken>,
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
        let work = || -> Result<()> {
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed > last {
                    return Ok(());
                }
                let ran = child(seed, flaw, scenario)?;
                let mut campaign = campaign.lock().unwrap_or_else(PoisonError::into_inner);
                if campaign.note(seed, ran) && flaw.is_some() {
                    next.store(last + 1, Ordering::Relaxed);
                }
                bar.inc(1);
                bar.set_message(match campaign.broken.len() {
                    0 => String::new(),
                    broken => format!("({broken} broken)"),
                });
            }
        };
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
            workers.into_iter().try_for_each(|worker| {
                worker.join().map_err(|_| anyhow::anyhow!("a worker panicked"))?
            })
        })?;
        bar.finish_and_clear();
        let mut campaign = campaign.into_inner().unwrap_or_else(PoisonError::into_inner);
        campaign.took = began.elapsed();
        Ok(campaign)
    }

    /// Takes a run in, and tells whether it broke a promise of safety.
    fn note(&mut self, seed: u64, ran: Result<Tally, Broken>) -> bool {
        match ran {
            Ok(tally) => {
                self.held.push(tally);
                false
            }
            Err(broken) => {
                let of_safety = broken.is_of_safety();
                self.broken.insert(seed, broken);
                of_safety
            }
        }
    }

    /// The seeds that broke a promise, and which.
    pub(crate) fn broken(&self) -> &BTreeMap<u64, Broken> {
        &self.broken
    }

    /// What too little happened of.
    pub(crate) fn too_quiet(&self) -> Vec<String> {
        let (sum, runs) = (self.sum(), self.held.len() as u64);
        let little = LEAST.iter().filter(|(count, least)| sum[*count] < least * runs);
        little
            .map(|(count, least)| {
                let (found, what) = (sum[*count], count.name());
                format!("{found} {what} in {runs} runs, at least {} are needed", least * runs)
            })
            .collect()
    }

    /// Whether so many histories could not be decided that the others prove little: more than one of a hundred.
    pub(crate) fn too_open(&self) -> Option<String> {
        let (open, all) = (self.sum()[Count::Undecided], (self.held.len() * REGISTERS) as u64);
        (open * 100 > all).then(|| format!("{open} of {all} histories could not be decided"))
    }

    fn sum(&self) -> Tally {
        self.held.iter().fold(Tally::default(), |sum, tally| sum + *tally)
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
        println!("{:>24} {:>8} {:>8} {:>8} {:>9}", "in each run", "least", "median", "most", "all");
        let sum = self.sum();
        for count in Count::all() {
            let mut found: Vec<u64> = self.held.iter().map(|tally| tally[count]).collect();
            found.sort_unstable();
            let median = found.get(found.len() / 2).copied().unwrap_or_default();
            let (least, most) = (found.first().unwrap_or(&0), found.last().unwrap_or(&0));
            println!("{:>24} {least:>8} {median:>8} {most:>8} {:>9}", count.name(), sum[count]);
        }
        let minutes = self.took.as_secs_f64() / 60.0;
        #[allow(clippy::cast_precision_loss)]
        let (runs, simulated_s, cpu_ms) =
            (runs as f64, sum[Count::SimulatedSeconds] as f64, sum[Count::ProcessorMs] as f64);
        println!(
            "{:.1} seeds a minute, {:.0} simulated hours for each hour of a processor",
            runs / minutes,
            simulated_s * 1_000.0 / cpu_ms.max(1.0)
        );
    }
}

/// Runs one seed in a process of its own. The outer error is the simulator's.
fn child(
    seed: u64,
    flaw: Option<Flaw>,
    scenario: Option<Scenario>,
) -> Result<Result<Tally, Broken>> {
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
    match output.status.code() {
        Some(0) => Ok(Ok(serde_json::from_str(said.trim())?)),
        Some(code) if code == i32::from(BROKEN) => {
            Ok(Err(Broken(said.lines().next().unwrap_or_default().to_owned())))
        }
        _ => {
            let errors = String::from_utf8_lossy(&output.stderr);
            anyhow::bail!("the run of seed {seed} failed ({}): {errors}", output.status)
        }
    }
}
