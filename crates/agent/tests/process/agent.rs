//! Agents and shims that end before their units do.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;

use kato_agent::sandbox::{self, Sandbox};
use kato_net::clock::SystemClock;
use kato_units::engine::{RunState, UnitEngine as _};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{
    Bench, assignment, block_on, config, ended, eventually, id, kill, main_pid, parent, running,
    runs, until,
};

/// A process with a child that does not die with it.
const FAMILY: &str = "ExecStart=/bin/sh -c 'sleep 600 & echo $$! > %S/child; wait'";

/// An agent in a process of its own: starts a unit, says its process, and waits to be killed.
#[expect(clippy::print_stdout, reason = "the test that started it reads that")]
pub(crate) fn main(directory: &Path) -> ExitCode {
    block_on(async {
        let sandbox = Sandbox::open(config(directory), Arc::new(SystemClock)).await.unwrap();
        sandbox.start(assignment("family", FAMILY), None).await.unwrap();
        println!("{}", main_pid(&running(&sandbox, "family@1").await));
        std::future::pending::<()>().await;
    });
    ExitCode::SUCCESS
}

pub(crate) async fn a_reopened_sandbox_finds_the_same_process() {
    let bench = Bench::new();
    let sandbox = bench.open().await;
    sandbox.start(assignment("family", FAMILY), None).await.unwrap();
    let before = running(&sandbox, "family@1").await;
    let twice = Sandbox::open(bench.config.clone(), Arc::new(SystemClock)).await;
    assert!(matches!(twice, Err(sandbox::Error::Busy(_))), "two agents share a directory");

    drop(sandbox);
    let sandbox = bench.open().await;
    assert_eq!(sandbox.current().get(&id("family@1")), Some(&before));
    sandbox.close().await.unwrap();
    let sandbox = bench.open().await;
    assert_eq!(sandbox.current().get(&id("family@1")), Some(&before));
    sandbox.stop(id("family@1"), 7).await.unwrap();
    assert!(!runs(main_pid(&before)));
    // A stop is remembered, too.
    sandbox.close().await.unwrap();
    let sandbox = bench.open().await;
    assert_eq!(sandbox.current()[&id("family@1")].state, RunState::Exited);
    sandbox.start(assignment("family", FAMILY), None).await.unwrap_err();
}

