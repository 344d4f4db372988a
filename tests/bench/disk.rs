//! One client's durable write beside what the disk takes for the same bytes: an append and its `fdatasync`, in turn.

use std::fs::File;
use std::io::Write as _;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use crate::attempts::wish;
use crate::mesh::Mesh;
use crate::rounds;

/// How long one round lasts.
const ROUND: Duration = Duration::from_secs(3);
/// What one wish takes in the log, about.
const BYTES: usize = 256;

/// Measures both, the disk in the directory of the mesh.
pub(crate) async fn run(count: u32) -> anyhow::Result<()> {
    rounds::heading(
        "one client's durable write, and the disk's fdatasync of as many bytes, in turn",
    );
    let mesh = Mesh::without_machines(Duration::ZERO).await?;
    let path = mesh.directory().join("appended");
    let mut file = File::create(&path)?;
    let next = AtomicU64::new(0);
    let (mut writes, mut syncs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let channel = mesh.channel(0)?;
    wish(channel.clone(), &next).await?;
    for _ in 0..count {
        let write = median(async || Ok(wish(channel.clone(), &next).await?)).await?;
        let sync = median(async || {
            file.write_all(&[7; BYTES])?;
            Ok(file.sync_data()?)
        })
        .await?;
        writes.push(write);
        syncs.push(sync);
        ratios.push(write / sync);
    }
    rounds::print("one write after the other, p50", "ms", writes);
    rounds::print("one fdatasync after the other, p50", "ms", syncs);
    rounds::print("write / fdatasync", "", ratios);
    Ok(())
}

/// The median time of a call, in milliseconds, over one round.
#[allow(clippy::disallowed_methods, reason = "a benchmark measures real time")]
async fn median(mut call: impl AsyncFnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let (end, mut times) = (Instant::now() + ROUND, Vec::new());
    while Instant::now() < end {
        let began = Instant::now();
        call().await?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    Ok(rounds::spread(times).1)
}
