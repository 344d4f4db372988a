//! From the state to a placement problem and back to commands. Pure: the same state gives the same plans.

mod sites;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kato_core::version::{WITH_PLACEMENT, WITH_TERMS};
use kato_core::{
    Batch, CellId, Command, DatacenterName, Decision, Instance, InstanceId, MicroDollars,
    Neighbour, Place, PutWorkload, Quote, Revision, Source, State, Target, Timestamp, Verdict,
    WorkloadName, WorkloadSpec,
};
use kato_placement::{Answer, Ask, Catalogue, Chosen, Host, Problem, place};

use crate::distances::Distances;
use sites::Sites;

/// Where instances would go, and why.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) targets: Vec<Target>,
    pub(crate) decision: Arc<Decision>,
    /// The instances that found no place, by number.
    pub(crate) left: Vec<u32>,
}

/// Instances of one workload that are to be placed.
#[derive(Debug, Clone)]
pub(crate) struct Need<'a> {
    pub(crate) spec: &'a WorkloadSpec,
    /// In order.
    pub(crate) numbers: Vec<u32>,
}

/// What every plan is made from.
pub(crate) struct Planner<'a> {
    pub(crate) state: &'a State,
    pub(crate) catalogue: &'a Catalogue,
    /// The time of day, for refusals that end and for the decision's stamp.
    pub(crate) now: Timestamp,
    /// The round trips between datacenters that were measured.
    pub(crate) distances: Arc<Distances>,
    /// Datacenters whose coordinators have not been heard for too long: what is placed there waits for ever.
    pub(crate) silent: BTreeSet<DatacenterName>,
}

impl<'a> Planner<'a> {
    /// The same over another state.
    pub(crate) fn over<'s>(&self, state: &'s State) -> Planner<'s>
    where
        'a: 's,
    {
        let Self { catalogue, now, ref distances, ref silent, .. } = *self;
        let distances = Arc::clone(distances);
        Planner { state, catalogue, now, distances, silent: silent.clone() }
    }
}

