//! What the leader's placer proposes.

use std::time::Duration;

use kato_core::Command;

use super::super::place::{STEADY, decide};
use super::fixture::{World, instance, spec};

const NOW: Duration = Duration::from_secs(1_000);

fn decided(world: &World) -> Vec<Command> {
    decide(&world.planner(), &world.reports(NOW), NOW)
}

#[test]
fn what_runs_well_is_left_alone() {
    let mut world = World::new();
    world.put(&spec("web", "Count=2\nNear=53,-6\n"));
    assert_eq!(decided(&world), vec![]);
}

#[test]
fn instances_of_a_lost_site_move_with_a_higher_epoch() {
    let mut world = World::new();
    world.put(&spec("web", "Count=2\nNear=40.7,-74\n"));
    assert_eq!(world.site_of("web@1").unwrap(), "ewr");
    let epoch = world.state.instances[&instance("web@1")].epoch();
    world.lose("ewr");
    for command in decided(&world) {
        world.run(command);
    }
    for id in ["web@1", "web@2"] {
        assert_eq!(world.site_of(id).unwrap(), "dub");
    }
    assert!(world.state.instances[&instance("web@1")].epoch() > epoch);
    world.bind();
    assert_eq!(decided(&world), vec![]);
}

#[test]
fn failover_never_waits_for_its_site() {
    let mut world = World::new();
    world.put(&spec("web", "Near=40.7,-74\nFailover=never\n"));
    world.lose("ewr");
    assert_eq!(decided(&world), vec![]);
    assert_eq!(world.site_of("web@1").unwrap(), "ewr");
}

/// never-none: what fits nowhere else keeps its place, and says why, once.
#[test]
fn what_fits_nowhere_keeps_its_place() {
    let mut world = World::new();
    world.put(&spec("web", "Datacenters=ewr\n"));
    world.lose("ewr");
    let commands = decided(&world);
    assert!(matches!(commands.as_slice(), [Command::Unplaceable { .. }]), "{commands:?}");
    for command in commands {
        world.run(command);
    }
    assert_eq!(world.site_of("web@1").unwrap(), "ewr");
    assert_eq!(decided(&world), vec![]);
    let found = world.state.instances[&instance("web@1")].unplaceable.clone().unwrap();
    let why = found.decision.to_string();
    assert!(why.contains("ewr: lost or suspended") && why.contains("dub: Datacenters="), "{why}");
}

/// A rollout replaces one instance at a time, and the next only when the one before runs.
#[test]
fn a_rollout_goes_one_by_one() {
    let mut world = World::new();
    world.put(&spec("web", "Count=3\nNear=53,-6\n"));
    world.put(&spec("web", "Count=3\nNear=53,-6\nCPU=200m\n"));
    for rolled in 1..=3 {
        let commands = decided(&world);
        let [Command::Place(place)] = commands.as_slice() else { panic!("{commands:?}") };
        assert_eq!(place.targets.len(), 1);
        assert_eq!(place.targets[0].number, rolled);
        let before = world.reports(NOW);
        for command in commands {
            world.run(command);
        }
        world.bind();
        // The reports from before do not speak of the new epoch: nothing more happens.
        assert_eq!(decide(&world.planner(), &before, NOW), vec![]);
    }
    assert_eq!(decided(&world), vec![]);
    assert!(world.state.workloads.values().all(|workload| workload.older.is_empty()));
}

/// A version that starts and ends again soon after is not rolled out further than its first instance.
#[test]
fn a_rollout_waits_until_an_instance_has_run_for_a_while() {
    let mut world = World::new();
    world.put(&spec("web", "Count=2\nNear=53,-6\n"));
    world.put(&spec("web", "Count=2\nNear=53,-6\nCPU=200m\n"));
    for command in decided(&world) {
        world.run(command);
    }
    world.bind();
    let started = NOW;
    let mut reports = world.reports(NOW);
    for report in reports.values_mut() {
        for machine in std::sync::Arc::make_mut(report).machines.values_mut() {
            machine.steady.values_mut().for_each(|since| *since = started);
        }
    }
    assert_eq!(decide(&world.planner(), &reports, started), vec![]);
    let early = started + STEADY.saturating_sub(Duration::from_millis(1));
    assert_eq!(decide(&world.planner(), &reports, early), vec![]);
    let commands = decide(&world.planner(), &reports, started + STEADY);
    assert!(matches!(commands.as_slice(), [Command::Place(_)]), "{commands:?}");
}

#[test]
fn a_rollout_stays_at_home() {
    let mut world = World::new();
    world.put(&spec("web", "Near=40.7,-74\n"));
    // Nobody is near any more: Dublin, first by name, would be as good.
    world.put(&spec("web", "CPU=200m\n"));
    for command in decided(&world) {
        world.run(command);
    }
    assert_eq!(world.site_of("web@1").unwrap(), "ewr");
}

/// The machines of a datacenter come back one after the other; what runs on the second one stays there.
#[test]
fn a_machine_whose_agent_is_back_keeps_its_instances() {
    let mut world = World::new();
    world.put(&spec("web", "Count=4\nNear=40.7,-74\n"));
    world.lose("ewr");
    let machine = super::fixture::machine("ewr", 1);
    world.run(Command::Resume { machine, incarnation: 1 });
    assert_eq!(decided(&world), vec![], "the other machine's agent is attached");
    let mut reports = world.reports(NOW);
    let report = std::sync::Arc::make_mut(reports.get_mut(&super::fixture::name("ewr")).unwrap());
    let second = super::fixture::machine("ewr", 2);
    report.machines.get_mut(&second).unwrap().connected = false;
    assert!(!decide(&world.planner(), &reports, NOW).is_empty(), "the other machine is lost");
}
