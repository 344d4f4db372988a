//! A mesh of real processes: `kato dev` in a directory and a home of its own, and `kato` as its operator would run it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kato_proto::v1::{self, Event, Instance, RunState};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::processes::{self, Process};
use super::program::{self, Ran, run};
use super::{now, say, until};

/// The datacenters of `kato dev`.
pub(crate) const DATACENTERS: [&str; 3] = ["dub", "ewr", "sin"];

/// One mesh at a time: they share the host's ports and processors, and leases are about time.
static ALONE: Mutex<()> = Mutex::new(());

/// A running mesh. Dropping it stops it, and insists that nothing of it is left.
pub(crate) struct Mesh {
    home: TempDir,
    dev: Option<Child>,
    /// How long it took to be ready.
    pub(crate) took: Duration,
    _alone: MutexGuard<'static, ()>,
}

impl Mesh {
    /// A mesh that is ready.
    pub(crate) fn start() -> Self {
        let mut mesh = Self::idle();
        mesh.resume();
        mesh
    }

    /// A home for a mesh that is not started yet.
    pub(crate) fn idle() -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let home = tempfile::Builder::new().prefix("kato-e2e-").tempdir().unwrap();
        Self { home, dev: None, took: Duration::ZERO, _alone: alone }
    }

    /// Starts `kato dev` in the data directory, be it new or not.
    pub(crate) fn resume(&mut self) {
        assert!(self.dev.is_none(), "it runs");
        let began = now();
        let log = File::create(self.log()).unwrap();
        let mut command = self.command(&["dev", "--data-dir", self.data().to_str().unwrap()]);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut dev = command.spawn().unwrap();
        until("the mesh is ready", || {
            let said = fs::read_to_string(self.log()).unwrap();
            let ended = dev.try_wait().unwrap();
            assert!(ended.is_none(), "kato dev ended with {ended:?}: {said}");
            said.contains("\nready in ").then_some(())
        });
        self.dev = Some(dev);
        self.took = now().saturating_sub(began);
        // It is raised once, moments after all coordinators have heard of each other: that is no change of a test's.
        until("the mesh version is raised", || {
            (self.status().mesh_version == kato_core::version::NEWEST).then_some(())
        });
    }

    /// Ctrl-C, and the wait until everything is gone.
    pub(crate) fn stop(&mut self) {
        let Some(mut dev) = self.dev.take() else { return };
        kill_process(Pid::from_child(&dev), Signal::INT).unwrap();
        let status = until("kato dev ends", || dev.try_wait().unwrap());
        assert!(status.success(), "kato dev: {status}: {}", self.said());
        let left = processes::of(&self.data());
        assert!(left.is_empty(), "kato dev left processes behind: {left:#?}");
    }

    /// The supervisor dies without a word; what it started does not notice.
    pub(crate) fn crash(&mut self) {
        let mut dev = self.dev.take().expect("it runs");
        dev.kill().unwrap();
        dev.wait().unwrap();
    }

    fn log(&self) -> PathBuf {
        self.home.path().join("dev.log")
    }

    /// What `kato dev` has printed.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// Where the test may leave files.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// The data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.home.path().join("mesh")
    }

    /// A `kato` of this mesh's operator.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        program::command(self.home.path(), arguments)
    }

    pub(crate) fn kato(&self, arguments: &[&str]) -> Ran {
        run(&mut self.command(arguments))
    }

    /// `kato dev lose` or `return`.
    pub(crate) fn dev(&self, verb: &str, datacenter: &str) {
        self.kato(&["dev", verb, datacenter, "--data-dir", self.data().to_str().unwrap()]).code(0);
    }

    /// The answer of a verb as the API's message. None where nobody answers at the moment.
    fn ask<T: serde::de::DeserializeOwned>(&self, arguments: &[&str]) -> Option<T> {
        let ran = self.kato(arguments);
        let read = || serde_json::from_str(&ran.out).unwrap_or_else(|e| panic!("{e}: {}", ran.out));
        (ran.code == 0).then(read)
    }

    /// The instances of a workload; none where the mesh does not answer.
    pub(crate) fn instances(&self, workload: &str) -> Vec<Instance> {
        let answer = self.ask(&["get", "placements", workload, "-o", "json", "--timeout", "3s"]);
        answer.map(|list: v1::ListPlacementsResponse| list.instances).unwrap_or_default()
    }

    pub(crate) fn instance(&self, id: &str) -> Option<Instance> {
        let (workload, _) = id.split_once('@').unwrap();
        self.instances(workload).into_iter().find(|instance| instance.id == id)
    }

    /// The events that are remembered, the oldest first.
    pub(crate) fn events(&self) -> Vec<Event> {
        let answer = self.ask(&["events", "-o", "json", "--timeout", "3s"]);
        answer.map(|list: v1::ListEventsResponse| list.events).unwrap_or_default()
    }

    pub(crate) fn machines(&self) -> Vec<v1::Machine> {
        let answer = self.ask(&["get", "machines", "-o", "json", "--timeout", "3s"]);
        answer.map(|list: v1::ListMachinesResponse| list.machines).unwrap_or_default()
    }

    pub(crate) fn datacenter(&self, name: &str) -> v1::Datacenter {
        until("the mesh tells of its datacenters", || {
            let answer = self.ask(&["get", "datacenters", "-o", "json", "--timeout", "3s"]);
            let mut all = answer.map(|list: v1::ListDatacentersResponse| list.datacenters)?;
            all.retain(|datacenter| datacenter.name == name);
            all.pop()
        })
    }

    pub(crate) fn status(&self) -> v1::GetStatusResponse {
        until("the mesh tells its status", || {
            self.ask(&["status", "-o", "json", "--timeout", "3s"])
        })
    }

    /// The datacenter whose coordinator leads.
    pub(crate) fn leader(&self) -> String {
        until("somebody leads", || Some(self.status().leader).filter(|leader| !leader.is_empty()))
    }

    /// Writes a unit file and returns its path.
    pub(crate) fn unit(&self, name: &str, service: &str, kato: &str) -> String {
        let text = format!("[Service]\n{service}\n\n[X-Kato]\nCPU=50m\nMemory=16M\n{kato}\n");
        self.file(name, &text)
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let directory = self.home.path().join("units");
        fs::create_dir_all(&directory).unwrap();
        let path = directory.join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Applies files and waits until every instance of each runs.
    pub(crate) fn run(&self, files: &[&str]) {
        for file in files {
            self.kato(&["apply", "-y", file]).code(0);
        }
        for file in files {
            let name = Path::new(file).file_stem().unwrap().to_str().unwrap();
            self.running(name.trim_end_matches('@'));
        }
    }

    /// Waits until all instances of a workload run, and returns them.
    pub(crate) fn running(&self, workload: &str) -> Vec<Instance> {
        until(&format!("{workload} runs"), || {
            Some(self.instances(workload)).filter(|all| {
                !all.is_empty() && all.iter().all(|one| one.state() == RunState::Running)
            })
        })
    }
}

/// A loop that does nothing, in a shell that ends when it is told to.
pub(crate) const IDLE: &str =
    "ExecStart=/bin/sh -c 'trap \"exit 0\" TERM; while :; do sleep 1 & wait $$!; done'";

impl Drop for Mesh {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.stop();
            return;
        }
        // The test has failed: say how the mesh was, and leave nothing behind, whatever that takes.
        for arguments in [&["get", "placements"][..], &["events"], &["status"]] {
            let ran = self.kato(&[arguments, &["--read", "stale", "--timeout", "2s"]].concat());
            say(&format!("----- kato {}\n{}{}", arguments.join(" "), ran.out, ran.err));
        }
        say(&format!("----- kato dev\n{}", self.said()));
        if let Some(mut dev) = self.dev.take() {
            drop(dev.kill());
            drop(dev.wait());
        }
        loop {
            let left = processes::of(&self.data());
            if left.is_empty() {
                break;
            }
            left.iter().for_each(|process: &Process| process.signal(Signal::KILL));
        }
    }
}
