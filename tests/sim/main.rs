//! The simulator: a mesh of coordinators on a simulated network, disk and clock, in one process, from one
//! seed. `cargo run -p kato-tests --bin sim -- --seed 7` repeats run 7 exactly.
//!
//! One process runs one seed: openraft, h2 and tokio keep state that a second run in the same process would see.

mod clock;
mod disk;
mod host;
mod network;
mod scenario;
mod trace;

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
}

#[allow(clippy::print_stdout)]
fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let run = scenario::run(arguments.seed)?;
    if arguments.trace {
        print!("{}", run.trace);
    }
    println!("{}", run.summary);
    Ok(())
}
