//! A changed unit file reaches the instances one after the other, and goes no further than it runs.

use kato_proto::v1::{Instance, RunState};

use crate::support::mesh::Mesh;
use crate::support::{processes, until, wall_ms};

/// How long the others must have been left alone by a rollout that is stuck, in milliseconds: many of its passes.
const STUCK_MS: u64 = 3_000;

/// What is said of a command that fails.
const ENDED: &str = "/bin/false ended with status 1";

fn unit(mesh: &Mesh, service: &str) -> String {
    mesh.unit("roll@.service", service, "Count=3")
}

fn running(instances: &[Instance]) -> usize {
    instances.iter().filter(|one| one.state() == RunState::Running).count()
}

/// Waits until all run this generation, and insists at every look that one at most is not running.
fn rolls_out(mesh: &Mesh, generation: u64) {
    until(&format!("all run generation {generation}"), || {
        let instances = Some(mesh.instances("roll")).filter(|all| all.len() == 3)?;
        assert!(running(&instances) >= 2, "two are down at once: {instances:#?}");
        let current = instances.iter().filter(|one| one.generation == generation);
        (current.count() == 3 && running(&instances) == 3).then_some(())
    });
}

#[test]
fn a_change_replaces_one_instance_after_the_other() {
    let mesh = Mesh::start();
    // It takes a moment to be ready, so that two at once would be seen.
    let service = |text: &str| {
        format!(
            "ExecStartPre=/bin/sleep 0.4\nExecStart=/bin/sleep infinity\nEnvironment=TEXT={text}"
        )
    };
    mesh.run(&[&unit(&mesh, &service("one"))]);
    let before = mesh.instances("roll");
    let changed = mesh.status().read.unwrap().revision;
    mesh.kato(&["apply", "-y", &unit(&mesh, &service("two"))]).code(0);
    rolls_out(&mesh, 2);

    let after = mesh.instances("roll");
    for (old, new) in before.iter().zip(&after) {
        assert!(new.epoch > old.epoch && new.id == old.id, "{new:?}");
        let copies = processes::copies(&mesh.data(), &new.id);
        assert_eq!(copies.iter().map(|c| c.epoch).collect::<Vec<_>>(), [new.epoch], "{}", new.id);
    }
    // Each began after the one before had started: that takes as long as its ExecStartPre=.
    let mut placed: Vec<u64> = after.iter().map(|one| one.placed_at_unix_ms).collect();
    placed.sort_unstable();
    for pair in placed.windows(2) {
        assert!(pair[1] - pair[0] >= 400, "one did not wait for the other: {placed:?}");
    }
    let moved = |id: &str| {
        let events = mesh.events();
        let news = events.iter().filter(|e| e.revision > changed && e.subject == id);
        news.filter(|e| e.kind == "InstanceMoved" || e.kind == "InstancePlaced").count()
    };
    for instance in &after {
        assert_eq!(moved(&instance.id), 1, "{} was placed more than once", instance.id);
    }
}

/// Rolls out a change whose first instance ends as failed, for a reason that holds `words`.
fn does_not_get_past(service: &str, words: &str) {
    let mesh = Mesh::start();
    mesh.run(&[&unit(&mesh, "ExecStart=/bin/sleep infinity")]);
    mesh.kato(&["apply", "-y", &unit(&mesh, service)]).code(0);
    until("the first one has failed, and nothing follows", || {
        let instances = Some(mesh.instances("roll")).filter(|all| all.len() == 3)?;
        let changed: Vec<_> = instances.iter().filter(|one| one.generation == 2).collect();
        assert!(changed.len() <= 1, "it went on: {instances:#?}");
        let failed = changed.first().filter(|one| one.state() == RunState::Failed)?;
        assert_eq!(running(&instances), 2, "{instances:#?}");
        assert!(failed.detail.contains(words), "{failed:?}");
        (failed.state_since_unix_ms + STUCK_MS < wall_ms()).then_some(())
    });
    // A better one gets past it.
    mesh.kato(&["apply", "-y", &unit(&mesh, "ExecStart=/bin/sleep 1000000")]).code(0);
    rolls_out(&mesh, 3);
}

#[test]
fn a_change_that_cannot_start_stops_there() {
    does_not_get_past("ExecStart=/no/such/program", "/no/such/program");
}

#[test]
fn a_change_whose_preparation_fails_stops_there() {
    does_not_get_past("ExecStartPre=/bin/false\nExecStart=/bin/sleep infinity", ENDED);
}

/// Restart= starts it again and again: each time it runs, and never for long.
#[test]
fn a_change_that_runs_for_a_moment_stops_there() {
    let mesh = Mesh::start();
    mesh.run(&[&unit(&mesh, "ExecStart=/bin/sleep infinity")]);
    let service = "ExecStart=/bin/sh -c 'sleep 0.5; exit 1'\nRestart=always\nRestartSec=0.1\n\
                   [Unit]\nStartLimitIntervalSec=0\n[Service]";
    mesh.kato(&["apply", "-y", &unit(&mesh, service)]).code(0);
    until("the first one was started again and again, and nothing follows", || {
        let instances = Some(mesh.instances("roll")).filter(|all| all.len() == 3)?;
        let changed: Vec<_> = instances.iter().filter(|one| one.generation == 2).collect();
        assert!(changed.len() <= 1, "it went on: {instances:#?}");
        let rest = instances.iter().filter(|one| one.generation == 1).cloned().collect::<Vec<_>>();
        assert!(running(&rest) >= 2, "one that was not reached was stopped: {instances:#?}");
        changed.first().filter(|one| one.restarts >= 10).map(drop)
    });
}
