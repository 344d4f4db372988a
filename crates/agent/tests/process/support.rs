//! What the tests share: a sandbox in a directory of its own, waiting for conditions, and looking at `/proc`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use kato_agent::sandbox::{Config, Sandbox};
use kato_core::{InstanceId, Resources};
use kato_net::clock::{Clock as _, SystemClock};
use kato_units::engine::{Assignment, InstanceStatus, RunState, UnitEngine as _};
use tempfile::TempDir;

/// How long any condition may take. Only a test that fails waits as long.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) fn block_on(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(3 * PATIENCE, test).await.expect("the test takes too long");
    });
}

/// A directory for a sandbox. Whatever still runs in it when the test ends is killed.
pub(crate) struct Bench {
    directory: TempDir,
    pub(crate) config: Config,
}

impl Bench {
    pub(crate) fn new() -> Self {
        // Longer than the path of a socket may be, as an agent's state directory may well be.
        let directory = tempfile::Builder::new().prefix(&"long-".repeat(25)).tempdir().unwrap();
        let config = config(directory.path());
        Self { directory, config }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) async fn open(&self) -> Sandbox {
        Sandbox::open(self.config.clone(), Arc::new(SystemClock)).await.unwrap()
    }

    /// The files of an instance.
    pub(crate) fn home(&self, name: &str) -> PathBuf {
        self.path().join("instances").join(name)
    }

    /// The state file `name` of an instance, once it has a whole line.
    pub(crate) async fn state(&self, instance: &str, name: &str) -> String {
        let path = self.home(instance).join("state").join(name);
        let written = || fs::read_to_string(&path).is_ok_and(|text| text.ends_with('\n'));
        eventually(name, written).await;
        fs::read_to_string(&path).unwrap()
    }

    /// The processes that belong to this sandbox, shims included: by their arguments, their environment, or where they
    /// are.
    pub(crate) fn processes(&self) -> Vec<i32> {
        let path = self.path().to_str().unwrap().to_owned();
        let holds = |pid: i32, file: &str| {
            let text = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            String::from_utf8_lossy(&text).contains(&path)
        };
        let is_in = |pid: i32| {
            let place = fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
            place.to_str().is_some_and(|place| place.contains(&path))
        };
        let all = fs::read_dir("/proc").unwrap().flatten();
        let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let ours = |pid: i32| holds(pid, "environ") || holds(pid, "cmdline") || is_in(pid);
        pids.filter(|pid| runs(*pid) && ours(*pid)).collect()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // Again, because a shim may start anew what is killed under it.
        loop {
            let left = self.processes();
            if left.is_empty() {
                break;
            }
            left.into_iter().for_each(kill);
        }
        for home in fs::read_dir(self.path().join("instances")).into_iter().flatten().flatten() {
            let status = fs::read_to_string(home.path().join("status.json")).unwrap_or_default();
            let cgroup =
                status.split("\"cgroup\":\"").nth(1).and_then(|rest| rest.split('"').next());
            let _ = cgroup.map(fs::remove_dir);
        }
    }
}

pub(crate) fn config(directory: &Path) -> Config {
    Config::new(directory, "dub".parse().unwrap(), "core-1.cell-1.dub.demo.com")
}

/// The first instance of a template with this `[Service]` section.
pub(crate) fn assignment(name: &str, service: &str) -> Assignment {
    Assignment {
        instance: format!("{name}@1").parse().unwrap(),
        epoch: 7,
        generation: 1,
        unit_name: format!("{name}@.service"),
        unit: format!("[Service]\n{service}\n").into(),
        request: Resources::new(500, 256),
        ports: BTreeSet::new(),
        singleton: false,
    }
}

pub(crate) fn id(text: &str) -> InstanceId {
    text.parse().unwrap()
}

/// A point of the boot clock.
pub(crate) fn ahead(by: Duration) -> Duration {
    SystemClock.boot() + by
}

/// Waits until the instance is as `is` wants it, and returns how it is then.
pub(crate) async fn until(
    sandbox: &Sandbox,
    instance: &str,
    is: impl Fn(&InstanceStatus) -> bool,
) -> InstanceStatus {
    let instance = id(instance);
    let mut statuses = sandbox.statuses();
    let found = async {
        while let Some(statuses) = statuses.next().await {
            if let Some(status) = statuses.get(&instance).filter(|status| is(status)) {
                return status.clone();
            }
        }
        panic!("the statuses end");
    };
    let found = tokio::time::timeout(PATIENCE, found).await;
    found
        .unwrap_or_else(|_| panic!("it never came to that: {:?}", sandbox.current().get(&instance)))
}

pub(crate) async fn running(sandbox: &Sandbox, instance: &str) -> InstanceStatus {
    until(sandbox, instance, |status| status.state == RunState::Running).await
}

pub(crate) async fn ended(sandbox: &Sandbox, instance: &str) -> InstanceStatus {
    until(sandbox, instance, |status| status.state.is_final()).await
}

/// Waits until `holds`, which nobody announces.
pub(crate) async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let mut look = tokio::time::interval(Duration::from_millis(2));
    let looking = async {
        while !holds() {
            look.tick().await;
        }
    };
    let found = tokio::time::timeout(PATIENCE, looking).await;
    found.unwrap_or_else(|_| panic!("it never came to that: {what}"));
}

/// The state and the parent of a process; a zombie is none.
fn stat(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    (state != "Z").then(|| fields.next()?.parse().ok())?
}

pub(crate) fn runs(pid: i32) -> bool {
    stat(pid).is_some()
}

pub(crate) fn parent(pid: i32) -> i32 {
    stat(pid).unwrap()
}

pub(crate) fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
}

pub(crate) fn main_pid(status: &InstanceStatus) -> i32 {
    i32::try_from(status.pid.expect("it has no main process")).unwrap()
}
