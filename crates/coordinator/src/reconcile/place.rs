//! The leader's placer: gives a place to every instance that has none or has lost it, and brings instances to the
//! present generation of their workload, one at a time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kato_core::{
    Command, DatacenterName, Failover, Health, Instance, InstanceId, MachineId, Placement, Source,
    State, Timestamp, Workload, WorkloadName,
};
use tokio_util::sync::CancellationToken;

use super::Wake;
use crate::agents::RunState;
use crate::context::Context;
use crate::planner::{Need, Plan, Planner};
use crate::reports::{Report, machine_report};

/// Between two looks when nothing changes.
const PERIOD: Duration = Duration::from_millis(500);
/// How long an instance of a new generation must have run before the next one is replaced: long enough for one that
/// cannot do its work to have ended.
pub(super) const STEADY: Duration = Duration::from_secs(5);
/// Instances that one pass places: a lost datacenter is emptied in many passes, each on the newest state.
const PLACED_PER_PASS: usize = 256;
/// How many of them are such as were known to fit nowhere, and for how long it is the turn of the same ones, in milliseconds.
const WAITING_PER_PASS: usize = 64;
const TURN_MS: u64 = 1_000;

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

pub(super) type Reports = BTreeMap<DatacenterName, Arc<Report>>;

/// What to propose. Pure. Every command rests on the same state; where two of them want the same room the second is
/// refused, and the next pass decides anew.
pub(super) fn decide(planner: &Planner, reports: &Reports, now: Duration) -> Vec<Command> {
    let state = planner.state;
    let (mut wanting, mut outdated) = (Vec::new(), Vec::new());
    // Workloads and instances are in the same order: one walk over both costs a fraction of a search for each.
    let mut instances = state.instances.values().peekable();
    for workload in state.workloads.values() {
        let own = std::iter::from_fn(|| {
            instances.next_if(|instance| instance.id.workload <= workload.spec.name)
        });
        let mut older = false;
        for instance in own {
            if let Some(cause) = needs_place(planner, reports, workload, instance) {
                wanting.push(Wanting { workload, instance, cause });
            }
            let placement = instance.placement.as_ref();
            older |= placement.is_some_and(|found| found.generation != workload.generation);
        }
        if older {
            outdated.push(workload);
        }
    }
    let homeless = of_this_pass(wanting, planner.now);
    // What is moved now is not seen by what is planned on the same state: whoever has a rule with it waits for the next pass.
    let mut touched: BTreeSet<&WorkloadName> =
        homeless.iter().map(|without| &without.workload.spec.name).collect();
    let mut commands = give_places(planner, &homeless);
    for workload in outdated {
        if commands.len() >= PLACED_PER_PASS {
            break;
        }
        let name = &workload.spec.name;
        let waits = touched.contains(name)
            || planner
                .neighbours(&workload.spec)
                .iter()
                .any(|rule| touched.contains(&rule.workload));
        if !waits && let Some(command) = roll(planner, reports, workload, now) {
            touched.insert(name);
            commands.push(command);
        }
    }
    commands
}

/// An instance that needs a place.
struct Wanting<'a> {
    workload: &'a Workload,
    instance: &'a Instance,
    cause: String,
}

impl Wanting<'_> {
    /// Whether a cell said lately that it has no room for it.
    fn is_refused(&self, now: Timestamp) -> bool {
        self.instance.refusals.values().any(|until| *until > now)
    }
}

