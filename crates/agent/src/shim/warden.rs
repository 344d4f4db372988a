//! Who watches the guard. A shim that is killed takes the unit's own process with it, but not what that one has
//! started; and then there is nobody left to keep the deadline. So a singleton has a second, even smaller process:
//! it waits for the shim to end, kills whatever of the instance is left, and ends.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, PipeWriter, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Signal, kill_process};
use serde::{Deserialize, Serialize};

use super::cgroup::Cgroup;
use crate::procfs::{self, Process};

/// What `exec-unit` is given instead of a setup to become a warden.
pub(crate) const FLAG: &str = "--warden";
/// The pause between two looks at what is left.
const ROUND: Duration = Duration::from_millis(2);

/// What a warden kills.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Ward {
    /// What the environment of every process of the instance holds, each `NAME=value`.
    pub(super) marks: Vec<String>,
    pub(super) cgroup: Option<PathBuf>,
}

/// The warden of this shim. It acts when this is dropped, or when nobody is left to drop it.
#[derive(Debug)]
pub(super) struct Warden {
    pub(super) pid: i32,
    _line: PipeWriter,
}

impl Warden {
    /// It holds the directory's lock as well, as its standard output: while it still kills, nothing of the instance
    /// can be started anew, which it could not tell from what it is to kill.
    pub(super) fn start(ward: &Ward, lock: &File) -> io::Result<Self> {
        let (end, line) = io::pipe()?;
        let mut command = Command::new("/proc/self/exe");
        command.arg0("kato").args(["exec-unit", FLAG, &serde_json::to_string(ward)?]).env_clear();
        command.stdin(Stdio::from(end)).stdout(lock.try_clone()?).stderr(Stdio::null());
        let pid = i32::try_from(command.spawn()?.id()).map_err(io::Error::other)?;
        Ok(Self { pid, _line: line })
    }
}

/// The whole life of a warden. Its standard input ends when the shim does.
pub(crate) fn keep(ward: &OsStr) -> io::Result<()> {
    let ward = ward.to_str().ok_or(io::ErrorKind::InvalidInput)?;
    let ward: Ward = serde_json::from_str(ward)?;
    // What is sent to the shim's group or session is not meant for it.
    let _ = rustix::process::setsid();
    io::stdin().read_to_end(&mut Vec::new())?;
    let cgroup = ward.cgroup.map(Cgroup::at);
    loop {
        if let Some(cgroup) = &cgroup {
            cgroup.kill();
        }
        let left = procfs::marked(&ward.marks);
        if left.is_empty() && cgroup.as_ref().is_none_or(Cgroup::remove) {
            return Ok(());
        }
        for process in left.into_iter().filter_map(Process::id) {
            let _ = kill_process(process, Signal::KILL);
        }
        std::thread::sleep(ROUND);
    }
}