impl Planner<'_> {
    /// Plans for a new or changed workload: its instances that have no place. Those that have one keep it until
    /// the rollout reaches them.
    pub(crate) fn put(&self, spec: &WorkloadSpec) -> Plan {
        let homeless = |number: &u32| {
            let id = InstanceId::new(spec.name.clone(), *number);
            self.state.instances.get(&id).is_none_or(|instance| instance.placement.is_none())
        };
        self.of_one(spec, (1..=spec.count).filter(homeless).collect())
    }

    /// Plans as if nothing of the workload had a place yet: what a user asks before applying it.
    pub(crate) fn anew(&self, spec: &WorkloadSpec) -> Plan {
        self.of_one(spec, (1..=spec.count).collect())
    }

    /// Plans another place for one instance, which stays where it is if nothing is better.
    pub(crate) fn one(&self, spec: &WorkloadSpec, instance: &Instance) -> Plan {
        self.of_one(spec, vec![instance.id.number])
    }

    fn of_one(&self, spec: &WorkloadSpec, numbers: Vec<u32>) -> Plan {
        self.all(&[Need { spec, numbers }]).remove(0)
    }

    /// Whom a workload must be with or apart from, by its own rules and those of others.
    pub(crate) fn neighbours(&self, spec: &WorkloadSpec) -> Vec<Neighbour> {
        sites::neighbours(self.state, spec)
    }

    /// Plans for several workloads at once, each named once: they share the machines that are bought for them. A plan may
    /// rest on those before it.
    pub(crate) fn all(&self, needs: &[Need]) -> Vec<Plan> {
        let later = self.later(needs);
        if later.is_empty() {
            return self.at_once(needs);
        }
        // Who must be with or apart from another one is planned once that one has its place.
        let (now, then): (Vec<usize>, Vec<usize>) =
            (0..needs.len()).partition(|index| !later.contains(index));
        let of = |some: &[usize]| some.iter().map(|index| needs[*index].clone()).collect();
        let (first, others): (Vec<Need>, Vec<Need>) = (of(&now), of(&then));
        let mut plans: BTreeMap<usize, Plan> = now.into_iter().zip(self.at_once(&first)).collect();
        let mut state = self.state.clone();
        let commands = plans.iter().filter_map(|(index, plan)| {
            let name = needs[*index].spec.name.clone();
            let generation = state.workloads.get(&name)?.generation;
            Some(plan.clone().place(name, generation, String::new()))
        });
        let batch = Batch { at: state.time, commands: commands.collect() };
        state.apply(&batch);
        plans.extend(then.into_iter().zip(self.over(&state).all(&others)));
        plans.into_values().collect()
    }

    /// The needs that have a rule with one that is planned before them, by their places; none of all of them.
    fn later(&self, needs: &[Need]) -> BTreeSet<usize> {
        let mut later = BTreeSet::new();
        let mut first: BTreeSet<&WorkloadName> = BTreeSet::new();
        for (index, need) in needs.iter().enumerate() {
            let behind =
                |name: &WorkloadName| needs[index..].iter().any(|other| other.spec.name == *name);
            let waits = sites::neighbours(self.state, need.spec).iter().any(|rule| {
                first.contains(&rule.workload) || (rule.together && behind(&rule.workload))
            });
            if waits {
                later.insert(index);
            } else {
                first.insert(&need.spec.name);
            }
        }
        if later.len() == needs.len() { BTreeSet::new() } else { later }
    }

    fn at_once(&self, needs: &[Need]) -> Vec<Plan> {
        let sites = Sites::new(self, needs);
        let asks: Vec<Ask> = needs.iter().map(|need| sites.ask(need)).collect();
        let budget = self.state.budget_left();
        let problem = Problem { asks: &asks, sites: &sites.all, budget, now: self.now };
        let solution = place(&problem, self.catalogue);
        let mut targets = Targets { state: self.state, sites: &sites, owners: BTreeMap::new() };
        let plan = |(need, answer): (&Need, Answer)| self.as_of_version(targets.plan(need, answer));
        needs.iter().zip(solution.answers).map(plan).collect()
    }

    /// The plan in terms that the mesh's version has: what it has not is left for when the machine that would be shared
    /// has joined, or the mesh is raised.
    fn as_of_version(&self, mut plan: Plan) -> Plan {
        let version = self.state.version;
        if version >= WITH_TERMS {
            return plan;
        }
        let as_sold_then = |quote: &mut Quote| quote.offer = quote.offer.as_of(version);
        plan.targets.iter_mut().for_each(|target| as_sold_then(&mut target.quote));
        let candidates = &mut Arc::make_mut(&mut plan.decision).candidates;
        candidates.iter_mut().filter_map(|found| found.quote.as_mut()).for_each(as_sold_then);
        if self.state.version >= WITH_PLACEMENT {
            return plan;
        }
        let as_before = |quote: &mut Quote| *quote = quote.clone().plain();
        plan.targets.retain(|target| target.with.is_none());
        for target in plan.targets.iter_mut().filter(|t| t.quote.source == Source::Buy) {
            // Whoever would have shared it is left out: it is for this one alone.
            target.quote.price_micros_per_hour = target.quote.offer.price_micros_per_hour;
        }
        plan.targets.iter_mut().for_each(|target| as_before(&mut target.quote));
        let decision = Arc::make_mut(&mut plan.decision);
        for candidate in &mut decision.candidates {
            candidate.quote.iter_mut().for_each(as_before);
            candidate.cell = None;
            if let Verdict::Refused(refusal) = &mut candidate.verdict {
                *refusal = refusal.clone().plain();
            }
        }
        plan
    }
}

/// Turns answers into targets, one after the other.
struct Targets<'a> {
    state: &'a State,
    sites: &'a Sites<'a>,
    /// For each machine that is bought, the instance whose order it is.
    owners: BTreeMap<usize, InstanceId>,
}