pub(crate) async fn a_killed_agent_leaves_its_units_running_and_starts_no_second_copy() {
    let bench = Bench::new();
    let mut agent = Command::new(std::env::current_exe().unwrap());
    agent.arg("agent").arg(bench.path()).stdout(Stdio::piped());
    let mut agent = agent.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(agent.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let pid: i32 = line.trim().parse().unwrap();
    let child: i32 = bench.state("family@1", "child").await.trim().parse().unwrap();
    let shim = parent(pid);
    agent.kill().unwrap();
    agent.wait().unwrap();
    assert!(runs(pid) && runs(shim));
    let mut before = bench.processes();
    before.sort_unstable();
    let mut expected = vec![shim, pid, child];
    expected.sort_unstable();
    assert_eq!(before, expected);

    let sandbox = bench.open().await;
    assert_eq!(main_pid(&sandbox.current()[&id("family@1")]), pid);
    sandbox.start(assignment("family", FAMILY), None).await.unwrap();
    let mut after = bench.processes();
    after.sort_unstable();
    assert_eq!(after, expected);
    sandbox.stop(id("family@1"), 7).await.unwrap();
    assert!(!runs(pid) && !runs(child));
}

pub(crate) async fn a_killed_shim_takes_its_unit_along_which_returns_if_it_restarts() {
    let bench = Bench::new();
    let sandbox = bench.open().await;
    let unit = format!("{FAMILY}\nRestart=on-failure");
    sandbox.start(assignment("family", &unit), None).await.unwrap();
    let pid = main_pid(&running(&sandbox, "family@1").await);
    let child: i32 = bench.state("family@1", "child").await.trim().parse().unwrap();
    kill(parent(pid));
    let status = ended(&sandbox, "family@1").await;
    assert_eq!(status.state, RunState::Failed);
    let expected = "its shim was killed; no process of it is left; it is to start again";
    assert_eq!(status.detail, expected);
    assert!(!runs(pid) && !runs(child));
    sandbox.start(assignment("family", &unit), None).await.unwrap();
    let status = running(&sandbox, "family@1").await;
    assert_ne!(main_pid(&status), pid);
    assert_eq!(status.restarts, 1);
}

pub(crate) async fn a_killed_shim_is_the_end_of_a_unit_that_does_not_restart() {
    let bench = Bench::new();
    let sandbox = bench.open().await;
    sandbox.start(assignment("family", FAMILY), None).await.unwrap();
    let pid = main_pid(&running(&sandbox, "family@1").await);
    kill(parent(pid));
    let failed = ended(&sandbox, "family@1").await;
    assert!(failed.detail.ends_with("by its Restart= it is not started again"), "{failed:?}");
    sandbox.start(assignment("family", FAMILY), None).await.unwrap();
    assert_eq!(sandbox.current()[&id("family@1")], failed);
    // The next agent knows it, too.
    sandbox.close().await.unwrap();
    let sandbox = bench.open().await;
    sandbox.start(assignment("family", FAMILY), None).await.unwrap();
    assert_eq!(sandbox.current()[&id("family@1")], failed);
    assert!(bench.processes().is_empty());
}

pub(crate) async fn what_a_shim_left_behind_is_killed_at_the_next_start() {
    let bench = Bench::new();
    let sandbox = bench.open().await;
    sandbox.start(assignment("family", FAMILY), None).await.unwrap();
    let pid = main_pid(&running(&sandbox, "family@1").await);
    let child: i32 = bench.state("family@1", "child").await.trim().parse().unwrap();
    sandbox.close().await.unwrap();
    kill(parent(pid));
    eventually("the unit dies with its shim", || !runs(pid)).await;
    assert!(runs(child), "nobody was there to kill it");
    let sandbox = bench.open().await;
    assert!(!runs(child));
    let status = &sandbox.current()[&id("family@1")];
    assert_eq!((status.state, status.pid), (RunState::Failed, None));
    assert!(bench.processes().is_empty());
}

pub(crate) async fn a_shim_survives_a_hang_up_and_stops_its_unit_when_told_to_end() {
    let bench = Bench::new();
    let sandbox = bench.open().await;
    let unit = "ExecStart=/bin/sleep 600\nExecStop=/bin/sh -c 'echo > %S/stop'";
    sandbox.start(assignment("quiet", unit), None).await.unwrap();
    let pid = main_pid(&running(&sandbox, "quiet@1").await);
    let shim = Pid::from_raw(parent(pid)).unwrap();
    // The second is heard after the first, which therefore did nothing.
    kill_process(shim, Signal::HUP).unwrap();
    let mut newer = assignment("quiet", unit);
    newer.generation = 2;
    sandbox.start(newer.clone(), None).await.unwrap();
    assert_eq!(bench.state("quiet@1", "stop").await, "\n", "the hang-up ended the shim");
    let status = until(&sandbox, "quiet@1", |s| s.generation == 2 && s.pid.is_some()).await;
    let shim = Pid::from_raw(parent(main_pid(&status))).unwrap();
    kill_process(shim, Signal::TERM).unwrap();
    let status = ended(&sandbox, "quiet@1").await;
    assert!(status.detail.ends_with("its shim was told to end"), "{}", status.detail);
    // As when the machine goes down: what was assigned comes back.
    eventually("its shim is gone", || bench.processes().is_empty()).await;
    sandbox.start(newer, None).await.unwrap();
    running(&sandbox, "quiet@1").await;
}

pub(crate) async fn what_a_new_agent_cannot_reach_yet_is_shown_until_it_is_stopped() {
    let bench = Bench::new();
    let sandbox = bench.open().await;
    sandbox.start(assignment("family", FAMILY), None).await.unwrap();
    let before = running(&sandbox, "family@1").await;
    sandbox.close().await.unwrap();
    // As before it listens.
    let (socket, away) = ("shim.sock", "away.sock");
    let home = bench.home("family@1");
    std::fs::rename(home.join(socket), home.join(away)).unwrap();

    let sandbox = bench.open().await;
    let shown = sandbox.current().get(&id("family@1")).cloned();
    assert_eq!(shown.as_ref(), Some(&before), "it runs, and nobody knows");
    let stop = sandbox.stop(id("family@1"), 7);
    let back = async { std::fs::rename(home.join(away), home.join(socket)).unwrap() };
    let (stopped, ()) = tokio::join!(stop, back);
    stopped.unwrap();
    assert!(!runs(main_pid(&before)));
    assert_eq!(sandbox.current()[&id("family@1")].state, RunState::Exited);
}

/// Its own directory, or the agent's whole one: what was removed under it must not run beside what is started next.
pub(crate) async fn what_runs_without_its_files_is_ended_before_anything_starts() {
    let bench = Bench::new();
    let sandbox = bench.open().await;
    for name in ["lost", "kept"] {
        sandbox.start(assignment(name, FAMILY), None).await.unwrap();
    }
    let lost = main_pid(&running(&sandbox, "lost@1").await);
    let kept = main_pid(&running(&sandbox, "kept@1").await);
    sandbox.close().await.unwrap();
    std::fs::remove_dir_all(bench.home("lost@1")).unwrap();
    let sandbox = bench.open().await;
    assert!(!runs(lost), "it runs and nobody knows it");
    assert!(runs(kept) && running(&sandbox, "kept@1").await.pid.is_some());
    sandbox.close().await.unwrap();
    std::fs::remove_dir_all(bench.path().join("instances")).unwrap();
    let sandbox = bench.open().await;
    assert!(!runs(kept));
    assert!(sandbox.current().is_empty());
    sandbox.close().await.unwrap();
}
