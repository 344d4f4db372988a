//! How an order becomes a machine, exactly once.

use std::collections::BTreeSet;
use std::time::Duration;

use kato_core::{ATTEMPTS_MAX, Batch, Command, OrderId, RejectionKind};
use kato_provision::{Provided, Token};

use super::super::order::{Action, JOIN_MAX, Sold, Waiting, decide};
use super::fixture::{World, name, spec};

/// A mesh in which one machine is on order in Dublin.
fn ordered() -> (World, OrderId) {
    let mut world = World::new();
    world.sell();
    world.put(&spec("full", "Count=2\nCPU=2\nDatacenters=dub\n"));
    world.put(&spec("more", "CPU=2\nDatacenters=dub\n"));
    let order = *world.state.orders.keys().next().expect("a machine is on order");
    (world, order)
}

fn provided(order: OrderId, attempt: u32) -> Provided {
    Provided { token: Token { order, attempt }, machine: super::fixture::machine("dub", 9) }
}

#[test]
fn an_attempt_is_committed_before_the_provider_is_asked() {
    let (mut world, order) = ordered();
    let dub = name("dub");
    let none = BTreeSet::new();
    let actions = decide(&world.state, &dub, &Sold::Machines(&[]), &none);
    assert_eq!(actions, vec![Action::Attempt(order, 1)]);
    world.run(Command::AttemptOrder { order, attempt: 1 });
    assert_eq!(
        decide(&world.state, &dub, &Sold::Machines(&[]), &none),
        vec![Action::Create(order)]
    );
    // one-order-one-machine: what is there under the token is not asked for again.
    assert_eq!(decide(&world.state, &dub, &Sold::Machines(&[provided(order, 1)]), &none), vec![]);
    assert_eq!(decide(&world.state, &name("ewr"), &Sold::Machines(&[]), &none), vec![]);
}

#[test]
fn a_machine_that_never_joins_is_given_up() {
    let (mut world, order) = ordered();
    world.run(Command::AttemptOrder { order, attempt: 1 });
    let late = BTreeSet::from([order]);
    let actions = decide(&world.state, &name("dub"), &Sold::Machines(&[provided(order, 1)]), &late);
    assert!(matches!(actions.as_slice(), [Action::Fail(..)]), "{actions:?}");
}

#[test]
fn attempts_end() {
    let (mut world, order) = ordered();
    for attempt in 1..=ATTEMPTS_MAX {
        world.run(Command::AttemptOrder { order, attempt });
    }
    let commands = vec![Command::AttemptOrder { order, attempt: ATTEMPTS_MAX + 1 }];
    let outcome = world.state.apply(&Batch { at: world.state.time, commands }).remove(0);
    assert_eq!(outcome.unwrap_err().kind, RejectionKind::Limit);
    let late = BTreeSet::from([order]);
    let actions = decide(&world.state, &name("dub"), &Sold::Machines(&[]), &late);
    let reason = format!("no machine was sold in {ATTEMPTS_MAX} attempts");
    assert_eq!(actions, vec![Action::Fail(order, reason)]);
}

#[test]
fn without_a_provider_nothing_is_bought() {
    let (world, _) = ordered();
    let actions = decide(&world.state, &name("dub"), &Sold::Nobody, &BTreeSet::new());
    assert!(matches!(actions.as_slice(), [Action::Fail(..)]), "{actions:?}");
}

#[test]
fn a_provider_that_does_not_answer_is_asked_for_a_while() {
    let (mut world, order) = ordered();
    world.run(Command::AttemptOrder { order, attempt: 1 });
    let dub = name("dub");
    let mut waiting = Waiting::default();
    let first = Duration::from_secs(1_000);
    for (now, expected) in [(first, 0), (first + JOIN_MAX, 0), (first + JOIN_MAX * 2, 1)] {
        waiting.see(&world.state, &BTreeSet::from([&dub]), now);
        let actions = decide(&world.state, &dub, &Sold::Unknown, &waiting.overdue(now));
        assert_eq!(actions.len(), expected, "{actions:?}");
    }
}

#[test]
fn nothing_is_bought_for_a_workload_that_is_gone() {
    let (mut world, order) = ordered();
    let gone = Command::DeleteWorkload { name: "more".parse().unwrap(), expected: None };
    world.run(gone);
    let actions = decide(&world.state, &name("dub"), &Sold::Machines(&[]), &BTreeSet::new());
    assert!(matches!(actions.as_slice(), [Action::Fail(given_up, _)] if *given_up == order));
}
