//! Snapshots of 100,000 placements: how long they take to write and to restore, and in how much memory.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use kato_raft::rig::{sample, snapshots};
use kato_raft::{DirDisk, Disk};

use crate::rounds;

/// Placements in the state.
const PLACEMENTS: u32 = 100_000;

/// Measures both, each round in a directory of its own.
#[allow(clippy::disallowed_methods, reason = "a benchmark measures real time")]
pub(crate) async fn run(count: u32) -> anyhow::Result<()> {
    rounds::heading(&format!("snapshot: {PLACEMENTS} placements, on disk"));
    let state = sample::state(PLACEMENTS);
    let (mut writes, mut restores) = (Vec::new(), Vec::new());
    let (mut memory_writing, mut memory_restoring, mut sizes) =
        (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..count {
        let directory = tempfile::tempdir()?;
        let disk: Arc<dyn Disk> = Arc::new(DirDisk::open(directory.path())?);
        let before = Memory::begin()?;
        let began = Instant::now();
        snapshots::write(Arc::clone(&disk), &state).await?;
        writes.push(began.elapsed().as_secs_f64() * 1e3);
        memory_writing.push(before.peak_mib()?);
        let names = disk.list()?;
        let name = names.first().context("a snapshot was written")?;
        let kib = u32::try_from(std::fs::metadata(disk.path(name))?.len() >> 10)?;
        sizes.push(f64::from(kib) / 1024.0);
        let before = Memory::begin()?;
        let began = Instant::now();
        let view = snapshots::restore(disk)?;
        restores.push(began.elapsed().as_secs_f64() * 1e3);
        memory_restoring.push(before.peak_mib()?);
        anyhow::ensure!(view.state == state, "another state came back");
    }
    rounds::print("the file", "MiB", sizes);
    rounds::print("written and synced", "ms", writes);
    rounds::print("memory added while it was written", "MiB", memory_writing);
    rounds::print("restored", "ms", restores);
    rounds::print("memory added by restoring, the state included", "MiB", memory_restoring);
    Ok(())
}

/// What this process takes, in KiB.
struct Memory(f64);

impl Memory {
    /// Forgets the peak so far (proc(5), `clear_refs`).
    fn begin() -> anyhow::Result<Self> {
        std::fs::write("/proc/self/clear_refs", "5")?;
        Ok(Self(status("VmRSS:")?))
    }

    /// The peak since then, above what there was.
    fn peak_mib(&self) -> anyhow::Result<f64> {
        Ok((status("VmHWM:")? - self.0) / 1024.0)
    }
}

fn status(key: &str) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.context("the system says what memory a process takes")?.parse()?)
}
