//! The simulator: whole meshes on a simulated network, disks and clocks, in one process, from one
//! seed. `cargo run -p kato-tests --bin sim -- --seed 7` repeats run 7 exactly.
//!
//! One process runs one seed: openraft, h2 and tokio keep state that a second run in the same process would see.

mod broken;
mod campaign;
mod chaos;
mod history;
mod mesh;
mod run;
mod scenario;
mod tally;
mod trace;
mod witness;
mod world;

#[cfg(not(tokio_unstable))]
compile_error!(
    "the simulator seeds tokio's scheduler, which needs --cfg tokio_unstable; \
     .cargo/config.toml sets it, unless RUSTFLAGS in the environment replaces it"
);

use std::ops::RangeInclusive;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser;
use kato_core::Flaw;
use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::broken::Broken;
use crate::campaign::Campaign;
use crate::scenario::Scenario;
use crate::trace::Trace;

/// The exit status of a run that broke a promise.
const BROKEN: u8 = 10;
/// How long one tick may take in true time: what takes longer spins.
const SPINS: Duration = Duration::from_secs(30);

/// Runs simulated meshes in which much goes wrong, and says which promise broke.
#[derive(Parser)]
struct Arguments {
    /// Run this seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Run all of these seeds instead, each in a process of its own: `1..200`.
    #[arg(long, value_parser = parse_seeds, conflicts_with_all = ["seed", "trace", "json"])]
    seeds: Option<RangeInclusive<u64>>,
    /// For how many simulated minutes things go wrong.
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// How many at a time; as many as there are processors.
    #[arg(long)]
    jobs: Option<usize>,
    /// Print every event of the run.
    #[arg(long)]
    trace: bool,
    /// Say what came of it as JSON.
    #[arg(long)]
    json: bool,
    /// Tell a story with one kind of fault instead of chaos.
    #[arg(long)]
    scenario: Option<Scenario>,
    /// Make a mistake that some seed must find: unsynced-vote, stale-leader-read, grant-without-read-index,
    /// inherited-wait or kept-epoch.
    #[arg(long)]
    flaw: Option<Flaw>,
}

fn parse_seeds(text: &str) -> Result<RangeInclusive<u64>> {
    let (first, last) = text.split_once("..").context("write FIRST..LAST, both included")?;
    Ok(first.parse()?..=last.trim_start_matches('=').parse()?)
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    match &arguments.seeds {
        Some(seeds) => many(&arguments, seeds.clone()),
        None => one(&arguments),
    }
}

/// Runs many seeds; fails if one breaks a promise, or if too little happened. With a flaw it is the other way round.
#[allow(clippy::print_stdout)]
fn many(arguments: &Arguments, seeds: RangeInclusive<u64>) -> Result<ExitCode> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = arguments.jobs.unwrap_or(processors);
    let campaign = Campaign::run(seeds, jobs, arguments.flaw, arguments.scenario)?;
    if let Some(flaw) = arguments.flaw {
        let mut broken = campaign.broken().iter().filter(|(_, broken)| broken.is_of_safety());
        let Some((seed, broken)) = broken.next() else {
            println!("{}: no seed found it", flaw.name());
            return Ok(ExitCode::FAILURE);
        };
        println!("{}: seed {seed} found it: {broken}", flaw.name());
        return Ok(ExitCode::SUCCESS);
    }
    campaign.print();
    // A story has its own measure.
    let quiet = if arguments.scenario.is_none() { campaign.too_quiet() } else { Vec::new() };
    quiet.iter().for_each(|little| println!("too quiet: {little}"));
    let open = campaign.too_open();
    open.iter().for_each(|many| println!("too open: {many}"));
    let good = campaign.broken().is_empty() && quiet.is_empty() && open.is_none();
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[allow(clippy::print_stdout)]
fn one(arguments: &Arguments) -> Result<ExitCode> {
    if let Some(flaw) = arguments.flaw {
        flaw.make();
    }
    let trace = Trace::new(arguments.trace);
    log_into(&trace);
    let seed = arguments.seed;
    std::panic::set_hook(Box::new(|panic| {
        println!("panics: {panic}");
        std::process::exit(BROKEN.into());
    }));
    let watch = watch_over(trace.clone(), seed)?;
    let directory = tempfile::tempdir()?;
    let place = directory.path().to_owned();
    let ran = run::run(seed, arguments.minutes, arguments.scenario, place, &trace, watch);
    let tally = match ran.map_err(anyhow::Error::downcast::<Broken>) {
        Ok(tally) => tally,
        Err(broken) => {
            println!("{}", broken?);
            return Ok(ExitCode::from(BROKEN));
        }
    };
    if arguments.json {
        println!("{}", serde_json::to_string(&tally)?);
        return Ok(ExitCode::SUCCESS);
    }
    let (events, fingerprint) = trace.fingerprint();
    println!("seed {seed}: every promise held; {events} events, fingerprint {fingerprint:08x}");
    for (what, count) in tally.rows() {
        println!("{what:>24} {count:>8}");
    }
    Ok(ExitCode::SUCCESS)
}

/// What the product logs becomes part of the trace.
fn log_into(trace: &Trace) {
    let logged = trace.clone();
    // openraft's own lines have the true time in them.
    let ours = Targets::new().with_default(LevelFilter::OFF).with_target("kato", Level::INFO);
    let lines = tracing_subscriber::fmt::layer()
        .without_time()
        .with_target(false)
        .with_ansi(false)
        .with_writer(move || logged.clone());
    tracing_subscriber::registry().with(lines.with_filter(ours)).init();
}

/// Ends the process if simulated time stands still: a task that never waits would hold up the run for ever. It watches
/// until what it returns is dropped.
#[allow(clippy::print_stdout)]
fn watch_over(trace: Trace, seed: u64) -> Result<mpsc::Sender<()>> {
    let (running, ended) = mpsc::channel();
    let watching = move || {
        let mut last = None;
        while ended.recv_timeout(SPINS) == Err(mpsc::RecvTimeoutError::Timeout) {
            let now = Some(trace.now());
            if last == now {
                println!("spins: a task of seed {seed} has not waited since {:?}", trace.now());
                std::process::exit(BROKEN.into());
            }
            last = now;
        }
    };
    std::thread::Builder::new().name("watch".to_owned()).spawn(watching)?;
    Ok(running)
}
