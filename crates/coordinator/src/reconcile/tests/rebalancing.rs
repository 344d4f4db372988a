//! What runs moves to where it costs less, and stays where it is otherwise.

use std::time::Duration;

use kato_core::{Command, MachineId, MicroDollars};
use kato_placement::Catalogue;

use super::super::rebalance::Memory;
use super::fixture::{World, instance, machine, spec};
use crate::sample::offer;

/// How long a datacenter must have been up.
const AFTER: Duration = Duration::from_mins(10);
/// A moment by which it has been.
const LATER: Duration = Duration::from_secs(700);

fn pass(world: &World, memory: &mut Memory, now: Duration) -> Vec<Command> {
    memory.decide(&world.planner(), &world.reports(now), AFTER, now)
}

/// A leader that has led for long enough.
fn leading(world: &World) -> Memory {
    let mut memory = Memory::default();
    let early = Duration::from_secs(10);
    assert_eq!(pass(world, &mut memory, early), vec![], "nothing has been up for long enough");
    memory
}

/// Proposes, and lets what moved be bound; says how many moves there were.
fn act(world: &mut World, memory: &mut Memory) -> usize {
    let commands = pass(world, memory, LATER);
    let moves = commands.len();
    for command in commands {
        world.run(command);
    }
    world.bind();
    moves
}

/// What a lost datacenter drove away comes back once it has been up for a while, and then stays.
#[test]
fn what_was_driven_away_comes_back() {
    let mut world = World::new();
    world.lose("ewr");
    world.put(&spec("web", "Near=40.7,-74\n"));
    assert_eq!(world.site_of("web@1").unwrap(), "dub");
    world.resume("ewr");
    let mut memory = leading(&world);
    let almost = Duration::from_secs(609);
    assert_eq!(pass(&world, &mut memory, almost), vec![]);
    assert_eq!(act(&mut world, &mut memory), 1);
    assert_eq!(world.site_of("web@1").unwrap(), "ewr");
    assert_eq!(act(&mut world, &mut memory), 0);
    // One that is lost again must have been up for as long again.
    world.lose("ewr");
    assert_eq!(pass(&world, &mut memory, LATER), vec![]);
    world.resume("ewr");
    assert_eq!(pass(&world, &mut memory, LATER), vec![]);
}

#[test]
fn nothing_moves_that_does_not_save_more_than_its_move_costs() {
    for options in ["Rebalance=never\n", "Failover=never\n", "MoveCost=100\n", "Stay=1min\n"] {
        let mut world = World::new();
        world.lose("ewr");
        // 70 ms at $0.0005: 3.5 cents an hour.
        world.put(&spec("web", &format!("Near=40.7,-74\n{options}")));
        world.resume("ewr");
        let mut memory = leading(&world);
        assert_eq!(act(&mut world, &mut memory), 0, "{options}");
    }
}

/// The others of a workload run meanwhile, and only what runs well is touched.
#[test]
fn copies_move_one_after_the_other() {
    let mut world = World::new();
    world.lose("ewr");
    world.put(&spec("web", "Count=3\nNear=40.7,-74\n"));
    world.resume("ewr");
    let mut memory = leading(&world);
    let mut silent = world.reports(LATER);
    silent.remove(&super::fixture::name("dub"));
    assert_eq!(
        memory.decide(&world.planner(), &silent, AFTER, LATER),
        vec![],
        "who knows how they are"
    );
    for step in 1..=3 {
        assert_eq!(act(&mut world, &mut memory), 1);
        let there = ["web@1", "web@2", "web@3"].map(|id| world.site_of(id).unwrap());
        assert_eq!(there.iter().filter(|site| *site == "ewr").count(), step);
    }
    assert_eq!(act(&mut world, &mut memory), 0);
}

