//! What a mesh that begins anew from a backup numbers and grants.

use std::collections::BTreeSet;

use kato_core::version::NEWEST;
use kato_core::{
    Batch, Command, DatacenterName, MachineId, RejectionKind, Revision, State, Timestamp, invariant,
};

use crate::asks::{Ask, command, epoch, instance, mesh};

/// A day of 2026, and its minutes since 2020.
const NOW: Timestamp = Timestamp(1_795_354_948_000);
const MINUTES: u64 = 3_625_302;

fn run(state: &mut State, command: Command) -> Result<(), kato_core::Rejection> {
    let batch = Batch { at: Timestamp(state.time.0 + 1), commands: vec![command] };
    state.apply(&batch).remove(0).map(|_| ())
}

/// A mesh in which web@1 and the singleton db@1 run in the first datacenter.
fn backup() -> State {
    let mut state = State::default();
    let put =
        |workload| Ask::Put { workload, count: 1, cpu_millis: 100, datacenter: 0, buy: false };
    let bind = |workload| Ask::Bind { workload, number: 1, machine: 1 };
    for ask in mesh().chain([put(0), bind(0), put(2), bind(2)]) {
        let command = command(&ask, &state);
        run(&mut state, command).unwrap();
    }
    state
}

#[test]
fn whatever_the_mesh_before_numbered_is_smaller() {
    let (web, db) = (instance(0, 1), instance(2, 1));
    let mut before = backup();
    let mut restored = before.clone();
    restored.restore(NOW, &BTreeSet::new());
    assert_eq!(invariant::violations(&restored), vec![]);
    assert_eq!((restored.version, restored.revision.incarnation()), (NEWEST, MINUTES));
    assert!(epoch(&restored, &web) > epoch(&before, &web));
    assert!(restored.quarantined.unwrap().is_restore() && !restored.revision.is_restore());

    // The mesh before goes on after the backup: moves, delegates, orders.
    for _ in 0..100 {
        let moved = Ask::Move { workload: 2, number: 1, datacenter: 1, buy: false, stale: false };
        let command = command(&moved, &before);
        run(&mut before, command).unwrap();
    }
    let order = Ask::Order { workload: 0, number: 1, datacenter: 0 };
    let ordered = command(&order, &before);
    run(&mut before, ordered).unwrap();
    let name = "ewr".parse().unwrap();
    let to = "dub".parse().unwrap();
    let delegate = Command::Delegate { datacenter: name, expected: Revision(0), to };
    run(&mut before, delegate).unwrap();
    assert!(epoch(&restored, &db) > epoch(&before, &db));
    let term = |state: &State, name: &str| {
        state.datacenters[&name.parse::<DatacenterName>().unwrap()].term()
    };
    for name in ["dub", "ewr", "sin"] {
        assert!(term(&restored, name) > term(&before, "ewr"));
        let name = name.parse().unwrap();
        assert_eq!(restored.served_by(&name), &name);
    }
    let ordered = command(&order, &restored);
    run(&mut restored, ordered).unwrap();
    assert!(restored.orders.keys().next().unwrap().0 > before.orders.keys().next_back().unwrap().0);

    let mut again = restored.clone();
    again.restore(Timestamp(NOW.0 + 60_000), &BTreeSet::new());
    assert_eq!(again.revision.incarnation(), MINUTES + 1);
    assert!(epoch(&again, &db) > epoch(&restored, &db));
}

/// A second try from the same backup, and a clock that stands.
#[test]
fn each_restore_has_numbers_of_its_own() {
    let (mut first, mut second, mut third) = (backup(), backup(), backup());
    first.restore(NOW, &BTreeSet::new());
    second.restore(Timestamp(NOW.0 + 60_000), &BTreeSet::new());
    assert!(second.revision.0 > first.revision.0 + (1 << 39));
    third.restore(Timestamp(0), &BTreeSet::new());
    assert_eq!(third.revision.incarnation(), 1);
}

/// What agents settled for the mesh before is no answer to this one, and leases from before may hold on every machine.
#[test]
fn what_was_to_stop_or_suspended_is_asked_for_anew() {
    let mut state = backup();
    let ask = |state: &mut State, ask: Ask| {
        let command = command(&ask, state);
        run(state, command)
    };
    ask(&mut state, Ask::Delete { workload: 2 }).unwrap();
    ask(&mut state, Ask::Suspend { datacenter: 1, number: Some(1) }).unwrap();
    let settled = Command::Settled {
        machine: "core-1.cell-1.dub".parse().unwrap(),
        revision: state.revision,
    };
    assert_eq!(state.stopping.len(), 1);
    state.restore(NOW, &BTreeSet::from(["sin".parse().unwrap()]));
    assert_eq!(invariant::violations(&state), vec![]);
    run(&mut state, settled).unwrap();
    assert_eq!(state.stopping.len(), 1, "it was said to the mesh before");
    let since = state.quarantined.unwrap();
    let suspended = |state: &State, machine: &str| {
        state.machines[&machine.parse::<MachineId>().unwrap()].suspended
    };
    for machine in ["core-1.cell-1.ewr", "core-1.cell-1.sin", "core-2.cell-1.sin"] {
        let found = suspended(&state, machine).unwrap();
        assert!(found.since == since && !found.over, "{machine}");
    }
    assert!(suspended(&state, "core-2.cell-1.ewr").is_none());
    run(&mut state, Command::EndQuarantine { since }).unwrap();
    assert_eq!(invariant::violations(&state), vec![]);
    assert!(suspended(&state, "core-2.cell-1.sin").unwrap().over);
    let health = state.datacenters[&"sin".parse::<DatacenterName>().unwrap()].health;
    assert!(matches!(health, kato_core::Health::Lost { .. }), "{health:?}");
}

#[test]
fn a_quarantine_ends_once_and_by_name() {
    let mut state = backup();
    run(&mut state, Command::EndQuarantine { since: Revision(1) }).unwrap();
    state.restore(NOW, &BTreeSet::new());
    let since = state.quarantined.unwrap();
    let wrong = Command::EndQuarantine { since: Revision(since.0 - 1) };
    assert_eq!(run(&mut state, wrong).unwrap_err().kind, RejectionKind::Conflict);
    assert_eq!(state.quarantined, Some(since));
    run(&mut state, Command::EndQuarantine { since }).unwrap();
    assert_eq!(state.quarantined, None);
    let kinds: Vec<String> = state.events.iter().map(|event| event.kind.to_string()).collect();
    assert_eq!(kinds[kinds.len() - 2..], ["MeshRestored", "QuarantineEnded"]);
}
