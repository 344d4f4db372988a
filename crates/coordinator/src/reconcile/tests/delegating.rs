//! What a neighbour does for a datacenter whose coordinator is gone, and what it does not.

use std::collections::BTreeSet;
use std::time::Duration;

use kato_core::{Command, Revision};

use super::super::failover::{Memory, decide};
use super::super::order::{self, Action, JOIN_MAX, Sold, Waiting};
use super::fixture::{World, machine, name, spec};

const START: Duration = Duration::from_secs(1_000);

/// A mesh in which sin serves the machines of ewr.
fn delegated() -> World {
    let mut world = World::new();
    let (datacenter, to) = (name("ewr"), name("sin"));
    world.run(Command::Delegate { datacenter, expected: Revision(0), to });
    world
}

#[test]
fn a_datacenter_is_as_silent_as_the_coordinator_that_serves_it() {
    let world = delegated();
    let mut memory = Memory::new(1, START);
    memory.see(&world.state, START);
    let now = START + Duration::from_mins(1);
    let late = world.reports(now.checked_sub(world.patience.silence * 2).unwrap());
    let decided = |silent: &[&str], without: Option<u32>| {
        let mut reports = world.reports(now);
        // Who serves machines reports of them.
        let mut served = (*reports[&name("sin")]).clone();
        served.machines.extend(reports[&name("ewr")].machines.clone());
        if let Some(number) = without {
            let found = served.machines.get_mut(&machine("ewr", number)).unwrap();
            found.silent = world.patience.machine_silence * 2;
        }
        reports.insert(name("sin"), served.into());
        for site in silent {
            reports.insert(name(site), late[&name(site)].clone());
        }
        let commands = decide(&world.state, &reports, &memory, world.patience, now).unwrap();
        let suspend = |command| match command {
            Command::Suspend { machines, reason } => (machines, reason),
            other => panic!("{other:?}"),
        };
        commands.into_iter().map(suspend).collect::<Vec<_>>()
    };
    assert_eq!(decided(&["ewr"], None), vec![], "sin speaks for it");
    let alone = decided(&["ewr"], Some(2));
    assert_eq!(alone[0].0, [machine("ewr", 2)], "its agent did not come to sin");
    assert!(alone.len() == 1 && alone[0].1.starts_with("its agent was silent"), "{alone:?}");
}

/// What was last said of them may be from before they were told to go elsewhere.
#[test]
fn agents_have_a_moment_to_get_to_whoever_serves_them_now() {
    let mut world = World::new();
    let mut memory = Memory::new(1, START);
    memory.see(&world.state, START);
    let (datacenter, to) = (name("ewr"), name("sin"));
    world.run(Command::Delegate { datacenter, expected: Revision(0), to });
    let moved = START + Duration::from_mins(1);
    let suspended = |memory: &mut Memory, now: Duration| {
        memory.see(&world.state, now);
        let mut reports = world.reports(now);
        let mut old = (*reports[&name("ewr")]).clone();
        old.machines.values_mut().for_each(|found| found.silent = Duration::from_secs(50));
        reports.insert(name("sin"), old.into());
        decide(&world.state, &reports, memory, world.patience, now).unwrap().len()
    };
    assert_eq!(suspended(&mut memory, moved), 0);
    assert_eq!(suspended(&mut memory, moved + world.patience.machine_silence), 0);
    assert_eq!(suspended(&mut memory, moved + world.patience.machine_silence * 2), 2);
}

