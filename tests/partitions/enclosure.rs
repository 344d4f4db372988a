//! Everything that a run starts lives in namespaces of its own: of processes, of the network, of mounts. When their first
//! process ends, for whatever reason, the kernel ends all the others, and with them goes every host, link and cut. So
//! nothing is left behind, and nothing else on this machine can be hit by mistake.

use std::fs;
use std::io::{Read as _, stdin};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context as _, Result};
use rustix::process::{WaitOptions, wait};
use tokio::signal::unix::{SignalKind, signal};

use crate::net::system;

/// What makes the namespaces. Whoever is not root becomes it in them, where the kernel allows that.
fn unshare() -> Vec<&'static str> {
    let mut words = vec!["unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc"];
    if !rustix::process::geteuid().is_root() {
        words.push("--map-root-user");
    }
    words
}

/// Why there can be no enclosure here, if so.
pub(crate) fn missing() -> Option<String> {
    let needs: [&[&str]; 2] = [&["ip", "-Version"], &["nft", "list", "ruleset"]];
    let tried = needs.iter().try_for_each(|words| system(&[&unshare(), *words].concat()).map(drop));
    tried.err().map(|error| format!("it needs root or user namespaces, ip and nft: {error:#}"))
}

/// Runs this program with these arguments in an enclosure, until it ends or this process is told to. None is for the latter.
pub(crate) async fn run(directory: &Path, arguments: &[&str]) -> Result<Option<ExitStatus>> {
    let unshare = unshare();
    let mut command = tokio::process::Command::new(unshare[0]);
    command.args(&unshare[1..]).arg(std::env::current_exe()?).args(arguments);
    // As long as this pipe is open, whoever opened it is there (`first`). Ctrl-C is for this process alone.
    command.stdin(Stdio::piped()).process_group(0);
    for (name, _) in std::env::vars_os().filter(|(n, _)| n.to_string_lossy().starts_with("KATO_")) {
        command.env_remove(name);
    }
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut child = command.spawn().context("cannot run unshare")?;
    let pipe = child.stdin.take();
    let ended = tokio::select! {
        biased;
        ended = child.wait() => Some(ended?),
        _ = interrupt.recv() => None,
        _ = terminate.recv() => None,
    };
    drop(pipe);
    // It waits for the first process, whose end the kernel delays until all others have ended.
    child.wait().await?;
    remove_groups(directory);
    Ok(ended)
}

/// What the first process in the enclosure does: starts this program again to do the work, inherits orphans, and ends
/// with the worker, or with whoever made the enclosure. Returns the worker's exit code.
pub(crate) fn first(directory: &Path, arguments: &[&str]) -> Result<u8> {
    std::thread::spawn(|| {
        // An error is an end as well.
        let _ = stdin().read_to_end(&mut Vec::new());
        std::process::exit(1);
    });
    // `ip` keeps its namespaces in /run: in one that nobody else sees.
    system(&["mount", "-t", "tmpfs", "kato", "/run"])?;
    if let Some(group) = group(directory)
        && fs::create_dir(&group).is_ok()
    {
        fs::write(group.join("cgroup.procs"), "0")?;
    }
    let mut command = Command::new(std::env::current_exe()?);
    let worker = command.args(arguments).stdin(Stdio::null()).spawn()?.id();
    loop {
        let (ended, status) = wait(WaitOptions::empty())?.context("something has ended")?;
        if u32::try_from(ended.as_raw_pid())? == worker {
            return Ok(status.exit_status().and_then(|code| code.try_into().ok()).unwrap_or(1));
        }
    }
}

/// The control group of a run, below that of whoever started it: guards make theirs in it, if anybody may make any.
fn group(directory: &Path) -> Option<PathBuf> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let place = mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (place, kind) = (fields.next()?, fields.next()?);
        (kind == "cgroup2").then_some(place)
    })?;
    Some(Path::new(place).join(own).join(directory.file_name()?))
}

/// Removes the control groups of a run that is over.
fn remove_groups(directory: &Path) {
    let Some(group) = group(directory) else { return };
    for entry in fs::read_dir(&group).into_iter().flatten().flatten() {
        // Its files go with it.
        let _ = fs::remove_dir(entry.path());
    }
    let _ = fs::remove_dir(group);
}
