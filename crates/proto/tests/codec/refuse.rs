//! What a newer build wrote, and what nobody may leave out: each is refused by the name of its field.

use kato_core::State;
use kato_core::version::{FIRST, NEWEST};
use kato_proto::{InvalidMessage, store, store_v1 as pb};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use prost::Message as _;

use super::generate;

/// The field that an error must name, and what makes it wrong.
type Case = (&'static str, fn(&mut pb::State));

/// A state in which there is one of everything.
fn full() -> pb::State {
    let mut runner = TestRunner::deterministic();
    let strategy = generate::state();
    let whole = |state: &pb::State| {
        let placed = state.instances.iter().find_map(|instance| instance.placement.as_ref());
        let candidates = state.decisions.iter().any(|decision| !decision.candidates.is_empty());
        let first = |instance: &pb::Instance| instance.placement.is_some();
        let filled = [state.datacenters.len(), state.machines.len(), state.workloads.len()];
        let events = !state.events.is_empty() && !state.orders.is_empty();
        let demand =
            state.workloads.first().and_then(|w| Some(!w.spec.as_ref()?.demand.is_empty()));
        filled.iter().all(|count| *count > 0)
            && events
            && placed.is_some()
            && candidates
            && state.instances.first().is_some_and(first)
            && demand == Some(true)
    };
    loop {
        let state: State = strategy.new_tree(&mut runner).unwrap().current();
        let stored = pb::State::from(&state);
        if whole(&stored) {
            return stored;
        }
    }
}

fn refused(change: impl FnOnce(&mut pb::State)) -> InvalidMessage {
    let mut state = full();
    change(&mut state);
    // Through the bytes, as it comes from a disk.
    let bytes = state.encode_to_vec().into();
    let read: pb::State = store::decode("state", &bytes).unwrap();
    State::try_from(read).expect_err("it must be refused")
}

fn spec(state: &mut pb::State) -> &mut pb::WorkloadSpec {
    state.workloads[0].spec.as_mut().unwrap()
}

fn machine(state: &mut pb::State) -> &mut pb::MachineSpec {
    state.machines[0].spec.as_mut().unwrap()
}

fn placement(state: &mut pb::State) -> &mut pb::Placement {
    state.instances[0].placement.as_mut().unwrap()
}

fn candidate(state: &mut pb::State) -> &mut pb::Candidate {
    let mut decisions = state.decisions.iter_mut();
    &mut decisions.find(|decision| !decision.candidates.is_empty()).unwrap().candidates[0]
}

#[test]
fn the_untouched_state_is_taken() {
    State::try_from(full()).unwrap();
}

#[test]
fn newer_versions_and_unknown_numbers_are_refused() {
    let cases: [Case; 12] = [
        ("a state needs mesh version", |s| s.version = NEWEST + 1),
        ("version 0 of a state", |s| s.version = 0),
        ("a state needs mesh version 4294967295", |s| s.version = u32::MAX),
        ("market", |s| s.orders[0].offer.as_mut().unwrap().market = 77),
        ("arch", |s| s.orders[0].offer.as_mut().unwrap().arch = -1),
        ("health", |s| s.datacenters[0].health = 9),
        ("spot", |s| spec(s).spot = 4),
        ("spread", |s| spec(s).spread = 3),
        ("failover", |s| spec(s).failover = 3),
        ("quote.source", |s| placement(s).quote.as_mut().unwrap().source = 4),
        ("event.kind", |s| s.events[0].kind = 1_000),
        ("instance.decision", |s| placement(s).decision = 1_000),
    ];
    for (field, change) in cases {
        let error = refused(change).to_string();
        assert!(error.contains(field), "{field}: {error}");
    }
}

#[test]
fn what_is_missing_is_named() {
    let cases: [Case; 22] = [
        ("datacenter.spec", |s| s.datacenters[0].spec = None),
        ("datacenter.health", |s| s.datacenters[0].health = 0),
        ("datacenter.name", |s| s.datacenters[0].spec.as_mut().unwrap().name.clear()),
        ("datacenter.location", |s| s.datacenters[0].spec.as_mut().unwrap().location = None),
        ("machine.spec", |s| s.machines[0].spec = None),
        ("machine.id", |s| machine(s).id.clear()),
        ("machine.resources", |s| machine(s).resources = None),
        ("machine.offer", |s| machine(s).offer = None),
        ("offer.capacity", |s| machine(s).offer.as_mut().unwrap().capacity = None),
        ("market", |s| machine(s).offer.as_mut().unwrap().market = 0),
        ("workload.spec", |s| s.workloads[0].spec = None),
        ("workload.name", |s| spec(s).name.clear()),
        ("workload.request", |s| spec(s).request = None),
        ("spot", |s| spec(s).spot = 0),
        ("demand.at", |s| spec(s).demand[0].at = None),
        ("instance.id", |s| s.instances[0].id.clear()),
        ("placement.cell", |s| placement(s).cell.clear()),
        ("placement.request", |s| placement(s).request = None),
        ("placement.quote", |s| placement(s).quote = None),
        ("candidate.verdict", |s| candidate(s).verdict = None),
        ("order.offer", |s| s.orders[0].offer = None),
        ("event.kind", |s| s.events[0].kind = 0),
    ];
    for (field, change) in cases {
        let error = refused(change).to_string();
        assert!(error.contains(field), "{field}: {error}");
    }
}

#[test]
fn a_batch_of_another_version_or_an_unknown_command_is_refused() {
    let decode = |batch: &pb::Batch| store::decode_batch(&batch.encode_to_vec().into(), NEWEST);
    let batch = |version, commands| pb::Batch { version, at_unix_ms: 1, commands };
    decode(&batch(NEWEST, Vec::new())).unwrap();
    for version in [0, FIRST - 1] {
        let error = decode(&batch(version, Vec::new())).unwrap_err();
        assert!(matches!(error, InvalidMessage::TooOld { .. }), "{error}");
    }
    for version in [NEWEST + 1, u32::MAX] {
        let error = decode(&batch(version, Vec::new())).unwrap_err();
        assert!(matches!(error, InvalidMessage::TooNew { .. }), "{error}");
    }
    // A command that this build has no name for reads as one without content.
    let error = decode(&batch(NEWEST, vec![pb::Command { command: None }])).unwrap_err();
    assert_eq!(error, InvalidMessage::Missing("command"));
    let mut unknown = batch(NEWEST, Vec::new()).encode_to_vec();
    // Field 3 (commands), 3 bytes: field 99, varint.
    unknown.extend([0x1a, 3, 0x98, 0x06, 1]);
    let error = store::decode_batch(&unknown.into(), NEWEST).unwrap_err();
    assert_eq!(error, InvalidMessage::Missing("command"));
}