/// A machine in dub that was bought, with copies of two workloads on it for which it is nearer than machines elsewhere that
/// are paid for anyway.
fn bought(latency_price: &str) -> World {
    let mut world = World::new();
    world.sell();
    for site in ["ewr", "sin"] {
        world.lose(site);
    }
    world.put(&spec("full", "Count=2\nCPU=2\nDatacenters=dub\n"));
    let near = format!("CPU=500m\nNear=53.4,-6.3\nLatencyPrice={latency_price}\n");
    world.put(&spec("web", &format!("Count=2\n{near}")));
    world.put(&spec("api", &near));
    assert_eq!(world.state.orders.len(), 1, "all three share one");
    world.deliver();
    for site in ["ewr", "sin"] {
        world.resume(site);
    }
    world
}

fn on(world: &World, id: &str) -> MachineId {
    world.state.instances[&instance(id)].placement.clone().unwrap().machine.expect("it is bound")
}

/// One alone leaves for nothing, for the others keep the machine paid: all of them leave, one of each workload at a time, and
/// none comes back on the way.
#[test]
fn a_machine_that_is_not_worth_its_price_is_emptied() {
    // Three copies with 73 ms more at $0.0003 cost 6.6 cents, the machine 10.7.
    let mut world = bought("0.0003");
    let mut memory = leading(&world);
    assert_eq!(act(&mut world, &mut memory), 2);
    assert_eq!(act(&mut world, &mut memory), 1);
    for id in ["web@1", "web@2", "api@1"] {
        assert_eq!(world.site_of(id).unwrap(), "ewr", "{id}");
    }
    assert!(world.state.machines[&machine("dub", 3)].bound.is_empty());
}

#[test]
fn a_machine_that_is_worth_its_price_is_kept() {
    // They would cost 11 cents.
    let mut world = bought("0.0005");
    let mut memory = leading(&world);
    assert_eq!(act(&mut world, &mut memory), 0);
    assert_eq!(on(&world, "api@1"), machine("dub", 3));
}

/// A machine that would be cheaper, and that the budget does not allow, is no reason to go where it costs more.
#[test]
fn a_budget_that_is_short_moves_nothing_to_dearer_places() {
    let mut world = bought("0.0005");
    world.catalogue = Catalogue::new([offer("dub", 20_000)]);
    world.run(Command::SetBudget { max: Some(MicroDollars(0)), expected: None });
    let mut memory = leading(&world);
    assert_eq!(act(&mut world, &mut memory), 0);
    assert_eq!(on(&world, "api@1"), machine("dub", 3));
}

/// Two machines that were bought, in two cells, each with one copy that would have room beside the other: one of the two goes.
#[test]
fn machines_do_not_swap_what_they_have() {
    let mut world = World::new();
    for site in ["dub", "ewr", "sin"] {
        let full = format!("Count=2\nCPU=2\nDatacenters={site}\n");
        world.put(&spec(&format!("full-{site}"), &full));
    }
    // Only dub sells, and then, with the machine there full, only ewr.
    world.sell_in(&["dub"]);
    world.put(&spec("a", "CPU=500m\n"));
    world.deliver();
    world.put(&spec("filler", "CPU=1500m\nDatacenters=dub\n"));
    world.sell_in(&["ewr"]);
    world.put(&spec("b", "CPU=500m\n"));
    world.deliver();
    let name = "filler".parse().unwrap();
    world.run(Command::DeleteWorkload { name, expected: None });
    let at = |world: &World| ["a@1", "b@1"].map(|id| on(world, id));
    assert_eq!(at(&world), [machine("dub", 3), machine("ewr", 3)]);
    let mut memory = leading(&world);
    assert_eq!(act(&mut world, &mut memory), 1);
    let together = at(&world);
    assert_eq!(together[0], together[1]);
    assert_eq!(act(&mut world, &mut memory), 0);
}

/// A coordinator that is not heard is no reason to move what it serves.
#[test]
fn nothing_moves_while_a_coordinator_is_silent() {
    let mut world = World::new();
    world.lose("ewr");
    world.put(&spec("web", "Near=40.7,-74\n"));
    world.resume("ewr");
    let mut memory = leading(&world);
    for silent in ["dub", "ewr", "sin"] {
        world.silent = [super::fixture::name(silent)].into();
        assert_eq!(act(&mut world, &mut memory), 0, "{silent}");
    }
    world.silent.clear();
    assert_eq!(act(&mut world, &mut memory), 1);
}

