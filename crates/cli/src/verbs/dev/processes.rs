//! The processes of a datacenter: started with a mark in their environment that everything they start inherits, and
//! found by it, so that none is left behind when the datacenter is killed.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// The environment variable that carries the mark.
const MARK: &str = "KATO_DEV";
/// The environment variable by which the sandbox tells its units and their shims apart.
const UNIT_DIRECTORY: &str = "KATO_DIRECTORY";
/// Between two looks for processes that were to die.
const LOOK: Duration = Duration::from_millis(20);
/// Looks before giving up.
const LOOKS_MAX: u32 = 500;

/// The mark of one datacenter of one mesh.
pub(super) fn mark(site: &Path) -> OsString {
    site.as_os_str().to_owned()
}

/// Starts one of our own processes, with its output in a log file.
pub(super) fn start(verb: &str, config: &Path, log: &Path, mark: &OsString) -> io::Result<Child> {
    let log = File::options().create(true).append(true).open(log)?;
    Command::new(std::env::current_exe()?)
        .arg(verb)
        .arg("--config")
        .arg(config)
        .env(MARK, mark)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        // The terminal's Ctrl-C is for the supervisor alone.
        .process_group(0)
        .spawn()
}

/// The processes of a datacenter: those that carry its mark, and units and their shims, which get no more of an agent's
/// environment than their directory.
pub(super) fn marked(mark: &OsString) -> io::Result<Vec<Pid>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let path: PathBuf = entry?.path();
        let number = path.file_name().and_then(|name| name.to_str()?.parse::<i32>().ok());
        let Some(pid) = number.and_then(Pid::from_raw) else { continue };
        // A process that ended meanwhile, or that belongs to somebody else, is none of ours.
        let Ok(environment) = fs::read(path.join("environ")) else { continue };
        if environment.split(|byte| *byte == 0).any(|variable| is_of(variable, mark)) {
            found.push(pid);
        }
    }
    Ok(found)
}

/// Whether an environment variable says that its process belongs to the datacenter in the directory `mark`.
fn is_of(variable: &[u8], mark: &OsString) -> bool {
    let site = mark.as_encoded_bytes();
    let value = |name: &str| {
        variable.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b"="))
    };
    let below = |path: &[u8]| path.strip_prefix(site).is_some_and(|rest| rest.starts_with(b"/"));
    value(MARK) == Some(site) || value(UNIT_DIRECTORY).is_some_and(below)
}

/// Kills everything that carries a mark, again and again until nothing does: what is killed may just be starting
/// something. Returns how many were killed.
pub(super) async fn kill_all(mark: &OsString) -> io::Result<usize> {
    let mut killed = std::collections::BTreeSet::new();
    for _ in 0..LOOKS_MAX {
        let found = marked(mark)?;
        if found.is_empty() {
            return Ok(killed.len());
        }
        for pid in found {
            // It may have ended by itself; the next look tells.
            kill_process(pid, Signal::KILL).ok();
            killed.insert(pid.as_raw_nonzero());
        }
        tokio::time::sleep(LOOK).await;
    }
    Err(io::Error::other("some processes do not die"))
}

/// Asks a process to end.
pub(super) fn terminate(child: &Child) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // It may have ended by itself.
        kill_process(pid, Signal::TERM).ok();
    }
}
