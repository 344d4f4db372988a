//! How an order becomes a machine, exactly once.

use kato_core::{ATTEMPTS_MAX, Command, OrderId, Timestamp};
use kato_provision::{Provided, Token};

use super::super::order::{Action, JOIN_MS, decide};
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
    let now = world.state.time;
    let actions = decide(&world.state, &dub, Some(&[]), now);
    assert_eq!(actions, vec![Action::Attempt(order, 1)]);
    world.run(Command::AttemptOrder { order, attempt: 1 });
    assert_eq!(decide(&world.state, &dub, Some(&[]), now), vec![Action::Create(order)]);
    // one-order-one-machine: what is there under the token is not asked for again.
    assert_eq!(decide(&world.state, &dub, Some(&[provided(order, 1)]), now), vec![]);
    assert_eq!(decide(&world.state, &name("ewr"), Some(&[]), now), vec![]);
}

#[test]
fn a_machine_that_never_joins_is_given_up() {
    let (mut world, order) = ordered();
    world.run(Command::AttemptOrder { order, attempt: 1 });
    let late = Timestamp(world.state.time.0 + JOIN_MS + 1);
    let actions = decide(&world.state, &name("dub"), Some(&[provided(order, 1)]), late);
    assert!(matches!(actions.as_slice(), [Action::Fail(..)]), "{actions:?}");
}

#[test]
fn attempts_end() {
    let (mut world, order) = ordered();
    for attempt in 1..=ATTEMPTS_MAX {
        world.run(Command::AttemptOrder { order, attempt });
    }
    let late = Timestamp(world.state.time.0 + JOIN_MS + 1);
    let actions = decide(&world.state, &name("dub"), Some(&[]), late);
    assert!(matches!(actions.as_slice(), [Action::Fail(..)]), "{actions:?}");
}

#[test]
fn without_a_provider_nothing_is_bought() {
    let (world, _) = ordered();
    let actions = decide(&world.state, &name("dub"), None, world.state.time);
    assert!(matches!(actions.as_slice(), [Action::Fail(..)]), "{actions:?}");
}
