//! Whatever is asked of the state, in whatever order, every promise holds, and what is refused leaves no trace.

#![allow(clippy::unwrap_used, reason = "a test that cannot build its input has failed")]

mod asks;

use kato_core::{Batch, State, Timestamp, invariant};
use proptest::prelude::*;

use asks::{Ask, ask, command, epoch, instance, mesh};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_promise_holds_after_every_command(asks in prop::collection::vec(ask(), 1..120)) {
        let mut state = State::default();
        let mut log = Vec::new();
        for (step, ask) in mesh().chain(asks).enumerate() {
            let ask = &ask;
            let before = state.clone();
            let batch = Batch { at: Timestamp(step as u64), commands: vec![command(ask, &state)] };
            let outcome = state.apply(&batch).remove(0);
            prop_assert_eq!(invariant::violations(&state), vec![], "after {:?}", ask);
            match outcome {
                Err(_) => prop_assert_eq!(&State { time: state.time, ..before }, &state),
                Ok(applied) => {
                    prop_assert_eq!(applied.changed, state.revision > before.revision);
                    prop_assert_eq!(applied.changed, State { time: state.time, ..before } != state);
                }
            }
            log.push(batch);
        }
        prop_assert_eq!(state.clone().with_ledgers(), state.clone());
        // same-log-same-state
        let mut replayed = State::default();
        for batch in &log {
            replayed.apply(batch);
        }
        prop_assert_eq!(replayed, state);
    }
}

/// The random asks do reach the deep states; a generator that only makes refusals would prove nothing.
#[test]
fn a_datacenter_is_lost_and_returns() {
    let mut state = State::default();
    let mut at = 0;
    let mut run = |state: &mut State, ask: Ask| {
        at += 1;
        let batch = Batch { at: Timestamp(at), commands: vec![command(&ask, state)] };
        let outcome = state.apply(&batch).remove(0);
        assert!(outcome.as_ref().is_ok_and(|applied| applied.changed), "{ask:?}: {outcome:?}");
    };
    for datacenter in 0..2 {
        run(&mut state, Ask::Register { datacenter, machines_max: 3 });
        let join = Ask::Join { datacenter, number: 1, incarnation: 1, for_order: false };
        run(&mut state, join);
    }
    run(&mut state, Ask::Put { workload: 0, count: 1, cpu_millis: 700, datacenter: 0, buy: false });
    run(&mut state, Ask::Bind { workload: 0, number: 1, machine: 1 });
    run(&mut state, Ask::Suspend { datacenter: 0, number: None });
    run(&mut state, Ask::Lost { datacenter: 0 });
    let first = epoch(&state, &instance(0, 1));
    run(&mut state, Ask::Move { workload: 0, number: 1, datacenter: 1, buy: true, stale: false });
    assert!(epoch(&state, &instance(0, 1)) > first);
    assert_eq!(state.orders.len(), 1);
    run(&mut state, Ask::Attempt { attempt: 1 });
    run(&mut state, Ask::Join { datacenter: 1, number: 2, incarnation: 1, for_order: true });
    assert!(state.orders.is_empty());
    run(&mut state, Ask::Bind { workload: 0, number: 1, machine: 2 });
    run(&mut state, Ask::Resume { datacenter: 0, number: 1 });
    let kinds: Vec<String> = state.events.iter().map(|event| event.kind.to_string()).collect();
    for kind in ["DatacenterSuspected", "DatacenterLost", "InstanceMoved", "DatacenterReturned"] {
        assert!(kinds.iter().any(|found| found == kind), "{kind} is not in {kinds:?}");
    }
}
