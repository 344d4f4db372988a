//! What no lease can exclude: a copy that is frozen together with its guard, and wakes up when the next one has long
//! begun. The epoch at the store decides.

use std::path::Path;

use kato_proto::v1::{Event, RunState};
use rustix::process::Signal;

use crate::support::mesh::Mesh;
use crate::support::needs::not_run;
use crate::support::store::Store;
use crate::support::{processes, until};

#[test]
fn a_store_refuses_what_a_copy_writes_that_was_frozen_with_its_guard() {
    if !Path::new("/bin/bash").exists() {
        return not_run("the unit needs /bin/bash, which can open a connection");
    }
    let (mesh, store) = (Mesh::start(), Store::start());
    mesh.run(&[&mesh.unit("single.service", &store.exec_start(), "Singleton=yes")]);
    let first = mesh.instance("single@1").unwrap();
    until("the first copy has written", || {
        store.written().taken.contains(&first.epoch).then_some(())
    });

    // Guard and warden before the unit: neither sees it stop, and it starts nothing that is missed.
    let unit = processes::unit(&mesh.data(), "single@1");
    let guards = processes::above(&unit);
    assert_eq!(guards.len(), 2, "a shim and its warden: {guards:#?}");
    let control = processes::control(&mesh.data(), &first.datacenter);
    assert_eq!(control.len(), 3, "{control:#?}");
    control.iter().chain(&guards).for_each(|process| process.signal(Signal::STOP));
    let unit = until("the unit stands still", || {
        let unit = processes::unit(&mesh.data(), "single@1");
        unit.iter().for_each(|process| process.signal(Signal::STOP));
        let same = |now: &processes::Process| unit.iter().any(|one| one.pid == now.pid);
        let now = processes::unit(&mesh.data(), "single@1");
        (now.len() == unit.len() && now.iter().all(same)).then_some(unit)
    });

    let second = until("the singleton runs elsewhere", || {
        let now = mesh.instance("single@1")?;
        let moved = now.datacenter != first.datacenter && now.state() == RunState::Running;
        moved.then_some(now)
    });
    assert!(second.epoch > first.epoch);
    until("the second copy has written", || {
        store.written().taken.contains(&second.epoch).then_some(())
    });
    assert_eq!(processes::copies(&mesh.data(), "single@1").len(), 2, "the first has not ended");

    // The worst that can happen: the unit wakes up, and nothing that should kill it does.
    unit.iter().for_each(|process| process.signal(Signal::CONT));
    until("the store refuses the first copy", || {
        store.written().refused.contains(&first.epoch).then_some(())
    });
    until("the first copy ends", || {
        let copies = processes::copies(&mesh.data(), "single@1");
        copies.iter().all(|copy| copy.epoch == second.epoch).then_some(())
    });

    guards.iter().chain(&control).for_each(|process| process.signal(Signal::CONT));
    until("the machine gets leases again", || {
        let resumed = |e: &Event| e.kind == "MachineResumed" && e.subject == first.machine;
        mesh.events().iter().any(resumed).then_some(())
    });
    let copies = processes::copies(&mesh.data(), "single@1");
    assert_eq!(copies.iter().map(|copy| copy.epoch).collect::<Vec<_>>(), [second.epoch]);
    let written = store.written();
    assert!(written.taken.is_sorted(), "an old copy wrote after a new one: {written:?}");
    assert_eq!(written.refused, [first.epoch], "it was refused once, and then it ended");
}
