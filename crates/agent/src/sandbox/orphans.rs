//! What runs here and is not known here: its files were removed under it, with the agent's whole directory perhaps, or
//! with an instance's. Nobody could extend it, stop it or see it, and the mesh may start it a second time on this very
//! machine. So it is ended before anything else begins.

use std::io;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Signal, kill_process};

use super::home::Home;
use crate::procfs::{self, Process};
use crate::record::DIRECTORY;

/// The pause between two looks at processes that were killed.
const LOOK: Duration = Duration::from_millis(5);
/// How long killed processes may take to be gone.
const KILL_DEADLINE: Duration = Duration::from_secs(30);

/// Kills the processes of instances that have no files any more, and returns once they are gone.
pub(super) async fn end(instances: &Path) -> io::Result<()> {
    let killed = async {
        loop {
            let orphans = orphans(instances)?;
            if orphans.is_empty() {
                return Ok(());
            }
            for process in orphans {
                tracing::warn!(pid = process.pid, "what runs without its files is killed");
                if let Some(id) = process.id() {
                    let _ = kill_process(id, Signal::KILL);
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "killed processes are not gone");
    tokio::time::timeout(KILL_DEADLINE, killed).await.map_err(late)?
}

fn orphans(instances: &Path) -> io::Result<Vec<Process>> {
    let prefix = format!("{}/", instances.display());
    let mut orphans = Vec::new();
    for (process, directory) in procfs::carrying(DIRECTORY) {
        let Some(name) = directory.strip_prefix(&prefix) else { continue };
        let known = match name.parse() {
            Ok(instance) => Home::of(instances, &instance).assigned()?.is_some(),
            Err(_) => false,
        };
        if !known {
            orphans.push(process);
        }
    }
    Ok(orphans)
}
