//! The guard of singletons.

use std::time::Duration;

use kato_agent::shim::KILL_MARGIN;
use kato_net::clock::{Clock as _, SystemClock};
use kato_units::engine::{Assignment, Error, RunState, UnitEngine as _};

use crate::support::{
    Bench, ahead, assignment, ended, eventually, id, kill, main_pid, parent, running, runs,
};

/// One that does not end when asked, with a child that has left its group and carries no mark of it.
fn singleton() -> Assignment {
    let unit = r#"
ExecStart=/bin/sh -c 'trap "" TERM; env -i setsid sleep 600 & echo $$! > %S/child; while :; do sleep 1; done'
ExecStop=/bin/sleep 600
ExecStopPost=/bin/sh -c 'echo > %S/post'
Restart=always
TimeoutStopSec=infinity"#;
    Assignment { singleton: true, ..assignment("db", unit) }
}

pub(crate) async fn a_singleton_is_gone_before_its_deadline_without_an_agent() {
    let bench = Bench::new();
    let sandbox = bench.open().await;
    assert!(matches!(sandbox.start(singleton(), None).await, Err(Error::NoDeadline(_))));
    let deadline = ahead(KILL_MARGIN + Duration::from_secs(3));
    sandbox.start(singleton(), Some(deadline)).await.unwrap();
    let pid = main_pid(&running(&sandbox, "db@1").await);
    let child: i32 = bench.state("db@1", "child").await.trim().parse().unwrap();
    sandbox.close().await.unwrap();
    assert!(runs(pid) && runs(child), "killed before there was need");
    eventually("its processes are gone", || !runs(pid) && !runs(child)).await;
    let left = deadline.checked_sub(SystemClock.boot());
    assert!(left.is_some(), "the kill was complete only after the deadline");
    eventually("its shim is gone", || bench.processes().is_empty()).await;
    assert!(!bench.home("db@1").join("state/post").exists(), "a fenced unit ran another command");

    let sandbox = bench.open().await;
    let status = &sandbox.current()[&id("db@1")];
    assert_eq!((status.state, status.pid), (RunState::Fenced, None), "{}", status.detail);
    let refused = sandbox.extend(id("db@1"), 7, ahead(Duration::from_mins(1))).await;
    assert!(matches!(refused, Err(Error::NotRunning(_))));
    // A new grant brings it back.
    sandbox.start(singleton(), Some(ahead(Duration::from_mins(1)))).await.unwrap();
    assert_ne!(main_pid(&running(&sandbox, "db@1").await), pid);
}

pub(crate) async fn an_extended_deadline_keeps_it_running() {
    let bench = Bench::new();
    let sandbox = bench.open().await;
    let first = ahead(KILL_MARGIN + Duration::from_secs(2));
    sandbox.start(singleton(), Some(first)).await.unwrap();
    let pid = main_pid(&running(&sandbox, "db@1").await);
    let later =
        Duration::from_millis(u64::try_from(ahead(Duration::from_mins(1)).as_millis()).unwrap());
    assert_eq!(sandbox.extend(id("db@1"), 7, later).await.unwrap(), later);
    // Only forward, and only for its own epoch.
    assert_eq!(sandbox.extend(id("db@1"), 7, first).await.unwrap(), later);
    for epoch in [6, 8] {
        let refused = sandbox.extend(id("db@1"), epoch, later * 2).await;
        assert!(matches!(refused, Err(Error::Stale { .. })), "{refused:?}");
    }
    eventually("the first deadline is over", || SystemClock.boot() > first).await;
    assert!(runs(pid));
    assert_eq!(sandbox.current()[&id("db@1")].state, RunState::Running);
}

pub(crate) async fn a_deadline_in_the_past_starts_nothing() {
    let bench = Bench::new();
    let sandbox = bench.open().await;
    let unit = "ExecStartPre=/bin/sh -c 'echo > %S/ran'\nExecStart=/bin/sleep 600";
    let unit = Assignment { singleton: true, ..assignment("db", unit) };
    for deadline in [Duration::from_secs(1), ahead(KILL_MARGIN / 2)] {
        sandbox.start(unit.clone(), Some(deadline)).await.unwrap();
        let status = ended(&sandbox, "db@1").await;
        assert_eq!(status.state, RunState::Fenced);
        assert!(status.detail.starts_with("not started"), "{}", status.detail);
    }
    assert!(!bench.home("db@1").join("state/ran").exists());
}

pub(crate) async fn a_stop_that_takes_too_long_ends_by_the_deadline() {
    let bench = Bench::new();
    let sandbox = bench.open().await;
    let deadline = ahead(KILL_MARGIN + Duration::from_secs(2));
    sandbox.start(singleton(), Some(deadline)).await.unwrap();
    let pid = main_pid(&running(&sandbox, "db@1").await);
    sandbox.stop(id("db@1"), 7).await.unwrap();
    assert!(!runs(pid));
    assert!(SystemClock.boot() < deadline, "the stop was complete only after the deadline");
}

pub(crate) async fn a_killed_guard_leaves_nothing_of_a_singleton() {
    let bench = Bench::new();
    let sandbox = bench.open().await;
    sandbox.start(singleton(), Some(ahead(Duration::from_mins(1)))).await.unwrap();
    let pid = main_pid(&running(&sandbox, "db@1").await);
    let child: i32 = bench.state("db@1", "child").await.trim().parse().unwrap();
    sandbox.close().await.unwrap();
    kill(parent(pid));
    eventually("all of it is gone", || !runs(pid) && !runs(child)).await;
    eventually("so is its warden", || bench.processes().is_empty()).await;
    let sandbox = bench.open().await;
    assert_eq!(sandbox.current()[&id("db@1")].state, RunState::Failed);
}

pub(crate) async fn a_singleton_without_its_warden_stops_and_may_start_anew() {
    let bench = Bench::new();
    let sandbox = bench.open().await;
    let unit = Assignment { singleton: true, ..assignment("db", "ExecStart=/bin/sleep 600") };
    sandbox.start(unit.clone(), Some(ahead(Duration::from_mins(1)))).await.unwrap();
    let pid = main_pid(&running(&sandbox, "db@1").await);
    kill(parent(parent(pid)));
    let status = ended(&sandbox, "db@1").await;
    assert!(status.detail.ends_with("its shim was told to end"), "{}", status.detail);
    assert!(!runs(pid));
    sandbox.start(unit, Some(ahead(Duration::from_mins(1)))).await.unwrap();
    assert_ne!(main_pid(&running(&sandbox, "db@1").await), pid);
}
