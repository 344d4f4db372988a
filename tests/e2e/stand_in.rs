//! A coordinator that is gone, in a datacenter that is not: a neighbour serves its machines until it is back.

use kato_proto::v1::{Event, RunState};
use rustix::process::Signal;

use crate::support::mesh::Mesh;
use crate::support::{figure, now, processes, until};

#[test]
fn a_neighbour_keeps_the_singletons_of_a_coordinator_that_is_gone() {
    let mesh = Mesh::start();
    let single = mesh.unit(
        "single.service",
        "ExecStart=/bin/sleep infinity",
        "Singleton=yes\nDatacenters=ewr",
    );
    mesh.run(&[&single]);
    let (pids, lease_ms) = (processes::pids(&mesh.data(), "single@1"), mesh.status().lease_ms);

    // Frozen, it keeps its agents' connections, and says nothing.
    let coordinator = processes::coordinator(&mesh.data(), "ewr");
    let began = now();
    coordinator.signal(Signal::STOP);
    let neighbour = until("a neighbour stands in", || {
        let by = mesh.datacenter("ewr").served_by;
        (by != "ewr").then_some(by)
    });
    figure("from a frozen coordinator to a neighbour that stands in", now().saturating_sub(began));

    // It starts what is placed there, and shows what that prints.
    let text = "ExecStart=/bin/sh -c 'echo hello from ewr; exec sleep infinity'";
    mesh.run(&[&mesh.unit("late.service", text, "Datacenters=ewr")]);
    assert_eq!(mesh.instance("late@1").unwrap().datacenter, "ewr");
    until("its output is shown", || {
        let logs = mesh.kato(&["logs", "late@1"]);
        logs.out.contains("hello from ewr").then_some(())
    });
    until("three leases from before are over, and the singleton runs all the time", || {
        assert_eq!(processes::pids(&mesh.data(), "single@1"), pids);
        (now().saturating_sub(began).as_millis() > u128::from(lease_ms) * 3).then_some(())
    });
    let status = mesh.kato(&["status"]);
    assert!(status.out.contains(&format!("up, served by {neighbour}")), "{}", status.out);

    coordinator.signal(Signal::CONT);
    until("it has its machines back", || (mesh.datacenter("ewr").served_by == "ewr").then_some(()));
    until("their agents are with it again", || {
        let machines = mesh.machines();
        let mut here = machines.iter().filter(|machine| machine.id.contains(".ewr"));
        here.all(|machine| machine.connected && !machine.suspended).then_some(())
    });
    let ended = now();
    until("another lease is over, and the singleton runs all the time", || {
        assert_eq!(processes::pids(&mesh.data(), "single@1"), pids);
        (now().saturating_sub(ended).as_millis() > u128::from(lease_ms)).then_some(())
    });
    assert_eq!(mesh.instance("single@1").unwrap().state(), RunState::Running);
    // It is described once more when the mesh is raised to a version that has words for all of it.
    let of_ewr = |event: &&Event| {
        let of_it = event.subject == "ewr" && event.kind.starts_with("Datacenter");
        of_it && event.kind != "DatacenterRegistered"
    };
    let events = mesh.events();
    let kinds: Vec<&str> = events.iter().filter(of_ewr).map(|event| event.kind.as_str()).collect();
    let expected = ["DatacenterDelegated", "DatacenterDelegated"];
    assert_eq!(kinds, expected, "it was never suspected: {events:#?}");
}
