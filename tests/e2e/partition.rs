//! A datacenter that is not dead but cut off: its coordinator and agents are frozen, and what they started runs on.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use kato_proto::v1::{Event, RunState};
use rustix::process::Signal;

use crate::support::mesh::{IDLE, Mesh};
use crate::support::{figure, now, processes, until, wall_ms};

/// When each epoch of the unit was seen alive, first and last, in milliseconds since 1970: what it wrote itself.
fn lives(record: &Path) -> BTreeMap<u64, (u64, u64)> {
    let mut lives = BTreeMap::new();
    for line in fs::read_to_string(record).unwrap_or_default().lines() {
        // The last line may not be whole.
        let Some((epoch, at)) = line.split_once(' ') else { continue };
        let (Ok(epoch), Ok(at)) = (epoch.parse(), at.parse::<u64>()) else { continue };
        if at > wall_ms() / 2 {
            let life = lives.entry(epoch).or_insert((at, at));
            *life = (life.0.min(at), life.1.max(at));
        }
    }
    lives
}

#[test]
fn a_singleton_that_is_cut_off_is_killed_before_its_next_copy_starts() {
    let mesh = Mesh::start();
    let record = mesh.home().join("lives");
    // Every fifty milliseconds a line of its own: epoch and time.
    let service = format!(
        "ExecStart=/bin/sh -c 'while :; do echo \"$$KATO_EPOCH $$(date +%%s%%3N)\" >> {}; \
         sleep 0.05; done'",
        record.display()
    );
    let single = mesh.unit("single.service", &service, "Singleton=yes");
    let plain = mesh.unit("plain.service", IDLE, "");
    mesh.run(&[&single, &plain]);
    let (first, plain) = (mesh.instance("single@1").unwrap(), mesh.instance("plain@1").unwrap());
    assert_eq!((first.datacenter.as_str(), plain.datacenter.as_str()), ("ewr", "ewr"));

    let frozen = processes::control(&mesh.data(), "ewr");
    assert_eq!(frozen.len(), 3, "{frozen:#?}");
    let began = now();
    frozen.iter().for_each(|process| process.signal(Signal::STOP));
    let second = until("the singleton runs elsewhere", || {
        let now = mesh.instance("single@1")?;
        let moved = now.datacenter != "ewr" && now.state() == RunState::Running;
        moved.then_some(now)
    });
    figure("from a cut to the singleton running elsewhere", now().saturating_sub(began));
    assert!(second.epoch > first.epoch);
    until("the second copy has written", || {
        lives(&record).contains_key(&second.epoch).then_some(())
    });
    until("plain@1 runs elsewhere", || {
        mesh.instance("plain@1")
            .filter(|now| now.datacenter != "ewr" && now.state() == RunState::Running)
    });
    // What is no singleton runs on where it is cut off, beside its next copy.
    assert_eq!(processes::copies(&mesh.data(), "plain@1").len(), 2);

    frozen.iter().for_each(|process| process.signal(Signal::CONT));
    until("the machine gets leases again", || {
        assert!(processes::copies(&mesh.data(), "single@1").len() <= 1);
        let resumed = |e: &Event| e.kind == "MachineResumed" && e.subject == plain.machine;
        mesh.events().iter().any(resumed).then_some(())
    });
    let copies = processes::copies(&mesh.data(), "plain@1");
    assert_eq!(copies.len(), 1, "it was resumed before it had stopped what was moved: {copies:?}");
    let copies = processes::copies(&mesh.data(), "single@1");
    assert_eq!(copies.iter().map(|copy| copy.epoch).collect::<Vec<_>>(), [second.epoch]);

    let (first, second) = (lives(&record)[&first.epoch], lives(&record)[&second.epoch]);
    assert!(first.1 < second.0, "two singletons at once: {first:?} and {second:?}");
    let gap = std::time::Duration::from_millis(second.0 - first.1);
    figure("between the two copies of the singleton", gap);
    assert_eq!(lives(&record).len(), 2, "{:?}", lives(&record));
}
