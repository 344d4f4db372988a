//! The leader's placer: gives a place to every instance that has none or has lost it, and brings instances to the
//! present generation of their workload, one at a time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kato_core::{
    Command, DatacenterName, Failover, Health, Instance, MachineId, Placement, Source, Spread,
    State, Workload,
};
use tokio_util::sync::CancellationToken;

use super::Wake;
use crate::agents::RunState;
use crate::context::Context;
use crate::planner::{Plan, Planner};
use crate::reports::{Report, machine_report};

/// Between two looks when nothing changes.
const PERIOD: Duration = Duration::from_millis(500);
/// How long an instance of a new generation must have run before the next one is replaced: long enough for one that
/// cannot do its work to have ended.
pub(super) const STEADY: Duration = Duration::from_secs(5);
/// Instances that one pass places: a lost datacenter is emptied in many passes, each on the newest state.
const PLACED_PER_PASS: usize = 256;

pub(super) async fn run(context: Context, shutdown: CancellationToken) {
    let mut wake = Wake::new(&context, PERIOD, shutdown);
    while let Some((view, leadership)) = wake.next().await {
        if !leadership.here {
            continue;
        }
        let reports = context.reports.all();
        let planner = context.planner(&view);
        let commands = decide(&planner, &reports, context.clock.boot());
        context.commit("placing instances", commands).await;
    }
}

type Reports = BTreeMap<DatacenterName, Arc<Report>>;

/// What to propose. Pure. Every command rests on the same state; where two of them want the same room the second is
/// refused, and the next pass decides anew.
pub(super) fn decide(planner: &Planner, reports: &Reports, now: Duration) -> Vec<Command> {
    let state = planner.state;
    let mut commands = Vec::new();
    // Workloads and instances are in the same order: one walk over both costs a fraction of a search for each.
    let mut instances = state.instances.values().peekable();
    for workload in state.workloads.values() {
        let own = std::iter::from_fn(|| {
            instances.next_if(|instance| instance.id.workload <= workload.spec.name)
        });
        let (mut outdated, mut placed) = (false, false);
        for instance in own {
            // The next copy of a spread workload must see where this one went: it waits for the next pass.
            let wait = placed && workload.spec.spread == Spread::Datacenter;
            if let Some(cause) = needs_place(planner, reports, workload, instance)
                && !wait
            {
                commands.extend(give_place(planner, workload, instance, cause));
                placed = true;
            }
            if commands.len() >= PLACED_PER_PASS {
                return commands;
            }
            let placement = instance.placement.as_ref();
            outdated |= placement.is_some_and(|found| found.generation != workload.generation);
        }
        if outdated {
            commands.extend(roll(planner, reports, workload, now));
        }
    }
    commands
}

/// Why an instance needs another place than it has, if it does.
fn needs_place(
    planner: &Planner,
    reports: &Reports,
    workload: &Workload,
    instance: &Instance,
) -> Option<String> {
    let state = planner.state;
    let Some(placement) = &instance.placement else {
        return Some("it had no place".to_owned());
    };
    if workload.spec.failover == Failover::Never {
        return None;
    }
    if let Some(machine) = &placement.machine {
        let suspended = state.machines.get(machine).and_then(|machine| machine.suspended);
        let over = suspended.is_some_and(|suspended| suspended.over);
        // A machine whose agent is back is about to get leases again.
        let back =
            health(state, placement) == Some(Health::Up) && connected(state, reports, machine);
        return (over && !back).then(|| format!("{machine} is lost"));
    }
    // It does not run yet, and whoever should find a machine for it does not answer.
    let datacenter = &placement.cell.datacenter;
    let gone = health(state, placement) != Some(Health::Up) || planner.silent.contains(datacenter);
    gone.then(|| format!("{datacenter} is lost or silent"))
}

fn health(state: &State, placement: &Placement) -> Option<Health> {
    state.datacenters.get(&placement.cell.datacenter).map(|datacenter| datacenter.health)
}

/// Whether a machine's agent is attached to a coordinator, as far as was reported.
fn connected(state: &State, reports: &Reports, machine: &MachineId) -> bool {
    machine_report(state, reports, machine).is_some_and(|found| found.connected)
}

fn give_place(
    planner: &Planner,
    workload: &Workload,
    instance: &Instance,
    cause: String,
) -> Option<Command> {
    let plan = planner.one(&workload.spec, instance);
    if plan.unplaced == 0 {
        let name = workload.spec.name.clone();
        return Some(plan.place(name, workload.generation, cause));
    }
    unplaceable(instance, plan)
}

/// never-none: the placement that it has stays. Said once, and again when the reasons change.
fn unplaceable(instance: &Instance, plan: Plan) -> Option<Command> {
    let known = instance.unplaceable.as_ref();
    let news = known.is_none_or(|known| known.decision.candidates != plan.decision.candidates);
    news.then(|| Command::Unplaceable {
        instance: instance.id.clone(),
        epoch: instance.epoch(),
        decision: plan.decision,
    })
}

/// The next step of a rollout: the first instance of an older generation, once all of the present one run.
fn roll(
    planner: &Planner,
    reports: &Reports,
    workload: &Workload,
    now: Duration,
) -> Option<Command> {
    let state = planner.state;
    let mut outdated = None;
    for instance in state.instances_of(&workload.spec.name) {
        // What has no place waits for room, which this may make.
        let Some(placement) = &instance.placement else { continue };
        if placement.generation == workload.generation {
            if !settled(state, reports, instance, placement, now) {
                return None;
            }
        } else if outdated.is_none() && on_leased_machine(state, placement) {
            outdated = Some(instance);
        }
    }
    let instance = outdated?;
    let plan = planner.one(&workload.spec, instance);
    let Some(target) = plan.targets.first() else { return unplaceable(instance, plan) };
    if target.quote.source == Source::Running {
        let cause = format!("generation {}", workload.generation);
        return Some(plan.place(workload.spec.name.clone(), workload.generation, cause));
    }
    // never-none: it runs on where it is until its next machine is there.
    let mut orders = state.orders.values();
    let ordered = orders.any(|o| o.instance == instance.id && o.cell == target.cell);
    (!ordered).then(|| Command::OrderMachine {
        instance: instance.id.clone(),
        epoch: target.epoch.unwrap_or_default(),
        cell: target.cell.clone(),
        offer: Arc::clone(&target.quote.offer),
    })
}

/// Whether an instance has run as placed for a while, or has ended well.
fn settled(
    state: &State,
    reports: &Reports,
    instance: &Instance,
    placement: &Placement,
    now: Duration,
) -> bool {
    let machine = placement.machine.as_ref();
    let Some(report) = machine.and_then(|machine| machine_report(state, reports, machine)) else {
        return false;
    };
    let Some(seen) = report.instances.get(&instance.id) else { return false };
    let since = report.steady.get(&instance.id);
    let steady = since.is_some_and(|since| now.saturating_sub(*since) >= STEADY);
    seen.epoch == placement.epoch && (steady || seen.state == RunState::Exited)
}

/// Instances of a suspended machine are the failover's, not the rollout's.
fn on_leased_machine(state: &State, placement: &Placement) -> bool {
    let machine = placement.machine.as_ref().and_then(|machine| state.machines.get(machine));
    machine.is_some_and(|machine| machine.suspended.is_none())
}
