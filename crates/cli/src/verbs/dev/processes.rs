//! The processes of a datacenter: started with a mark in their environment, and found by it, so that none is left behind
//! when the datacenter is killed. A unit may clear its environment, leave its session and fork away, but it stays below
//! its shim, which adopts what is orphaned, and in its shim's control group where there is one.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// The environment variable that carries the mark.
const MARK: &str = "KATO_DEV";
/// The environment variable by which the sandbox tells its units and their shims apart.
const UNIT_DIRECTORY: &str = "KATO_DIRECTORY";
/// How the control groups begin that shims make for their units; sixteen digits follow.
const GROUP: &str = "kato-";
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

/// The processes that carry a datacenter's mark, and units and their shims, which get no more of an agent's environment
/// than their directory.
pub(super) fn marked(mark: &OsString) -> io::Result<Vec<Pid>> {
    let found = all()?.into_values().filter(|process| process.is_marked(mark));
    Ok(found.filter_map(|process| Pid::from_raw(process.pid)).collect())
}

/// A process that has not ended.
#[derive(Debug)]
struct Process {
    pid: i32,
    parent: i32,
    /// When it started: whoever has its number later has another.
    started: u64,
}

/// Every process of this machine, by its number.
fn all() -> io::Result<BTreeMap<i32, Process>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.parse().ok());
        // Those that end meanwhile are left out.
        if let Some(process) = number.and_then(Process::read) {
            found.insert(process.pid, process);
        }
    }
    Ok(found)
}

impl Process {
    /// Reads `/proc/PID/stat` (`proc_pid_stat(5)`). A zombie has ended.
    fn read(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The second field is the program's name in parentheses, and may hold anything.
        let (_, fields) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
        let ended = matches!(*fields.first()?, "Z" | "X");
        let (parent, started) = (fields.get(1)?.parse().ok()?, fields.get(19)?.parse().ok()?);
        (!ended).then_some(Self { pid, parent, started })
    }

    /// Whether it carries a datacenter's mark. One that belongs to somebody else is none of ours.
    fn is_marked(&self, mark: &OsString) -> bool {
        fs::read(format!("/proc/{}/environ", self.pid)).is_ok_and(|environment| {
            environment.split(|byte| *byte == 0).any(|variable| is_of(variable, mark))
        })
    }

    /// The control group that a shim has made for its unit, if it is in one.
    fn group(&self) -> Option<String> {
        let groups = fs::read_to_string(format!("/proc/{}/cgroup", self.pid)).ok()?;
        let group = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
        let name = group.rsplit('/').next()?.strip_prefix(GROUP)?;
        let hashed = name.len() == 16 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        hashed.then(|| group.to_owned())
    }
}

/// The marked processes, all below them, and all that share a unit's control group with one of those. This process is
/// not among them.
fn belonging(mark: &OsString) -> io::Result<BTreeMap<i32, Process>> {
    let mut others = all()?;
    others.remove(&i32::try_from(std::process::id()).unwrap_or(0));
    let mut joining: BTreeMap<i32, Process>;
    (joining, others) = others.into_iter().partition(|(_, process)| process.is_marked(mark));
    let (mut found, mut groups) = (BTreeMap::new(), BTreeSet::new());
    while !joining.is_empty() {
        groups.extend(joining.values().filter_map(Process::group));
        found.append(&mut joining);
        let joins = |process: &Process| {
            let shares = || process.group().is_some_and(|group| groups.contains(&group));
            found.contains_key(&process.parent) || (!groups.is_empty() && shares())
        };
        (joining, others) = others.into_iter().partition(|(_, process)| joins(process));
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

/// Kills everything that belongs to a datacenter, and returns how many that were. All of it is stopped first, again and
/// again until there is nothing new: what is stopped starts nothing, and sees none of the others go.
pub(super) async fn kill_all(mark: &OsString) -> io::Result<usize> {
    let mut doomed: BTreeMap<i32, Process> = BTreeMap::new();
    for _ in 0..LOOKS_MAX {
        let mut found = belonging(mark)?;
        let same = |one: &Process, other: &Process| one.started == other.started;
        found.retain(|pid, new| doomed.get(pid).is_none_or(|known| !same(known, new)));
        if !found.is_empty() {
            send(found.values(), Signal::STOP);
            doomed.append(&mut found);
            continue;
        }
        let running = all()?;
        let left =
            |process: &&Process| running.get(&process.pid).is_some_and(|now| same(now, process));
        let left: Vec<&Process> = doomed.values().filter(left).collect();
        if left.is_empty() {
            return Ok(doomed.len());
        }
        send(left.into_iter(), Signal::KILL);
        tokio::time::sleep(LOOK).await;
    }
    Err(io::Error::other("some processes do not die"))
}

/// Sends a signal to those that are still there.
fn send<'a>(processes: impl Iterator<Item = &'a Process>, signal: Signal) {
    for process in processes {
        let now = Process::read(process.pid).filter(|now| now.started == process.started);
        if let Some(pid) = now.and_then(|now| Pid::from_raw(now.pid)) {
            // It may have ended by itself; the next look tells.
            kill_process(pid, signal).ok();
        }
    }
}

/// Asks a process to end.
pub(super) fn terminate(child: &Child) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // It may have ended by itself.
        kill_process(pid, Signal::TERM).ok();
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};

    use super::*;

    /// A process of the datacenter, which starts one that hides, and says its number.
    fn family(mark: &OsString, hiding: &str) -> (Child, i32) {
        let script = format!("{hiding} sh -c 'echo $$; exec sleep 1000' & wait");
        let mut child = Command::new("/bin/sh")
            .args(["-c", &script])
            .env(MARK, mark)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        (child, line.trim().parse().unwrap())
    }

    #[tokio::test]
    async fn what_hides_is_killed_with_its_datacenter_and_nothing_else_is() {
        let directory = tempfile::tempdir().unwrap();
        let site = |name: &str| mark(&directory.path().join(name));
        let (mut lost, hidden) = family(&site("lost"), "env -i setsid");
        let (mut kept, other) = family(&site("lost-not"), "env -i setsid");
        assert!(!marked(&site("lost")).unwrap().contains(&Pid::from_raw(hidden).unwrap()));
        assert_eq!(kill_all(&site("lost")).await.unwrap(), 2);
        lost.wait().unwrap();
        assert!(Process::read(hidden).is_none(), "it survived its datacenter");
        assert!(Process::read(other).is_some(), "it is another datacenter's");
        assert_eq!(kill_all(&site("lost")).await.unwrap(), 0);
        assert_eq!(kill_all(&site("lost-not")).await.unwrap(), 2);
        kept.wait().unwrap();
    }
}