/// What has ended well would be started once more.
#[test]
fn what_has_ended_stays_where_it_was() {
    let mut world = World::new();
    world.lose("ewr");
    world.put(&spec("once", "Near=40.7,-74\n"));
    world.resume("ewr");
    let mut memory = leading(&world);
    let mut reports = world.reports(LATER);
    let report = std::sync::Arc::make_mut(reports.get_mut(&super::fixture::name("dub")).unwrap());
    for seen in report.machines.values_mut().flat_map(|machine| machine.instances.values_mut()) {
        seen.state = crate::agents::RunState::Exited;
    }
    assert_eq!(memory.decide(&world.planner(), &reports, AFTER, LATER), vec![]);
    assert_eq!(act(&mut world, &mut memory), 1, "one that runs moves");
}

/// What may not move keeps a machine, and not those beside it.
#[test]
fn what_stays_keeps_nobody_else() {
    let mut world = World::new();
    world.sell();
    world.lose("ewr");
    world.put(&spec("full", "Count=2\nCPU=2\nDatacenters=dub\n"));
    world.put(&spec("full-sin", "Count=2\nCPU=2\nDatacenters=sin\n"));
    world.put(&spec("aaa", "CPU=500m\nDatacenters=dub\nRebalance=never\n"));
    world.put(&spec("web", "CPU=500m\nNear=40.7,-74\n"));
    world.deliver();
    assert_eq!(on(&world, "web@1"), machine("dub", 3));
    world.resume("ewr");
    let mut memory = leading(&world);
    assert_eq!(act(&mut world, &mut memory), 1);
    assert_eq!(world.site_of("web@1").unwrap(), "ewr");
}

/// Who must be with another one is not left alone to save.
#[test]
fn what_others_must_be_with_stays() {
    let mut world = World::new();
    world.lose("ewr");
    world.put(&spec("db", "Near=40.7,-74\n"));
    world.put(&spec("web", "With=db\n"));
    world.resume("ewr");
    let mut memory = leading(&world);
    assert_eq!(act(&mut world, &mut memory), 0);
}

/// What one pass has no time for is the next one's, and none is left out.
#[test]
fn many_come_back_a_few_at_a_time() {
    let mut world = World::new();
    world.lose("ewr");
    for number in 0..20 {
        world.put(&spec(&format!("web-{number}"), "CPU=50m\nNear=40.7,-74\n"));
    }
    world.resume("ewr");
    let mut memory = leading(&world);
    let moves: Vec<usize> = (0..4).map(|_| act(&mut world, &mut memory)).collect();
    assert_eq!(moves, [8, 8, 4, 0]);
}

/// One of two copies on a machine leaves, the other one stays: who left may come back, for the machine is not being emptied.
#[test]
fn who_leaves_a_machine_that_stays_may_come_back() {
    let mut world = World::new();
    world.sell();
    world.lose("ewr");
    world.put(&spec("full", "Count=2\nCPU=2\nDatacenters=dub\n"));
    world.put(&spec("full-sin", "Count=2\nCPU=2\nDatacenters=sin\n"));
    world.put(&spec("local", "CPU=500m\nDatacenters=dub\n"));
    world.put(&spec("web", "CPU=500m\nNear=40.7,-74\n"));
    world.deliver();
    world.resume("ewr");
    let mut memory = leading(&world);
    assert_eq!(act(&mut world, &mut memory), 1);
    assert_eq!(world.site_of("web@1").unwrap(), "ewr");
    // It is driven away once more, to another machine than it left.
    world.put(&spec("filler", "CPU=1500m\nDatacenters=dub\n"));
    world.run(Command::DeleteWorkload { name: "full".parse().unwrap(), expected: None });
    world.lose("ewr");
    for command in super::super::place::decide(&world.planner(), &world.reports(LATER), LATER) {
        world.run(command);
    }
    world.bind();
    assert_ne!(on(&world, "web@1"), machine("dub", 3));
    assert_eq!(pass(&world, &mut memory, LATER), vec![]);
    world.resume("ewr");
    assert_eq!(pass(&world, &mut memory, LATER), vec![]);
    assert_eq!(pass(&world, &mut memory, LATER + AFTER).len(), 1);
}
