//! What `/proc` knows of other processes: who descends from whom, and who carries an instance's marks. It is asked
//! instead of any list of our own, because a unit's processes fork without telling anybody.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use rustix::process::Pid;

/// A process that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    parent: i32,
    pub(crate) group: i32,
}

impl Process {
    /// Its id as the system calls take it.
    pub(crate) fn id(self) -> Option<Pid> {
        Pid::from_raw(self.pid)
    }
}

/// Every process of this machine that has not ended. Those that end while this reads are left out.
fn all() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(read).collect()
}

/// Reads `/proc/PID/stat` (`proc_pid_stat(5)`). A zombie has ended.
fn read(pid: i32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses, and may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    Some(Process { pid, parent, group })
}

/// The processes that descend from `root`, itself left out. With `root` a subreaper that is all that it ever
/// started, whatever they did to get away.
pub(crate) fn descendants(root: i32) -> Vec<Process> {
    let mut children: BTreeMap<i32, Vec<Process>> = BTreeMap::new();
    for process in all() {
        children.entry(process.parent).or_default().push(process);
    }
    let (mut found, mut seen) = (Vec::new(), BTreeSet::from([root]));
    let mut parents = vec![root];
    while let Some(parent) = parents.pop() {
        for child in children.get(&parent).into_iter().flatten() {
            // The table was read while it changed, so it need not be a tree.
            if seen.insert(child.pid) {
                found.push(*child);
                parents.push(child.pid);
            }
        }
    }
    found
}

/// The processes whose environment, as it was when they were started, holds every one of `marks` (`NAME=value`).
/// Whoever has taken over the number of a process that ended does not carry them.
pub(crate) fn marked(marks: &[String]) -> Vec<Process> {
    let carries = |process: &Process| {
        let Ok(environment) = fs::read(format!("/proc/{}/environ", process.pid)) else {
            return false;
        };
        let held: BTreeSet<&[u8]> = environment.split(|byte| *byte == 0).collect();
        marks.iter().all(|mark| held.contains(mark.as_bytes()))
    };
    all().into_iter().filter(carries).collect()
}

/// The processes whose environment, as it was when they were started, has a variable of this name, and its value.
pub(crate) fn carrying(name: &str) -> Vec<(Process, String)> {
    let value = |process: Process| {
        let environment = fs::read(format!("/proc/{}/environ", process.pid)).ok()?;
        let mut variables = environment.split(|byte| *byte == 0);
        let value = variables
            .find_map(|variable| variable.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
        Some((process, String::from_utf8_lossy(value).into_owned()))
    };
    all().into_iter().filter_map(value).collect()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_child_is_found_by_descent_and_by_its_marks_until_it_ends() {
        let own = i32::try_from(std::process::id()).unwrap();
        let mut child =
            Command::new("/bin/sleep").arg("600").env("KATO_MARK", "procfs").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let descends = |pid| descendants(own).iter().any(|process| process.pid == pid);
        let carries =
            |mark: &str| marked(&[mark.to_owned()]).iter().any(|process| process.pid == pid);
        assert!(descends(pid));
        assert!(carries("KATO_MARK=procfs") && !carries("KATO_MARK=other"));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!descends(pid) && !carries("KATO_MARK=procfs"));
    }
}
