//! The leader's rebalancer: moves what runs to where it costs less, once that saves more than the move costs. What a lost
//! datacenter drove away comes back so. One instance of a workload at a time, and onto machines that run: none is bought to
//! save.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kato_core::{
    CellId, Command, DatacenterName, Decision, Failover, Health, Instance, InstanceId, MachineId,
    MicroDollars, Placement, Quote, Rebalance, Source, State, Target, WorkloadName,
};
use tokio_util::sync::CancellationToken;

use super::Wake;
use super::place::{Reports, on_leased_machine, settled};
use crate::admission::is_harmless;
use crate::context::Context;
use crate::planner::{Need, Plan, Planner};

/// Between two passes.
const PERIOD: Duration = Duration::from_secs(2);
/// Instances that one pass looks at; the next one goes on behind them.
const LOOKED_PER_PASS: usize = 64;
/// The most instances on a machine that are looked at together, because the machine would not be needed without them.
const TOGETHER_MAX: usize = 64;

/// What a leader remembers since it leads.
#[derive(Debug, Default)]
pub(super) struct Memory {
    term: u64,
    /// Since when each datacenter has been up, as far as was seen.
    up: BTreeMap<DatacenterName, Duration>,
    /// The machines that instances left so that nothing will be on them: until then these do not come back.
    emptied: BTreeMap<InstanceId, MachineId>,
    /// Where the next pass goes on.
    next: Option<InstanceId>,
}

pub(super) async fn run(context: Context, after: Duration, shutdown: CancellationToken) {
    let mut wake = Wake::new(&context, PERIOD, shutdown);
    let mut memory = Memory::default();
    let mut last = None;
    while let Some((view, leadership)) = wake.next().await {
        let now = context.clock.boot();
        if !leadership.here {
            memory = Memory::default();
            continue;
        }
        if last.is_some_and(|last| now.saturating_sub(last) < PERIOD) {
            continue;
        }
        last = Some(now);
        if memory.term != leadership.term {
            memory = Memory { term: leadership.term, ..Memory::default() };
        }
        let reports = context.reports.all();
        let planner = context.planner(&view);
        let commands = memory.decide(&planner, &reports, after, now);
        context.commit("rebalancing", commands).await;
    }
}

impl Memory {
    /// What to propose. `after`: how long a datacenter must have been up before something moves there.
    pub(super) fn decide(
        &mut self,
        planner: &Planner,
        reports: &Reports,
        after: Duration,
        now: Duration,
    ) -> Vec<Command> {
        self.see(planner.state, now);
        let healths = planner.state.datacenters.values().map(|datacenter| datacenter.health);
        if healths.into_iter().any(|health| matches!(health, Health::Suspected { .. })) {
            return Vec::new();
        }
        let ready = |(name, since): (&DatacenterName, &Duration)| {
            (now.saturating_sub(*since) >= after).then(|| name.clone())
        };
        let ready = self.up.iter().filter_map(ready).collect();
        let mut pass = Pass {
            planner,
            reports,
            now,
            ready,
            calm: BTreeMap::new(),
            seen: BTreeSet::new(),
            touched: BTreeSet::new(),
        };
        let looked = self.turn(planner.state);
        let mut commands = Vec::new();
        for id in &looked {
            let Some((needs, machine)) = pass.together(self, id) else { continue };
            for (target, command) in pass.moves(&needs) {
                if let Some(machine) = &machine {
                    self.emptied.insert(target, machine.clone());
                }
                commands.push(command);
            }
        }
        commands
    }

    fn see(&mut self, state: &State, now: Duration) {
        let up = |name: &DatacenterName| state.datacenters.get(name).map(|found| found.health);
        self.up.retain(|name, _| up(name) == Some(Health::Up));
        for (name, datacenter) in &state.datacenters {
            if datacenter.health == Health::Up {
                self.up.entry(name.clone()).or_insert(now);
            }
        }
        self.emptied.retain(|_, machine| {
            let found = state.machines.get(machine);
            found.is_some_and(|machine| !machine.bound.is_empty() && machine.suspended.is_none())
        });
    }

    /// The instances whose turn it is.
    fn turn(&mut self, state: &State) -> Vec<InstanceId> {
        let all = state.instances.len();
        let from = self.next.take();
        let behind =
            state.instances.keys().filter(|id| from.as_ref().is_none_or(|from| *id > from));
        let before = state.instances.keys().take_while(|id| Some(*id) <= from.as_ref());
        let looked: Vec<InstanceId> =
            behind.chain(before).take(LOOKED_PER_PASS.min(all)).cloned().collect();
        self.next = looked.last().cloned();
        looked
    }

    /// Whether an instance left a machine that others are still to leave.
    fn has_left(&self, instance: &Instance) -> bool {
        let at = instance.placement.as_ref().and_then(|placement| placement.machine.as_ref());
        self.emptied.get(&instance.id).is_some_and(|left| Some(left) != at)
    }
}

/// One look at some instances.
struct Pass<'a> {
    planner: &'a Planner<'a>,
    reports: &'a Reports,
    now: Duration,
    /// Datacenters that have been up for long enough.
    ready: BTreeSet<DatacenterName>,
    /// Whether all instances of a workload run as they should.
    calm: BTreeMap<&'a WorkloadName, bool>,
    /// Machines that were looked at.
    seen: BTreeSet<&'a MachineId>,
    /// Workloads of which one is moved: no other of them is, nor of those that have a rule with them.
    touched: BTreeSet<&'a WorkloadName>,
}

