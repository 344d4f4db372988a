//! The leader's rebalancer: moves what runs to where it costs less, once that saves more than the move costs. What a lost
//! datacenter drove away comes back so. One instance of a workload at a time, and onto machines that run: none is bought to
//! save.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kato_core::version::WITH_SURVIVAL;
use kato_core::{
    Batch, CellId, Command, DatacenterName, Decision, Failover, Health, Instance, InstanceId,
    MachineId, MicroDollars, Placement, Quote, Rebalance, Source, State, Target, Workload,
    WorkloadName,
};
use tokio_util::sync::CancellationToken;

use super::Wake;
use super::place::{Reports, on_leased_machine, settled};
use crate::admission::are_harmless;
use crate::agents::RunState;
use crate::context::Context;
use crate::planner::{Need, Plan, Planner};
use crate::reports::machine_report;

/// Between two passes.
const PERIOD: Duration = Duration::from_secs(2);
/// Instances that one pass looks at; the next one goes on behind them.
const LOOKED_PER_PASS: usize = 64;
/// Machines and instances whose moves one pass tries: for each it may have to be asked what losses would come to.
const TRIED_PER_PASS: usize = 8;
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
        if context.brake.borrow().is_some() {
            continue;
        }
        let reports = context.heard();
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
        // A mesh that may have members without a word for Rebalance=never moves nothing by itself.
        if planner.state.version < WITH_SURVIVAL || is_uncertain(planner) {
            return Vec::new();
        }
        let ready = |(name, since): (&DatacenterName, &Duration)| {
            (now.saturating_sub(*since) >= after).then(|| name.clone())
        };
        let ready: BTreeSet<DatacenterName> = self.up.iter().filter_map(ready).collect();
        let mut seen = Seen::default();
        let mut state = planner.state.clone();
        let mut proposed = Vec::new();
        for id in self.turn(planner.state) {
            if seen.tried == TRIED_PER_PASS {
                break;
            }
            self.next = Some(id.clone());
            let planner = planner.over(&state);
            let mut pass = Pass { planner: &planner, reports, now, ready: &ready, seen: &mut seen };
            let Some((needs, machine)) = pass.together(self, &id) else { continue };
            let Moves { commands, moved, all_leave } = pass.moves(&needs);
            if commands.is_empty() {
                continue;
            }
            if let Some(machine) = machine.filter(|_| all_leave) {
                self.emptied.extend(moved.iter().map(|id| (id.clone(), machine.clone())));
            }
            seen.touched.extend(moved.into_iter().map(|id| id.workload));
            // What follows sees what has left and come.
            state.apply(&Batch { at: state.time, commands: commands.clone() });
            proposed.extend(commands);
        }
        proposed
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
    fn turn(&self, state: &State) -> Vec<InstanceId> {
        let all = state.instances.len();
        let from = self.next.as_ref();
        let behind = state.instances.keys().filter(|id| from.is_none_or(|from| *id > from));
        let before = state.instances.keys().take_while(|id| Some(*id) <= from);
        behind.chain(before).take(LOOKED_PER_PASS.min(all)).cloned().collect()
    }

    /// Whether an instance left a machine that others are still to leave.
    fn has_left(&self, instance: &Instance) -> bool {
        let at = instance.placement.as_ref().and_then(|placement| placement.machine.as_ref());
        self.emptied.get(&instance.id).is_some_and(|left| Some(left) != at)
    }
}

/// Whether it is not clear who runs what: nothing moves then that need not.
fn is_uncertain(planner: &Planner) -> bool {
    planner.state.datacenters.values().any(|datacenter| match datacenter.health {
        Health::Up => planner.silent.contains(&datacenter.spec.name),
        Health::Suspected { .. } => true,
        Health::Lost { .. } => false,
    })
}

/// What is known in one pass.
#[derive(Default)]
struct Seen {
    /// Machines that were looked at as a whole.
    machines: BTreeSet<MachineId>,
    /// Workloads of which one is moved: no other of them is, nor of those that have a rule with them.
    touched: BTreeSet<WorkloadName>,
    /// Whether all instances of a workload run as they should.
    calm: BTreeMap<WorkloadName, bool>,
    /// How many moves were tried.
    tried: usize,
}

/// What is to be moved now of what is looked at together.
#[derive(Default)]
struct Moves {
    commands: Vec<Command>,
    /// Whom they move.
    moved: Vec<InstanceId>,
    /// Whether all are to go, these first.
    all_leave: bool,
}

