//! The simulator: whole meshes on a simulated network, disks and clocks, in one process, from one
//! seed. `cargo run -p kato-tests --bin sim -- --seed 7` repeats run 7 exactly.
//!
//! One process runs one seed: openraft, h2 and tokio keep state that a second run in the same process would see.

mod chaos;
mod history;
mod mesh;
mod run;
mod trace;
mod witness;
mod world;

#[cfg(not(tokio_unstable))]
compile_error!(
    "the simulator seeds tokio's scheduler, which needs --cfg tokio_unstable; \
     .cargo/config.toml sets it, unless RUSTFLAGS in the environment replaces it"
);

use clap::Parser;

/// Runs one simulated mesh.
#[derive(Parser)]
struct Arguments {
    /// The seed of the run.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print every event of the run, not only its fingerprint.
    #[arg(long)]
    trace: bool,
    /// Print what the coordinators and agents log.
    #[arg(long)]
    log: bool,
}

#[allow(clippy::print_stdout)]
fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if arguments.log {
        tracing_subscriber::fmt().with_max_level(tracing::Level::INFO).without_time().init();
    }
    let trace = trace::Trace::new(arguments.trace);
    let directory = tempfile::tempdir()?;
    let seed = arguments.seed;
    let began = std::time::Instant::now();
    let outcome = run::run(seed, directory.path().to_owned(), &trace);
    let (events, fingerprint) = trace.fingerprint();
    println!("seed {seed}: {events} events, fingerprint {fingerprint:08x} {:?}", began.elapsed());
    match outcome {
        Ok(outcome) => println!("{outcome:?}"),
        Err(error) => {
            println!("{error}");
            std::process::exit(1);
        }
    }
    Ok(())
}
