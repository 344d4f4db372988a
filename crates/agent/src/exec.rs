//! The last step before a unit's command: a fresh process of this same binary that puts itself where it belongs
//! and then becomes the command.
//!
//! What has to happen between fork and exec needs `pre_exec`, which is unsafe, because after a fork almost nothing
//! may be called. A process that has been executed may call everything, so this one does that work instead, and a
//! millisecond of start-up is the price.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::{
    Pid, Resource, Rlimit, Signal, getppid, set_parent_process_death_signal, setpgid, setrlimit,
};
use serde::{Deserialize, Serialize};

use crate::shim::{self, warden};

/// What a process ends with that could not become its command, as systemd's do (`EXIT_EXEC`).
pub const EXIT_EXEC: u8 = 203;

/// The open files of a command, as systemd gives them: few by default, because of programs that still use
/// select(2), and many for whoever asks.
const FILES: (u64, u64) = (1_024, 524_288);

/// Why a process could not become its command. There is no other way for [`run`] to return.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The arguments are not those that a shim gives.
    #[error("exec-unit is called by kato's shim only, with its own arguments")]
    Arguments,
    /// The shim ended before this process could ask to die with it.
    #[error("the shim is gone")]
    Orphaned,
    /// It was to be a shim, and that failed.
    #[error(transparent)]
    Shim(shim::Error),
    /// A step on the way failed.
    #[error("could not {step}")]
    Step {
        /// Which.
        step: String,
        /// Why.
        source: io::Error,
    },
}

/// How to become a command, in the first argument.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Setup {
    /// The shim, which has to be alive still.
    pub(crate) parent: i32,
    /// Where to begin, and whether it may be missing.
    pub(crate) directory: PathBuf,
    pub(crate) directory_missing_ok: bool,
    /// The cgroup to enter.
    pub(crate) cgroup: Option<PathBuf>,
}

/// Becomes a unit's command. `arguments` are those after `exec-unit`: the setup, the program's path, and its
/// arguments, the zeroth included. Standard input is a pipe to the shim that closes as the command begins; what
/// goes wrong is written to it. A warden also calls this for its shim, with other arguments. A caller that gets this
/// function's error ends with [`EXIT_EXEC`].
pub fn run(arguments: &[OsString]) -> Error {
    if let [flag, parent] = arguments
        && flag == warden::FLAG
    {
        match shim::run_guarded(&parent.to_string_lossy()) {
            Ok(()) => std::process::exit(0),
            Err(error) => return Error::Shim(error),
        }
    }
    let report = rustix::io::fcntl_dupfd_cloexec(io::stdin(), 3).map(File::from);
    let error = become_command(arguments);
    if let Ok(mut report) = report {
        let cause = match &error {
            Error::Step { source, .. } => format!(": {source}"),
            _ => String::new(),
        };
        // A shim that is gone does not read it.
        let _ = write!(report, "{error}{cause}");
    }
    error
}

fn become_command(arguments: &[OsString]) -> Error {
    let [setup, program, zeroth, rest @ ..] = arguments else { return Error::Arguments };
    let setup = setup.to_str().and_then(|text| serde_json::from_str::<Setup>(text).ok());
    let Some(setup) = setup else { return Error::Arguments };
    if let Err(error) = prepare(&setup) {
        return error;
    }
    let mut command = Command::new(program);
    command.arg0(zeroth).args(rest).stdin(Stdio::null());
    let enter = !setup.directory_missing_ok || setup.directory.is_dir();
    if enter && let Err(source) = std::env::set_current_dir(&setup.directory) {
        let step = format!("enter the working directory {}", setup.directory.display());
        return Error::Step { step, source };
    }
    Error::Step { step: format!("execute {}", program.display()), source: command.exec() }
}

fn prepare(setup: &Setup) -> Result<(), Error> {
    let step = |step: &str| {
        let step = step.to_owned();
        move |error: rustix::io::Errno| Error::Step { step, source: error.into() }
    };
    // The signal first and the question after it: a shim that dies in between is noticed by one of them.
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(step("tie itself to its shim"))?;
    if getppid().map(Pid::as_raw_pid) != Some(setup.parent) {
        return Err(Error::Orphaned);
    }
    setpgid(None, None).map_err(step("make a process group"))?;
    if let Some(cgroup) = &setup.cgroup {
        std::fs::write(cgroup.join("cgroup.procs"), "0").map_err(|source| Error::Step {
            step: format!("enter the cgroup {}", cgroup.display()),
            source,
        })?;
    }
    // A core dump is as large as the memory that died, and nobody in a sandbox looks at it.
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, none).map_err(step("forbid core dumps"))?;
    let allowed = rustix::process::getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    let files = Rlimit { current: Some(FILES.0.min(allowed)), maximum: Some(FILES.1.min(allowed)) };
    setrlimit(Resource::Nofile, files).map_err(step("limit the open files"))
}