impl<'a> Pass<'a> {
    /// What to plan together for an instance, and the machine that nothing would be on then; none if it is not to be moved.
    fn together(
        &mut self,
        memory: &Memory,
        id: &InstanceId,
    ) -> Option<(Vec<Need<'a>>, Option<MachineId>)> {
        let state = self.planner.state;
        let instance = state.instances.get(id)?;
        let machine = instance.placement.as_ref()?.machine.as_ref()?;
        let machine = state.machines.get(machine)?;
        let bought = machine.spec.order.is_some();
        if bought && !self.seen.insert(&machine.spec.id) {
            return None;
        }
        if bought && machine.bound.len() <= TOGETHER_MAX {
            let all: Vec<&Instance> =
                machine.bound.iter().filter_map(|id| state.instances.get(id)).collect();
            if all.iter().all(|instance| self.may_move(memory, instance)) {
                return Some((self.needs(&all), Some(machine.spec.id.clone())));
            }
        }
        self.may_move(memory, instance).then(|| (self.needs(&[instance]), None))
    }

    fn needs(&self, instances: &[&Instance]) -> Vec<Need<'a>> {
        let mut numbers: BTreeMap<&WorkloadName, Vec<u32>> = BTreeMap::new();
        for instance in instances {
            numbers.entry(&instance.id.workload).or_default().push(instance.id.number);
        }
        let need = |(name, mut numbers): (&WorkloadName, Vec<u32>)| {
            numbers.sort_unstable();
            Some(Need { spec: &self.planner.state.workloads.get(name)?.spec, numbers })
        };
        numbers.into_iter().filter_map(need).collect()
    }

    /// Whether an instance runs well and may be moved.
    fn may_move(&mut self, memory: &Memory, instance: &Instance) -> bool {
        let state = self.planner.state;
        let Some((name, workload)) = state.workloads.get_key_value(&instance.id.workload) else {
            return false;
        };
        let spec = &workload.spec;
        let allowed = spec.rules.rebalance == Rebalance::Auto && spec.failover == Failover::Auto;
        let touches = |other: &WorkloadName| self.touched.contains(other);
        if !allowed
            || memory.has_left(instance)
            || touches(name)
            || self.planner.neighbours(spec).iter().any(|rule| touches(&rule.workload))
        {
            return false;
        }
        if let Some(calm) = self.calm.get(name) {
            return *calm;
        }
        let mut own = state.instances_of(name);
        let calm = own.all(|instance| {
            instance.placement.as_ref().is_some_and(|placement| {
                placement.generation == workload.generation
                    && on_leased_machine(state, placement)
                    && settled(state, self.reports, instance, placement, self.now)
            })
        });
        self.calm.insert(name, calm);
        calm
    }

    /// The next moves: one of each workload, if all that would move may.
    fn moves(&mut self, needs: &[Need<'a>]) -> Vec<(InstanceId, Command)> {
        let plans = self.planner.all(needs);
        let leave = |(need, plan): (&Need, &Plan)| -> Vec<(InstanceId, Target)> {
            let id = |target: &Target| InstanceId::new(need.spec.name.clone(), target.number);
            let moved = plan.targets.iter().filter(|target| self.is_elsewhere(&id(target), target));
            moved.map(|target| (id(target), target.clone())).collect()
        };
        let leaving: Vec<Vec<(InstanceId, Target)>> = needs.iter().zip(&plans).map(leave).collect();
        let possible = plans.iter().all(|plan| plan.left.is_empty())
            && leaving.iter().flatten().all(|(_, target)| {
                target.quote.source == Source::Running
                    && self.ready.contains(&target.cell.datacenter)
            });
        if !possible {
            return Vec::new();
        }
        let mut commands = Vec::new();
        for ((need, mut plan), leaving) in needs.iter().zip(plans).zip(leaving) {
            let Some((id, target)) = leaving.into_iter().next() else { continue };
            let Some(workload) = self.planner.state.workloads.get(&need.spec.name) else {
                continue;
            };
            self.touched.insert(&need.spec.name);
            let cause = cause(self.placement(&id).map(|placement| &placement.cell), &plan, &target);
            plan.targets = vec![target];
            let command = plan.place(need.spec.name.clone(), workload.generation, cause);
            if is_harmless(self.planner, &command) {
                commands.push((id, command));
            }
        }
        commands
    }

    fn placement(&self, id: &InstanceId) -> Option<&Placement> {
        self.planner.state.instances.get(id)?.placement.as_ref()
    }

    fn is_elsewhere(&self, id: &InstanceId, target: &Target) -> bool {
        self.placement(id).is_some_and(|placement| placement.cell != target.cell)
    }
}

/// Why a copy moves, in words: "$0.080256/h less than in cell-1.dub".
fn cause(from: Option<&CellId>, plan: &Plan, target: &Target) -> String {
    let before = from.and_then(|from| quote_in(&plan.decision, from));
    // What the move itself costs is no part of what is paid.
    let quote = &target.quote;
    let after = quote.total_micros_per_hour() - quote.moving_micros_per_hour;
    let saved = before.map(|before| before.total_micros_per_hour() - after);
    match saved.filter(|saved| *saved > MicroDollars::ZERO) {
        Some(saved) => format!("{saved}/h less"),
        None => "less".to_owned(),
    }
}

fn quote_in<'a>(decision: &'a Decision, cell: &CellId) -> Option<&'a Quote> {
    let found = decision.candidates.iter().find(|candidate| {
        candidate.datacenter == cell.datacenter
            && candidate.cell.as_ref().is_none_or(|name| *name == cell.cell)
    });
    found?.quote.as_ref()
}
