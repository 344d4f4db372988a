//! What a leader does in a mesh that has just begun anew from a backup.

use std::collections::BTreeSet;
use std::time::Duration;

use kato_core::{Command, Timestamp};

use super::super::failover::{Memory, decide};
use super::fixture::{World, machine, name};
use crate::timing::lease_is_over;

const START: Duration = Duration::from_secs(1_000);

/// A mesh of which dub alone is left.
fn restored() -> World {
    let mut world = World::new();
    let gone = BTreeSet::from([name("ewr"), name("sin")]);
    world.state.restore(Timestamp(1_795_354_948_000), &gone);
    world
}

#[test]
fn nobody_is_declared_lost_before_the_quarantine_ends() {
    let mut world = World::new();
    world.run(Command::Suspend { machines: vec![machine("ewr", 1)], reason: "silent".to_owned() });
    let lost = |world: &World| {
        let mut memory = Memory::new(1, START);
        memory.see(&world.state, START);
        let now = START + lease_is_over(world.patience.lease) * 2;
        let reports = world.reports(now);
        let commands = decide(&world.state, &reports, &memory, world.patience, now).unwrap();
        commands.iter().any(|command| matches!(command, Command::DeclareLost(_)))
    };
    assert!(lost(&world));
    world.state.restore(Timestamp(1_795_354_948_000), &BTreeSet::new());
    assert!(!lost(&world), "there may be leases that this state knows nothing of");
    let since = world.state.quarantined.unwrap();
    world.run(Command::EndQuarantine { since });
    assert!(!lost(&world), "the end of the quarantine has said so");
    assert!(world.state.machines[&machine("ewr", 1)].suspended.unwrap().over);
}

/// Two of three are gone for good: that is no reason to do nothing.
#[test]
fn who_was_given_up_does_not_hold_the_brake() {
    let mut world = restored();
    let decided = |world: &World| {
        let mut memory = Memory::new(1, START);
        memory.see(&world.state, START);
        let now = START + Duration::from_mins(1);
        let mut reports = world.reports(now);
        reports.retain(|site, _| *site == name("dub"));
        decide(&world.state, &reports, &memory, world.patience, now)
    };
    assert!(decided(&world).is_err(), "they are not lost yet");
    let since = world.state.quarantined.unwrap();
    world.run(Command::EndQuarantine { since });
    assert_eq!(decided(&world).unwrap(), vec![]);
}