#[test]
fn a_neighbour_that_is_silent_too_leaves_both_suspected() {
    let mut world = delegated();
    // More datacenters, or the brake would hold.
    for site in ["ams", "bom"] {
        let mut spec = world.state.datacenters[&name("dub")].spec.clone();
        spec.name = name(site);
        world.run(Command::RegisterDatacenter(spec));
    }
    let mut memory = Memory::new(1, START);
    memory.see(&world.state, START);
    let now = START + Duration::from_mins(1);
    let mut reports = world.reports(now);
    let late = world.reports(now.checked_sub(world.patience.silence * 2).unwrap());
    for site in ["ams", "bom"] {
        reports.insert(name(site), reports[&name("dub")].clone());
    }
    for site in ["ewr", "sin"] {
        reports.insert(name(site), late[&name(site)].clone());
    }
    let commands = decide(&world.state, &reports, &memory, world.patience, now).unwrap();
    let reasons: Vec<String> = commands
        .into_iter()
        .map(|command| match command {
            Command::Suspend { machines, reason } => format!("{}: {reason}", machines[0]),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        reasons,
        [
            "core-1.cell-1.ewr: the coordinator of sin, which stood in, was silent for 4.0 s",
            "core-1.cell-1.sin: the coordinator of sin was silent for 4.0 s",
        ]
    );
}

#[test]
fn a_neighbour_fills_what_is_there_and_buys_nothing() {
    for (mut world, placed) in [(World::new(), 2), (delegated(), 1)] {
        world.sell();
        world.put(&spec("web", "Count=2\nCPU=1.5\nMemory=1G\nDatacenters=ewr"));
        let more = spec("more", "Count=2\nCPU=2\nMemory=1G\nDatacenters=ewr");
        let plan = world.planner().put(&more);
        let found = plan.targets.len();
        // Both machines are taken; without a delegation two more could be bought.
        assert_eq!(found, if placed == 2 { 2 } else { 0 }, "{:?}", plan.decision);
        assert_eq!(world.site_of("web@1").as_deref(), Some("ewr"));
    }
}

#[test]
fn an_order_waits_for_the_coordinator_that_may_buy_and_not_for_ever() {
    let mut world = World::new();
    world.sell();
    world.put(&spec("web", "Count=2\nCPU=1.5\nMemory=1G\nDatacenters=ewr"));
    world.put(&spec("more", "CPU=2\nMemory=1G\nDatacenters=ewr"));
    let (datacenter, to) = (name("ewr"), name("sin"));
    world.run(Command::Delegate { datacenter, expected: Revision(0), to });
    let order = *world.state.orders.keys().next().unwrap();
    let (sin, ewr) = (name("sin"), name("ewr"));
    let served: BTreeSet<_> = world.state.serving(&sin).collect();
    assert_eq!(served, BTreeSet::from([&sin, &ewr]));
    let mut waiting = Waiting::default();
    let decided = |waiting: &mut Waiting, now| {
        waiting.see(&world.state, &served, now);
        order::decide(&world.state, &ewr, &Sold::Elsewhere, &waiting.overdue(now))
    };
    assert_eq!(decided(&mut waiting, START), vec![]);
    assert_eq!(decided(&mut waiting, START + JOIN_MAX), vec![]);
    let reason = "the coordinator that buys machines there is gone".to_owned();
    let given_up = vec![Action::Fail(order, reason)];
    assert_eq!(decided(&mut waiting, START + JOIN_MAX * 2), given_up);
    // A machine that may have been sold joins when that coordinator is back.
    let mut attempted = world.state.clone();
    attempted.orders.get_mut(&order).unwrap().attempts = 1;
    let late = waiting.overdue(START + JOIN_MAX * 2);
    assert_eq!(order::decide(&attempted, &ewr, &Sold::Elsewhere, &late), vec![]);
}

/// Its reports may come a moment after its machines were given back to it.
#[test]
fn a_datacenter_is_not_silent_for_longer_than_its_coordinator_serves_it() {
    let mut world = delegated();
    let mut memory = Memory::new(1, START);
    memory.see(&world.state, START);
    let expected = world.state.datacenters[&name("ewr")].term();
    world.run(Command::Delegate { datacenter: name("ewr"), expected, to: name("ewr") });
    let back = START + Duration::from_mins(1);
    let suspended = |memory: &mut Memory, now: Duration| {
        memory.see(&world.state, now);
        let mut reports = world.reports(now);
        reports.remove(&name("ewr"));
        decide(&world.state, &reports, memory, world.patience, now).unwrap().len()
    };
    assert_eq!(suspended(&mut memory, back), 0);
    assert_eq!(suspended(&mut memory, back + world.patience.silence), 0);
    assert_eq!(suspended(&mut memory, back + world.patience.silence * 2), 1);
}
