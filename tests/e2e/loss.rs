//! A datacenter burns, and comes back: what may run elsewhere does, what may not waits, and nothing runs twice after.

use std::collections::BTreeMap;

use kato_proto::v1::RunState;

use crate::support::mesh::{IDLE, Mesh};
use crate::support::{figure, now, processes, until};

/// The workloads that begin in ewr, where the cheapest machines are.
const HERE: [&str; 5] = ["mover@1", "mover@2", "single@1", "stayer@1", "pinned@1"];

fn begin(mesh: &Mesh) -> BTreeMap<String, u64> {
    let files = [
        mesh.unit("mover@.service", IDLE, "Count=2"),
        mesh.unit("single.service", IDLE, "Singleton=yes"),
        mesh.unit("stayer.service", IDLE, "Failover=never"),
        mesh.unit("pinned.service", IDLE, "Datacenters=ewr"),
    ];
    mesh.run(&files.each_ref().map(String::as_str));
    let epoch = |id: &str| {
        let instance = mesh.instance(id).unwrap();
        assert_eq!(instance.datacenter, "ewr", "{id} is the cheapest there");
        (id.to_owned(), instance.epoch)
    };
    HERE.map(epoch).into()
}

/// The copies of every instance, none of which may be two.
fn at_most_one_each(mesh: &Mesh) {
    for id in HERE {
        let copies = processes::copies(&mesh.data(), id);
        assert!(copies.len() <= 1, "{id} runs twice: {copies:?}");
    }
}

#[test]
fn a_lost_datacenters_instances_run_elsewhere_and_never_twice_after_its_return() {
    let mesh = Mesh::start();
    let before = begin(&mesh);
    let led = mesh.leader() == "ewr";
    let began = now();
    mesh.dev("lose", "ewr");
    let left = processes::of(&mesh.data().join("ewr"));
    assert!(left.is_empty(), "a datacenter that burned runs on: {left:#?}");

    let elsewhere = |id: &str| {
        until(&format!("{id} runs elsewhere"), || {
            let instance = mesh.instance(id)?;
            let moved = instance.datacenter != "ewr" && instance.epoch > before[id];
            (moved && instance.state() == RunState::Running).then_some(())
        });
        assert_eq!(processes::copies(&mesh.data(), id).len(), 1, "{id}");
    };
    elsewhere("mover@1");
    elsewhere("mover@2");
    let whose = if led { "the leader's" } else { "a follower's" };
    figure(&format!("from the loss of {whose} datacenter to running elsewhere"), {
        now().saturating_sub(began)
    });
    elsewhere("single@1");
    events_are_in_order(&mesh);

    let pinned = until("pinned@1 is unplaceable", || {
        mesh.instance("pinned@1").filter(|found| found.state() == RunState::Unplaceable)
    });
    assert_eq!((pinned.datacenter.as_str(), pinned.epoch), ("ewr", before["pinned@1"]));
    assert!(pinned.unplaceable.contains("ewr: lost"), "{}", pinned.unplaceable);
    let stayer = mesh.instance("stayer@1").unwrap();
    assert_eq!((stayer.datacenter.as_str(), stayer.epoch), ("ewr", before["stayer@1"]));
    assert_eq!(stayer.state(), RunState::Unknown);

    let lost = mesh.status().read.unwrap().revision;
    mesh.dev("return", "ewr");
    until("ewr has returned", || {
        at_most_one_each(&mesh);
        let news = mesh.events().into_iter().filter(|event| event.revision > lost);
        news.into_iter().any(|event| event.kind == "DatacenterReturned").then_some(())
    });
    for id in ["pinned@1", "stayer@1"] {
        let again = until(&format!("{id} runs again"), || {
            at_most_one_each(&mesh);
            mesh.instance(id).filter(|instance| instance.state() == RunState::Running)
        });
        assert_eq!(again.datacenter, "ewr", "{id}");
        // What may move may have moved to the machine that came back first; what may not has not.
        assert!(again.epoch == before[id] || id == "pinned@1", "{again:?}");
        assert_eq!(processes::copies(&mesh.data(), id).len(), 1, "{id}");
    }
    for id in ["mover@1", "mover@2", "single@1"] {
        let copies = processes::copies(&mesh.data(), id);
        let copy = copies.first().unwrap_or_else(|| panic!("{id} does not run"));
        assert!(copies.len() == 1 && copy.epoch > before[id], "{id}: {copies:?}");
    }
}

/// Suspected, then lost, then moved.
fn events_are_in_order(mesh: &Mesh) {
    let events = mesh.events();
    let at = |kind: &str, subject: &str| {
        let found = events.iter().find(|e| e.kind == kind && e.subject == subject);
        found.unwrap_or_else(|| panic!("no {kind} of {subject} in {events:#?}")).revision
    };
    let (suspected, lost) = (at("DatacenterSuspected", "ewr"), at("DatacenterLost", "ewr"));
    assert!(suspected < lost, "{events:#?}");
    for id in ["mover@1", "mover@2", "single@1"] {
        assert!(lost < at("InstanceMoved", id), "{events:#?}");
    }
}
