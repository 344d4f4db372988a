//! The directory of one instance, `instances/web@1/`: what is in it, who owns it, and what an ended shim left.

use std::fs::{File, TryLockError};
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kato_core::InstanceId;
use rustix::process::{Signal, kill_process};
use tokio::net::UnixStream;

use crate::procfs::{self, Process};
use crate::record::{
    self, ASSIGNMENT, Assigned, DIRECTORIES, LOCK, Recorded, SOCKET, STATUS, WORK,
};
use crate::shim::Cgroup;

/// What a shim says about itself, in case it cannot run at all.
const SHIM_LOG: &str = "shim.log";
/// How much of that is shown, in bytes.
const SHIM_LOG_BYTES: usize = 500;
/// The pause between two looks at processes that were killed.
const LOOK: Duration = Duration::from_millis(5);
/// How long killed processes may take to be gone.
const KILL_DEADLINE: Duration = Duration::from_secs(30);

/// The directory of one instance.
#[derive(Debug, Clone)]
pub(super) struct Home {
    path: PathBuf,
}

impl Home {
    pub(super) fn new(sandbox: &Path, instance: &InstanceId) -> Self {
        Self::of(&sandbox.join("instances"), instance)
    }

    /// The same, by the directory in which all of them are.
    pub(super) fn of(instances: &Path, instance: &InstanceId) -> Self {
        Self { path: instances.join(instance.to_string()) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes it and what the unit's specifiers name.
    pub(super) fn create(&self) -> io::Result<()> {
        for name in DIRECTORIES.iter().chain([&WORK]) {
            std::fs::create_dir_all(self.path.join(name))?;
        }
        Ok(())
    }

    pub(super) fn remove(&self) -> io::Result<()> {
        match std::fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Takes the directory, unless a shim has it. The lock goes with the file, and with its duplicates.
    pub(super) fn lock(&self) -> io::Result<Option<File>> {
        let path = self.path.join(LOCK);
        let lock = match File::options().create(true).truncate(false).write(true).open(path) {
            // There is no directory to own.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.create()?;
                return self.lock();
            }
            opened => opened?,
        };
        match lock.try_lock() {
            Ok(()) => Ok(Some(lock)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    pub(super) fn assigned(&self) -> io::Result<Option<Assigned>> {
        record::read(&self.path.join(ASSIGNMENT))
    }

    pub(super) fn assign(&self, assigned: &Assigned) -> io::Result<()> {
        record::write(&self.path.join(ASSIGNMENT), assigned)
    }

    pub(super) fn recorded(&self) -> io::Result<Option<Recorded>> {
        record::read(&self.path.join(STATUS))
    }

    pub(super) fn record(&self, recorded: &Recorded) -> io::Result<()> {
        record::write(&self.path.join(STATUS), recorded)
    }

    /// Where a shim may complain.
    pub(super) fn shim_log(&self) -> io::Result<File> {
        File::create(self.path.join(SHIM_LOG))
    }

    /// What it complained of.
    pub(super) fn complaint(&self) -> String {
        let read = std::fs::read(self.path.join(SHIM_LOG)).unwrap_or_default();
        let end = &read[read.len().saturating_sub(SHIM_LOG_BYTES)..];
        String::from_utf8_lossy(end).trim().to_owned()
    }

    /// Connects to its shim.
    pub(super) async fn connect(&self) -> io::Result<UnixStream> {
        // The path of the socket may be longer than the kernel takes; through the open directory it is short.
        let directory = File::open(&self.path)?;
        let path = format!("/proc/self/fd/{}/{SOCKET}", directory.as_raw_fd());
        UnixStream::connect(path).await
    }

    /// Kills what a shim that was killed left behind, and returns once all of it is gone. The unit's own processes
    /// died with the shim, but theirs did not; they are known by their control group, and by an environment that
    /// nobody else has.
    pub(super) async fn clear(&self) -> io::Result<()> {
        let cgroup = self.recorded()?.and_then(|recorded| recorded.cgroup);
        let cgroup = cgroup.map(|path| Cgroup::at(PathBuf::from(path)));
        let marks = self.assigned()?.map(|assigned| assigned.mark_lines(&self.path));
        let killed = async {
            loop {
                if let Some(cgroup) = &cgroup {
                    cgroup.kill();
                }
                let left = marks.as_ref().map(|marks| procfs::marked(marks)).unwrap_or_default();
                if left.is_empty() && cgroup.as_ref().is_none_or(Cgroup::remove) {
                    return;
                }
                for process in left.into_iter().filter_map(Process::id) {
                    let _ = kill_process(process, Signal::KILL);
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "killed processes are not gone");
        tokio::time::timeout(KILL_DEADLINE, killed).await.map_err(late)
    }
}