impl Targets<'_> {
    fn plan(&mut self, need: &Need, answer: Answer) -> Plan {
        let Answer { decision, placements, .. } = answer;
        let mut plan = Plan { targets: vec![], decision: Arc::new(decision), left: vec![] };
        for (number, chosen) in self.assign(need, placements) {
            match chosen {
                Some(chosen) => {
                    let id = InstanceId::new(need.spec.name.clone(), number);
                    plan.targets.push(self.target(id, chosen));
                }
                None => plan.left.push(number),
            }
        }
        plan
    }

    /// Copies are alike: each takes a place in the cell that it is in already, if there is one, and the others what is left.
    fn assign(&self, need: &Need, placements: Vec<Chosen>) -> Vec<(u32, Option<Chosen>)> {
        let mut by_cell: BTreeMap<&CellId, Vec<usize>> = BTreeMap::new();
        for (index, chosen) in placements.iter().enumerate().rev() {
            by_cell.entry(&self.sites.cells[chosen.site]).or_default().push(index);
        }
        let stays = |number: &u32| {
            let id = InstanceId::new(need.spec.name.clone(), *number);
            let placement = self.state.instances.get(&id)?.placement.as_ref()?;
            by_cell.get_mut(&placement.cell)?.pop()
        };
        let kept: Vec<Option<usize>> = need.numbers.iter().map(stays).collect();
        let taken: BTreeSet<usize> = kept.iter().flatten().copied().collect();
        let mut others = (0..placements.len()).filter(|index| !taken.contains(index));
        let chosen: Vec<Option<usize>> =
            kept.into_iter().map(|kept| kept.or_else(|| others.next())).collect();
        let numbers = need.numbers.iter().copied();
        numbers
            .zip(chosen)
            .map(|(number, at)| (number, at.map(|at| placements[at].clone())))
            .collect()
    }

    fn target(&mut self, id: InstanceId, chosen: Chosen) -> Target {
        let Chosen { site, on, mut quote } = chosen;
        let with = match on {
            Host::Machine(machine) => self.sites.ordered_for(site, machine).cloned(),
            Host::Bought(number) => {
                let owner = self.owners.entry(number).or_insert_with(|| id.clone());
                (*owner != id).then(|| owner.clone())
            }
        };
        if with.is_some() {
            quote.source = Source::Shared;
        }
        Target {
            number: id.number,
            epoch: self.state.instances.get(&id).and_then(Instance::epoch),
            cell: self.sites.cells[site].clone(),
            quote,
            with,
        }
    }
}

impl Plan {
    /// How many instances it places.
    pub(crate) fn placed(&self) -> u32 {
        u32::try_from(self.targets.len()).unwrap_or(u32::MAX)
    }

    /// How many instances found no place.
    pub(crate) fn unplaced(&self) -> u32 {
        u32::try_from(self.left.len()).unwrap_or(u32::MAX)
    }

    /// How many machines it buys.
    pub(crate) fn machines_to_buy(&self) -> u32 {
        let bought = self.targets.iter().filter(|target| target.quote.source == Source::Buy);
        u32::try_from(bought.count()).unwrap_or(u32::MAX)
    }

    /// What the machines cost that it buys, an hour.
    pub(crate) fn to_buy(&self) -> MicroDollars {
        let bought = self.targets.iter().filter(|target| target.quote.source == Source::Buy);
        bought.map(|target| target.quote.offer.price_micros_per_hour).sum()
    }

    /// What its instances cost, an hour.
    pub(crate) fn price(&self) -> MicroDollars {
        self.targets.iter().map(|target| target.quote.price_micros_per_hour).sum()
    }

    /// What its instances add to what is paid, an hour.
    pub(crate) fn adds(&self) -> MicroDollars {
        self.targets.iter().map(|target| target.quote.adds_by_the_hour()).sum()
    }

    /// The command that makes the workload what the plan was made for.
    pub(crate) fn put(self, spec: Arc<WorkloadSpec>, expected: Option<Revision>) -> Command {
        let Self { targets, decision, .. } = self;
        Command::PutWorkload(PutWorkload { spec, expected, targets, decision })
    }

    /// The command that gives the instances their places.
    pub(crate) fn place(self, workload: WorkloadName, generation: u64, cause: String) -> Command {
        let Self { targets, decision, .. } = self;
        Command::Place(Place { workload, generation, targets, decision, cause })
    }
}
