//! Benchmarks of the whole. `cargo run --release -p kato-tests --bin bench -- all` prints every figure with its
//! least, median and greatest over several rounds. Nothing is asserted: machines are shared and noisy.
//!
//! The mesh is three `kato coordinator` processes with mutual TLS and real disks; its machines are agents in this
//! process whose engine starts nothing, so that what is measured is Káto and not the host's `fork`.

mod attempts;
mod delay;
mod disk;
mod engine;
mod etcd;
mod failover;
mod leader;
mod load;
mod mesh;
mod rounds;
mod snapshot;
mod transfer;
mod wait;

use clap::{Parser, Subcommand};

/// Measures Káto.
#[derive(Parser)]
struct Arguments {
    /// Rounds of each measurement.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Clients at once, for placements and writes.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64, 256])]
    clients: Vec<usize>,
    #[command(subcommand)]
    what: What,
}

#[derive(Clone, Copy, Subcommand)]
enum What {
    /// Placements decided per second by the engine alone, on the catalogue in ../shared/data.
    Engine,
    /// New workloads committed per second, one RPC each, from a number of clients at once.
    Placements,
    /// Durable changes of workloads per second, one RPC each, in turn with puts into etcd.
    Writes,
    /// One client's durable write, in turn with an append and fdatasync on the same disk.
    Disk,
    /// Time from kill -9 of the leader to the next accepted write, in turn with etcd's; a kill for each round.
    Leader,
    /// The longest time without an accepted write when the leader is asked to stop, at a round trip of 60 ms.
    Transfer,
    /// Time from a datacenter's death to its instances running elsewhere.
    Failover,
    /// A snapshot of 100,000 placements: time and memory to write it and to restore it.
    Snapshot,
    /// All of them.
    All,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let rounds = arguments.rounds;
    let all = matches!(arguments.what, What::All);
    if all || matches!(arguments.what, What::Engine) {
        engine::run(rounds)?;
    }
    if all || matches!(arguments.what, What::Placements) {
        load::placements(rounds, &arguments.clients).await?;
    }
    if all || matches!(arguments.what, What::Writes) {
        load::writes(rounds, &arguments.clients).await?;
    }
    if all || matches!(arguments.what, What::Snapshot) {
        snapshot::run(rounds).await?;
    }
    if all || matches!(arguments.what, What::Disk) {
        disk::run(rounds).await?;
    }
    if all || matches!(arguments.what, What::Leader) {
        leader::run(rounds).await?;
    }
    if all || matches!(arguments.what, What::Transfer) {
        transfer::run(rounds).await?;
    }
    if all || matches!(arguments.what, What::Failover) {
        failover::run(rounds).await?;
    }
    Ok(())
}