/// One look at an instance, and at those beside it.
struct Pass<'a> {
    planner: &'a Planner<'a>,
    reports: &'a Reports,
    now: Duration,
    /// Datacenters that have been up for long enough.
    ready: &'a BTreeSet<DatacenterName>,
    seen: &'a mut Seen,
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
        if self.seen.machines.contains(&machine.spec.id) {
            return None;
        }
        if machine.spec.order.is_some() && machine.bound.len() <= TOGETHER_MAX {
            let all: Vec<&Instance> =
                machine.bound.iter().filter_map(|id| state.instances.get(id)).collect();
            if all.iter().all(|instance| self.may_move(memory, instance)) {
                self.seen.machines.insert(machine.spec.id.clone());
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

    /// Whether an instance runs, all of its workload do as they should, and it may be moved.
    fn may_move(&mut self, memory: &Memory, instance: &Instance) -> bool {
        let state = self.planner.state;
        let name = &instance.id.workload;
        let Some(workload) = state.workloads.get(name) else { return false };
        let spec = &workload.spec;
        let allowed = spec.rules.rebalance == Rebalance::Auto && spec.failover == Failover::Auto;
        let touched = |other: &WorkloadName| self.seen.touched.contains(other);
        allowed
            && !memory.has_left(instance)
            && !touched(name)
            && !self.planner.neighbours(spec).iter().any(|rule| touched(&rule.workload))
            && !is_needed(state, name)
            && self.runs(instance)
            && self.is_calm(workload)
    }

    /// Whether it runs as placed: what has ended well is not started once more.
    fn runs(&self, instance: &Instance) -> bool {
        let placement = instance.placement.as_ref();
        let machine = placement.and_then(|placement| placement.machine.as_ref());
        let report = machine.and_then(|id| machine_report(self.planner.state, self.reports, id));
        let seen = report.and_then(|report| report.instances.get(&instance.id));
        seen.is_some_and(|seen| {
            seen.state == RunState::Running && Some(seen.epoch) == instance.epoch()
        })
    }

    fn is_calm(&mut self, workload: &Workload) -> bool {
        let state = self.planner.state;
        let name = &workload.spec.name;
        if let Some(calm) = self.seen.calm.get(name) {
            return *calm;
        }
        let calm = state.instances_of(name).all(|instance| {
            instance.placement.as_ref().is_some_and(|placement| {
                placement.generation == workload.generation
                    && on_leased_machine(state, placement)
                    && settled(state, self.reports, instance, placement, self.now)
            })
        });
        self.seen.calm.insert(name.clone(), calm);
        calm
    }

    /// The next moves: one of each workload, if all that would move may.
    fn moves(&mut self, needs: &[Need<'a>]) -> Moves {
        // Nothing is bought here, so that the budget has no say: where it is short, its plans are not the best ones.
        let unbudgeted = State { budget: None, ..self.planner.state.clone() };
        let plans = self.planner.over(&unbudgeted).all(needs);
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
            return Moves::default();
        }
        let all: usize = needs.iter().map(|need| need.numbers.len()).sum();
        let all_leave = leaving.iter().map(Vec::len).sum::<usize>() == all;
        let mut moves = Moves { all_leave, ..Moves::default() };
        for ((need, mut plan), leaving) in needs.iter().zip(plans).zip(leaving) {
            let Some((id, target)) = leaving.into_iter().next() else { continue };
            let Some(workload) = self.planner.state.workloads.get(&need.spec.name) else {
                continue;
            };
            let Some(cause) = cause(self.placement(&id).map(|found| &found.cell), &plan, &target)
            else {
                return Moves::default();
            };
            plan.targets = vec![target];
            moves.commands.push(plan.place(need.spec.name.clone(), workload.generation, cause));
            moves.moved.push(id);
        }
        self.seen.tried += usize::from(!moves.commands.is_empty());
        if are_harmless(self.planner, &moves.commands) { moves } else { Moves::default() }
    }

    fn placement(&self, id: &InstanceId) -> Option<&Placement> {
        self.planner.state.instances.get(id)?.placement.as_ref()
    }

    fn is_elsewhere(&self, id: &InstanceId, target: &Target) -> bool {
        self.placement(id).is_some_and(|placement| placement.cell != target.cell)
    }
}

/// Whether others must be with a workload: they would be left alone.
fn is_needed(state: &State, name: &WorkloadName) -> bool {
    let mut rules = state.workloads.values().flat_map(|other| &other.spec.rules.neighbours);
    rules.any(|rule| rule.together && rule.workload == *name)
}

/// Why a copy moves, in words: "$0.080256/h less"; none where it could not stay where it is, so that nothing is saved.
fn cause(from: Option<&CellId>, plan: &Plan, target: &Target) -> Option<String> {
    let before = quote_in(&plan.decision, from?)?;
    // What the move itself costs is no part of what is paid.
    let quote = &target.quote;
    let after = quote.total_micros_per_hour() - quote.moving_micros_per_hour;
    let saved = before.total_micros_per_hour() - after;
    Some(if saved > MicroDollars::ZERO { format!("{saved}/h less") } else { "less".to_owned() })
}

fn quote_in<'a>(decision: &'a Decision, cell: &CellId) -> Option<&'a Quote> {
    let found = decision.candidates.iter().find(|candidate| {
        candidate.datacenter == cell.datacenter
            && candidate.cell.as_ref().is_none_or(|name| *name == cell.cell)
    });
    found?.quote.as_ref()
}
