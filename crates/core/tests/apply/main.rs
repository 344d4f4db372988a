//! Whatever is asked of the state, in whatever order, every promise holds, and what is refused leaves no trace.

#![allow(clippy::unwrap_used, reason = "a test that cannot build its input has failed")]

mod asks;
mod budget;
mod delegation;
mod restoring;
mod timing;

use std::collections::BTreeSet;

use kato_core::version::FIRST;
use kato_core::{Batch, Command, InstanceId, MachineId, State, Timestamp, invariant};
use proptest::prelude::*;

use asks::{Ask, ask, command, epoch, instance, mesh};

/// Where copies of singletons may run, told by the machines: kept beside the state, which must never trust less.
#[derive(Default)]
struct Running(BTreeSet<(InstanceId, MachineId)>);

impl Running {
    /// Follows one command that was taken.
    fn follow(&mut self, command: &Command, state: &State) {
        let is_over = |id: &MachineId| state.machines[id].suspended.is_some_and(|s| s.over);
        let bound: Vec<_> = state
            .instances
            .values()
            .filter(|instance| state.workloads[&instance.id.workload].spec.singleton)
            .filter_map(|instance| {
                let machine = instance.placement.as_ref()?.machine.clone()?;
                Some((instance.id.clone(), machine))
            })
            .collect();
        match command {
            // The agent has stopped what it was not told to run.
            Command::Settled { machine, .. } => {
                self.0.retain(|found| found.1 != *machine || bound.contains(found));
            }
            // Guards have.
            Command::DeclareLost(_) => self.0.retain(|(_, machine)| !is_over(machine)),
            _ => {}
        }
        self.0.extend(bound.into_iter().filter(|(_, machine)| !is_over(machine)));
    }

    /// Instances that may run twice.
    fn twice(&self) -> Vec<&(InstanceId, MachineId)> {
        let pairs = self.0.iter().zip(self.0.iter().skip(1));
        pairs.filter(|(one, next)| one.0 == next.0).map(|(_, next)| next).collect()
    }
}

/// Whether what is spent does not grow beyond the budget, but for machines that come back.
fn keeps_budget(before: &State, commands: &[Command], after: &State) -> bool {
    let Some(budget) = after.budget.filter(|budget| before.budget == Some(*budget)) else {
        return true;
    };
    let comes_back = commands
        .iter()
        .any(|command| matches!(command, Command::Resume { .. } | Command::JoinMachine(_)));
    let (spent, max) = (after.spending(), budget.max_micros_per_hour);
    spent <= max || spent <= before.spending() || comes_back
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_promise_holds_after_every_command(
        asks in prop::collection::vec(prop::collection::vec(ask(), 1..4), 1..60)
    ) {
        let mut state = State::default();
        let (mut log, mut running) = (Vec::new(), Running::default());
        for (step, asks) in mesh().map(|ask| vec![ask]).chain(asks).enumerate() {
            let before = state.clone();
            // The commands of one entry are made on one state, as different reconcilers make them.
            let commands: Vec<_> = asks.iter().map(|ask| command(ask, &state)).collect();
            let batch = Batch { at: Timestamp(step as u64), commands };
            let outcomes = state.apply(&batch);
            prop_assert_eq!(invariant::violations(&state), vec![], "after {:?}", asks);
            prop_assert!(keeps_budget(&before, &batch.commands, &state), "after {:?}", asks);
            let changed = outcomes.iter().flatten().any(|applied| applied.changed);
            prop_assert_eq!(changed, state.revision > before.revision);
            prop_assert_eq!(changed, State { time: state.time, ..before } != state);
            for (command, outcome) in batch.commands.iter().zip(&outcomes) {
                if outcome.is_ok() {
                    running.follow(command, &state);
                }
            }
            prop_assert_eq!(running.twice(), Vec::<&(InstanceId, MachineId)>::new(), "{:?}", asks);
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

/// A machine that is suspended may still hold its lease: deleting what runs there and applying it anew does not help.
#[test]
fn a_singleton_of_a_suspended_machine_starts_nowhere_before_its_lease_is_over() {
    let mut state = State::default();
    let mut at = 0;
    let mut run = |state: &mut State, ask: Ask| {
        at += 1;
        let batch = Batch { at: Timestamp(at), commands: vec![command(&ask, state)] };
        state.apply(&batch).remove(0).map(|_| ())
    };
    for ask in mesh() {
        run(&mut state, ask).unwrap();
    }
    let db = 2;
    let put =
        |datacenter| Ask::Put { workload: db, count: 1, cpu_millis: 100, datacenter, buy: false };
    let bind = || Ask::Bind { workload: db, number: 1, machine: 1 };
    run(&mut state, put(0)).unwrap();
    run(&mut state, bind()).unwrap();
    run(&mut state, Ask::Suspend { datacenter: 0, number: None }).unwrap();
    run(&mut state, Ask::Delete { workload: db }).unwrap();
    run(&mut state, put(1)).unwrap();
    let refused = run(&mut state, bind()).unwrap_err();
    assert!(refused.message.contains("may still run on core-1.cell-1.dub"), "{refused}");
    run(&mut state, Ask::Lost { datacenter: 0 }).unwrap();
    run(&mut state, bind()).unwrap();
}

/// What decides is the version of the state, whatever the build knows: a mesh that was not raised takes no newer command.
#[test]
fn a_command_that_the_mesh_version_does_not_cover_leaves_no_trace() {
    let older = State { version: FIRST - 1, ..State::default() };
    let mut state = older.clone();
    let register = command(&Ask::Register { datacenter: 0, machines_max: 3 }, &state);
    let batch = |commands| Batch { at: Timestamp(0), commands };
    let refused = state.apply(&batch(vec![register.clone()])).remove(0).unwrap_err();
    assert_eq!(refused.message, "the command came with mesh version 2, the mesh is at version 1");
    assert_eq!(state, older);
    // Raised by the command before it.
    let outcomes = state.apply(&batch(vec![Command::RaiseVersion { to: 7 }, register]));
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert_eq!((state.version, state.revision.0), (7, 2));
    // It never falls, and the same again changes nothing.
    for to in [7, 3] {
        let outcome = state.apply(&batch(vec![Command::RaiseVersion { to }])).remove(0).unwrap();
        assert!(!outcome.changed && state.version == 7);
    }
    let batch = batch(vec![Command::RaiseVersion { to: 9 }]);
    assert_eq!(batch.since(), 9, "who does not know 9 must not take it");
}
