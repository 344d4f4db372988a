//! Leases in true time: real coordinators and agents on hosts that are network namespaces, cut from each other, stopped
//! and killed at random, and a singleton whose every moment is written down (README.md).

#![allow(clippy::print_stdout, reason = "this is a program that tells what it does")]

#[path = "../built.rs"]
mod built;
mod enclosure;
mod faults;
mod files;
mod hosts;
mod net;
mod rounds;
mod tally;
mod witness;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, ValueEnum};

use crate::hosts::Hosts;
use crate::rounds::{lives, plans, until};
use crate::tally::Tally;
use crate::witness::Witness;

/// What the program ends with where a machine lacks what it needs, and where it was told to end.
const LACKING: u8 = 3;
const INTERRUPTED: u8 = 130;

/// Cuts, stops and kills what a singleton depends on, and says whether two copies of it ever lived at once. Needs ip
/// (iproute2), nft (nftables), and root or user namespaces.
#[derive(Parser)]
struct Arguments {
    /// How many things go wrong, one after the other.
    #[arg(long, default_value_t = 10)]
    rounds: usize,
    /// What goes wrong, and for how long, follows from this; what comes of it does not.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The program `kato`. Without it, the one beside this program, which Cargo brings up to date.
    #[arg(long)]
    kato: Option<PathBuf>,
    /// What this process is for.
    #[arg(long, hide = true, value_enum, default_value_t = Part::Whole)]
    part: Part,
    /// Where the files of the run are.
    #[arg(long, hide = true, default_value = ".")]
    directory: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum Part {
    /// Makes an enclosure, and removes what is left of it.
    Whole,
    /// The first process in it.
    First,
    /// The work.
    Rounds,
    /// A copy of the singleton.
    Copy,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    match arguments.part {
        Part::Whole => whole(&arguments),
        Part::First => {
            let words = words(&arguments, "rounds");
            Ok(enclosure::first(&arguments.directory, &words.each_ref().map(String::as_str))?
                .into())
        }
        Part::Rounds => play(&arguments).map(|()| ExitCode::SUCCESS),
        Part::Copy => witness::live(&arguments.directory).map(|()| ExitCode::SUCCESS),
    }
}

/// The arguments of this program as another part of itself.
fn words(arguments: &Arguments, part: &str) -> [String; 5] {
    let Arguments { rounds, seed, kato, directory, .. } = arguments;
    let kato = kato.as_deref().unwrap_or(Path::new(""));
    [
        format!("--part={part}"),
        format!("--rounds={rounds}"),
        format!("--seed={seed}"),
        format!("--kato={}", kato.display()),
        format!("--directory={}", directory.display()),
    ]
}

#[tokio::main(flavor = "current_thread")]
async fn whole(arguments: &Arguments) -> Result<ExitCode> {
    if let Some(lacking) = enclosure::missing() {
        eprintln!("{lacking}");
        return Ok(LACKING.into());
    }
    let directory = tempfile::Builder::new().prefix("kato-partitions-").tempdir()?;
    if arguments.kato.is_none() {
        built::build();
    }
    let kato = arguments.kato.as_deref().unwrap_or_else(|| built::kato());
    let own = Arguments {
        kato: Some(fs::canonicalize(kato).context("there is no such program")?),
        directory: directory.path().to_owned(),
        ..*arguments
    };
    let words = words(&own, "first");
    let ended = enclosure::run(&own.directory, &words.each_ref().map(String::as_str)).await?;
    match ended {
        None => Ok(INTERRUPTED.into()),
        Some(status) if status.success() => Ok(ExitCode::SUCCESS),
        Some(_) => {
            // Somebody will want to read the logs.
            println!("logs and lives are in {}", directory.keep().display());
            Ok(ExitCode::FAILURE)
        }
    }
}

/// All rounds.
fn play(arguments: &Arguments) -> Result<()> {
    let Arguments { rounds, seed, directory, .. } = arguments;
    let kato = arguments.kato.clone().context("a worker is told what to run")?;
    let witness = Witness::new(directory.join("lives"))?;
    let mut hosts = Hosts::start(kato, directory)?;
    let unit = directory.join("single.service");
    fs::write(&unit, unit_text(&witness)?)?;
    let unit = unit.display().to_string();
    until("the mesh takes a workload", || hosts.operate(&["apply", "-y", &unit]))?;
    lives(&witness)?;
    let mut tally = Tally::default();
    for (number, plan) in (1..).zip(plans(*rounds, *seed)) {
        let told = plan.play(&mut hosts, &witness);
        let told = told.with_context(|| format!("round {number} of seed {seed}: {plan:?}"))?;
        println!("{number:>4} {told}");
        tally.add(&told);
    }
    println!("\n{tally}\n{} copies, and never two at once", witness.copies()?.len());
    Ok(())
}

/// The singleton: this program, as a copy.
fn unit_text(witness: &Witness) -> Result<String> {
    let (own, record) = (std::env::current_exe()?, witness.record().display());
    let copy = format!("{} --part=copy --directory={record}", own.display());
    Ok(format!("[Service]\nExecStart={copy}\n[X-Kato]\nCPU=50m\nMemory=16M\nSingleton=yes\n"))
}