/// Those that are planned in this pass. What is known to fit nowhere comes behind what is not, and takes turns, so that it keeps
/// nobody waiting. Of one workload, those that a cell refused wait for those that it did not: it might take these.
fn of_this_pass(homeless: Vec<Wanting>, now: Timestamp) -> Vec<Homeless> {
    let (waiting, mut fresh): (Vec<Wanting>, Vec<Wanting>) =
        homeless.into_iter().partition(|found| found.instance.unplaceable.is_some());
    fresh.sort_by_key(|found| Reverse(found.workload.spec.rules.rank()));
    let turn = usize::try_from(now.0 / TURN_MS).unwrap_or(0) * WAITING_PER_PASS;
    let count = waiting.len();
    let mut chosen: Vec<Wanting> = fresh.into_iter().take(PLACED_PER_PASS).collect();
    let room = WAITING_PER_PASS.min(PLACED_PER_PASS - chosen.len());
    let mut waiting: Vec<Option<Wanting>> = waiting.into_iter().map(Some).collect();
    for step in 0..room.min(count) {
        chosen.extend(waiting[(turn + step) % count].take());
    }
    chosen.sort_by(|a, b| a.instance.id.cmp(&b.instance.id));
    let mut homeless: Vec<Homeless> = Vec::new();
    for of_one in chosen.chunk_by(|a, b| a.workload.spec.name == b.workload.spec.name) {
        let any = of_one.iter().any(|found| !found.is_refused(now));
        let mut without =
            Homeless { workload: of_one[0].workload, numbers: Vec::new(), causes: Vec::new() };
        for found in of_one.iter().filter(|found| !any || !found.is_refused(now)) {
            without.add(found.instance, &found.cause);
        }
        homeless.push(without);
    }
    homeless
}

/// Instances of one workload that need a place, and why.
struct Homeless<'a> {
    workload: &'a Workload,
    numbers: Vec<u32>,
    causes: Vec<String>,
}

impl Homeless<'_> {
    fn add(&mut self, instance: &Instance, cause: &str) {
        self.numbers.push(instance.id.number);
        if self.causes.iter().all(|known| known != cause) {
            self.causes.push(cause.to_owned());
        }
    }

    fn need(&self) -> Need<'_> {
        Need { spec: &self.workload.spec, numbers: self.numbers.clone() }
    }

    /// Why, in words: no more of it than people read.
    fn cause(&self) -> String {
        match &*self.causes {
            [first, second, third, others @ ..] if !others.is_empty() => {
                format!("{first}, {second}, {third}, and {} more", others.len())
            }
            few => few.join(", "),
        }
    }
}

/// Plans for all that need a place at once.
fn give_places(planner: &Planner, homeless: &[Homeless]) -> Vec<Command> {
    if homeless.is_empty() {
        return Vec::new();
    }
    let needs: Vec<Need> = homeless.iter().map(Homeless::need).collect();
    let mut commands = Vec::new();
    for (without, plan) in homeless.iter().zip(planner.all(&needs)) {
        let name = &without.workload.spec.name;
        let left = plan.left.iter().filter_map(|number| {
            let id = InstanceId::new(name.clone(), *number);
            unplaceable(planner.state.instances.get(&id)?, &plan)
        });
        let left: Vec<Command> = left.collect();
        if !plan.targets.is_empty() {
            commands.push(plan.place(name.clone(), without.workload.generation, without.cause()));
        }
        commands.extend(left);
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

/// never-none: the placement that it has stays. Said once, and again when the reasons change.
fn unplaceable(instance: &Instance, plan: &Plan) -> Option<Command> {
    let known = instance.unplaceable.as_ref();
    // Ages and figures move all the time: what is said again is only that it is for another reason.
    let news = known.is_none_or(|known| !known.decision.is_for_the_same_reasons(&plan.decision));
    news.then(|| Command::Unplaceable {
        instance: instance.id.clone(),
        epoch: instance.epoch(),
        decision: Arc::clone(&plan.decision),
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
    let Some(target) = plan.targets.first() else {
        return if plan.left.is_empty() { None } else { unplaceable(instance, &plan) };
    };
    if target.quote.source == Source::Running {
        let cause = format!("generation {}", workload.generation);
        return Some(plan.place(workload.spec.name.clone(), workload.generation, cause));
    }
    // never-none: it runs on where it is until its next machine is there. One that is on order for others joins by itself.
    if target.quote.source == Source::Shared {
        return None;
    }
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
pub(super) fn settled(
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
pub(super) fn on_leased_machine(state: &State, placement: &Placement) -> bool {
    let machine = placement.machine.as_ref().and_then(|machine| state.machines.get(machine));
    machine.is_some_and(|machine| machine.suspended.is_none())
}
