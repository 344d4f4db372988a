//! When a suspended machine may have leases again.

use std::time::Duration;

use kato_core::{Command, Revision, State};

use super::super::place::decide;
use super::fixture::{World, machine, spec};
use crate::agents::{Told, is_told, may_resume};

/// Whether ewr's first machine may, once its agent has carried out what this state tells it.
fn may(world: &World, carried_out: &State) -> bool {
    may_resume(&world.state, &machine("ewr", 1), 1, carried_out.revision)
}

/// Moves what ran on the machines of ewr, as the placer does.
fn move_away(world: &mut World) {
    let commands = decide(&world.planner(), &world.reports(Duration::ZERO), Duration::ZERO);
    assert!(!commands.is_empty());
    commands.into_iter().for_each(|command| world.run(command));
}

#[test]
fn a_machine_resumes_once_it_has_carried_out_what_was_decided_after_its_suspension() {
    let mut world = World::new();
    let before = world.state.clone();
    world.run(Command::Suspend { machines: vec![machine("ewr", 1)], reason: "silent".to_owned() });
    assert!(!may(&world, &before));
    assert!(may(&world, &world.state));
    assert!(!may_resume(&world.state, &machine("ewr", 1), 2, world.state.revision), "not joined");
    world.run(Command::Resume { machine: machine("ewr", 1), incarnation: 1 });
    assert!(!may(&world, &world.state), "it has leases");
    assert!(
        !may_resume(&world.state, &machine("ewr", 9), 1, Revision(u64::MAX)),
        "no such machine"
    );
}

/// Its coordinator was frozen as well, and told it of the suspension before it heard what was moved away after that.
#[test]
fn a_machine_that_has_yet_to_stop_what_was_moved_away_does_not_resume() {
    let mut world = World::new();
    world.put(&spec("web", "Count=4\nNear=40.7,-74\n"));
    world.lose("ewr");
    let halfway = world.state.clone();
    move_away(&mut world);
    assert!(!may(&world, &halfway));
    assert!(may(&world, &world.state));
}

/// What is given to a machine and taken away again between two looks leaves its list as it was, and has to be told all the same:
/// the next one waits until the machine says that it has carried out a list of after that.
#[test]
fn a_list_is_told_again_when_there_is_more_to_stop() {
    let mut world = World::new();
    let db = spec("db", "Singleton=yes\nDatacenters=ewr\n");
    let delete = || Command::DeleteWorkload { name: "db".parse().unwrap(), expected: None };
    world.put(&db);
    let bound = world.state.instances.values().find_map(|found| found.placement.as_ref());
    let machine = bound.and_then(|placement| placement.machine.clone()).unwrap();
    world.run(delete());
    let told = Told::of(&world.state, &machine);
    assert!(is_told(&world.state, &machine, Some(&told)));
    world.put(&db);
    world.run(delete());
    assert!(!is_told(&world.state, &machine, Some(&told)));
    // Once it has carried out what it was told then, there is nothing more to say.
    let told = Told::of(&world.state, &machine);
    world.run(Command::Settled { machine: machine.clone(), revision: world.state.revision });
    assert!(is_told(&world.state, &machine, Some(&told)));
}
