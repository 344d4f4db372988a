//! Who is suspected, and when somebody is lost.

use std::time::Duration;

use kato_core::{Command, MachineId};

use super::super::failover::{Memory, decide};
use super::fixture::{Reports, World, machine, name};
use crate::brake::Brake;
use crate::timing::lease_is_over;

const START: Duration = Duration::from_secs(1_000);

/// A leader's memory, since `START`.
fn leading(world: &World) -> Memory {
    let mut memory = Memory::new(1, START);
    memory.see(&world.state, START);
    memory
}

fn suspended(commands: &[Command]) -> Vec<MachineId> {
    let machines = commands.iter().filter_map(|command| match command {
        Command::Suspend { machines, .. } => Some(machines.clone()),
        _ => None,
    });
    machines.flatten().collect()
}

#[test]
fn a_site_that_is_heard_is_not_suspected() {
    let world = World::new();
    let now = START + Duration::from_mins(1);
    let reports = world.reports(now);
    let commands = decide(&world.state, &reports, &leading(&world), world.patience, now).unwrap();
    assert_eq!(commands, vec![]);
}

#[test]
fn a_silent_site_is_suspected_with_all_its_machines() {
    let world = World::new();
    let now = START + Duration::from_mins(1);
    let mut reports = world.reports(now);
    let late = world.reports(now.checked_sub(world.patience.silence * 2).unwrap());
    reports.insert(name("ewr"), late[&name("ewr")].clone());
    let commands = decide(&world.state, &reports, &leading(&world), world.patience, now).unwrap();
    assert_eq!(suspended(&commands), vec![machine("ewr", 1), machine("ewr", 2)]);
}

#[test]
fn a_new_leader_is_patient_with_everybody() {
    let world = World::new();
    let reports = world.reports(Duration::ZERO);
    let now = START + world.patience.silence;
    let commands = decide(&world.state, &reports, &leading(&world), world.patience, now).unwrap();
    assert_eq!(commands, vec![]);
}

/// no-mass-move: when more than half of the mesh looks dead, nothing is suspected.
#[test]
fn the_brake_stops_a_mass_move() {
    let world = World::new();
    let now = START + Duration::from_mins(1);
    let mut reports = world.reports(now);
    reports.remove(&name("ewr"));
    reports.remove(&name("sin"));
    let decided = decide(&world.state, &reports, &leading(&world), world.patience, now);
    assert_eq!(decided, Err(dark(&["ewr", "sin"])));
}

/// The brake, held because of these.
fn dark(sites: &[&str]) -> Brake {
    Brake { dark: sites.iter().map(|site| name(site)).collect(), of: 3 }
}

#[test]
fn leases_are_over_only_after_the_wait_and_a_new_leader_waits_anew() {
    let mut world = World::new();
    let machines = vec![machine("ewr", 1), machine("ewr", 2)];
    world.run(Command::Suspend { machines: machines.clone(), reason: "silent".to_owned() });
    let memory = leading(&world);
    let wait = lease_is_over(world.patience.lease);
    let before = START + wait.saturating_sub(Duration::from_millis(1));
    let at = |now, memory: &Memory| {
        decide(&world.state, &world.reports(now), memory, world.patience, now).unwrap()
    };
    assert_eq!(at(before, &memory), vec![]);
    let since = |id: &kato_core::MachineId| world.state.machines[id].suspended.unwrap().since;
    let lost = machines.iter().map(|id| (id.clone(), since(id))).collect();
    assert_eq!(at(START + wait, &memory), vec![Command::DeclareLost(lost)]);
    let mut successor = Memory::new(2, START + wait);
    successor.see(&world.state, START + wait);
    assert_eq!(at(START + wait, &successor), vec![]);
}

#[test]
fn a_silent_agent_is_suspected_alone() {
    let world = World::new();
    let now = START + Duration::from_mins(1);
    let reports = with_silent_agents(&world, now, &[machine("dub", 2)]);
    let memory = leading(&world);
    let commands = decide(&world.state, &reports, &memory, world.patience, now).unwrap();
    assert_eq!(suspended(&commands), vec![machine("dub", 2)]);
}

/// Reports by which the agents of these machines have been silent for long.
fn with_silent_agents(world: &World, now: Duration, machines: &[MachineId]) -> Reports {
    let mut reports = world.reports(now);
    for id in machines {
        let report = reports.get_mut(&id.cell.datacenter).unwrap();
        let machine = std::sync::Arc::make_mut(report).machines.get_mut(id).unwrap();
        machine.silent = world.patience.machine_silence * 2;
    }
    reports
}

/// no-mass-move: a bad release of the agent, or certificates that have all expired, must not empty the mesh.
#[test]
fn the_brake_counts_datacenters_whose_agents_are_all_silent() {
    let world = World::new();
    let now = START + Duration::from_mins(1);
    let memory = leading(&world);
    let of = |site| [machine(site, 1), machine(site, 2)];
    let one = with_silent_agents(&world, now, &of("ewr"));
    let commands = decide(&world.state, &one, &memory, world.patience, now).unwrap();
    assert_eq!(suspended(&commands), of("ewr"));
    let two = with_silent_agents(&world, now, &[of("ewr"), of("dub")].concat());
    let decided = decide(&world.state, &two, &memory, world.patience, now);
    assert_eq!(decided, Err(dark(&["dub", "ewr"])));
}

/// A report from before the machine was resumed says nothing about it.
#[test]
fn a_machine_is_not_silent_for_longer_than_it_has_had_leases() {
    let world = World::new();
    let now = START + Duration::from_mins(1);
    let reports = with_silent_agents(&world, now, &[machine("dub", 2)]);
    let mut memory = Memory::new(1, START);
    memory.see(&world.state, now.saturating_sub(Duration::from_millis(100)));
    assert_eq!(decide(&world.state, &reports, &memory, world.patience, now), Ok(vec![]));
}
