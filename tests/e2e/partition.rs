//! A datacenter that is not dead but cut off: its coordinator and agents are frozen, and what they started runs on.

use kato_proto::v1::{Event, RunState};
use rustix::process::Signal;

use crate::support::lives::Record;
use crate::support::mesh::{IDLE, Mesh};
use crate::support::{figure, now, processes, until};

#[test]
fn a_singleton_that_is_cut_off_is_killed_before_its_next_copy_starts() {
    let mesh = Mesh::start();
    let record = Record::new(mesh.home());
    let single = mesh.unit("single.service", &record.exec_start(0), "Singleton=yes");
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
        record.lives().contains_key(&second.epoch).then_some(())
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

    let (first, second) = (record.lives()[&first.epoch], record.lives()[&second.epoch]);
    record.one_at_a_time();
    let gap = std::time::Duration::from_millis(second.0 - first.1);
    figure("between the two copies of the singleton", gap);
    assert_eq!(record.lives().len(), 2, "{:?}", record.lives());
}
