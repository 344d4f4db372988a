//! The processes of a mesh, as `/proc` shows them: what the mesh says of itself is never believed here.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

/// A process that has not ended.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    parent: i32,
    pub(crate) arguments: Vec<String>,
    environment: Vec<String>,
}

/// One run of an instance. All its processes share it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Copy {
    pub(crate) epoch: u64,
    pub(crate) directory: String,
}

impl Process {
    fn read(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The state and the parent come after the name, which may hold anything (proc_pid_stat(5)).
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let (state, parent) = (fields.next()?, fields.next()?.parse().ok()?);
        // A zombie has ended.
        if state == "Z" {
            return None;
        }
        let words = |file: &str| {
            let bytes = fs::read(format!("/proc/{pid}/{file}")).ok()?;
            let words = bytes.split(|byte| *byte == 0).filter(|word| !word.is_empty());
            Some(words.map(|word| String::from_utf8_lossy(word).into_owned()).collect())
        };
        Some(Self { pid, parent, arguments: words("cmdline")?, environment: words("environ")? })
    }

    fn variable(&self, name: &str) -> Option<&str> {
        let value = |variable: &'_ String| variable.split_once('=').is_some_and(|(n, _)| n == name);
        self.environment.iter().find(|v| value(v)).map(|v| &v[name.len() + 1..])
    }

    /// Whether it is `kato VERB`, and one of its arguments ends as `tail` does.
    fn is(&self, verb: &str, tail: &str) -> bool {
        let tail_fits = |argument: &String| argument.ends_with(tail);
        self.arguments.get(1).is_some_and(|own| own == verb) && self.arguments.iter().any(tail_fits)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        // It may have ended by itself.
        let _ = kill_process(Pid::from_raw(self.pid).unwrap(), signal);
    }
}

/// Everything that runs for the mesh in this directory: its path is in their arguments or environment.
pub(crate) fn of(mesh: &Path) -> Vec<Process> {
    let path = mesh.to_str().unwrap();
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let ours = |process: &Process| {
        process.arguments.iter().chain(&process.environment).any(|word| word.contains(path))
    };
    pids.filter_map(Process::read).filter(ours).collect()
}

/// The coordinator of a datacenter.
pub(crate) fn coordinator(mesh: &Path, datacenter: &str) -> Process {
    one(mesh, "coordinator", &format!("/{datacenter}.toml"))
}

/// The agent of a machine, such as `core-1` in `dub`.
pub(crate) fn agent(mesh: &Path, datacenter: &str, machine: &str) -> Process {
    one(mesh, "agent", &format!("/{datacenter}/{machine}.toml"))
}

#[track_caller]
fn one(mesh: &Path, verb: &str, tail: &str) -> Process {
    let found: Vec<Process> = of(mesh).into_iter().filter(|p| p.is(verb, tail)).collect();
    let [process] = &found[..] else { panic!("not one {verb} of {tail}: {found:?}") };
    process.clone()
}

/// Coordinators and agents of a datacenter, but nothing of what the agents run.
pub(crate) fn control(mesh: &Path, datacenter: &str) -> Vec<Process> {
    let (file, directory) = (format!("/{datacenter}.toml"), format!("/{datacenter}/"));
    let here = |process: &Process| {
        process.is("coordinator", &file)
            || (process.is("agent", ".toml")
                && process.arguments.iter().any(|word| word.contains(&directory)))
    };
    of(mesh).into_iter().filter(here).collect()
}

/// The processes that an instance's unit has started, without the shim above them.
pub(crate) fn unit(mesh: &Path, instance: &str) -> Vec<Process> {
    let own = |process: &Process| process.variable("KATO_INSTANCE") == Some(instance);
    of(mesh).into_iter().filter(own).collect()
}

/// What watches over an instance's unit: its shim, and the shim's warden.
pub(crate) fn above(unit: &[Process]) -> Vec<Process> {
    let guards = |process: &Process| {
        let verb = process.arguments.get(1).map(String::as_str);
        matches!(verb, Some("shim" | "exec-unit"))
    };
    let mut found: Vec<Process> = Vec::new();
    let mut next: Vec<i32> = unit.iter().map(|process| process.parent).collect();
    while let Some(pid) = next.pop() {
        if found.iter().all(|known| known.pid != pid)
            && let Some(process) = Process::read(pid).filter(guards)
        {
            next.push(process.parent);
            found.push(process);
        }
    }
    found
}

/// The runs of an instance that have processes at this moment.
pub(crate) fn copies(mesh: &Path, instance: &str) -> BTreeSet<Copy> {
    let copy = |process: &Process| {
        Some(Copy {
            epoch: process.variable("KATO_EPOCH")?.parse().ok()?,
            directory: process.variable("KATO_DIRECTORY")?.to_owned(),
        })
    };
    unit(mesh, instance).iter().filter_map(copy).collect()
}

/// The process ids of an instance's unit.
pub(crate) fn pids(mesh: &Path, instance: &str) -> BTreeSet<i32> {
    unit(mesh, instance).iter().map(|process| process.pid).collect()
}
