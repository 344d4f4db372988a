//! From the state to a placement problem and back to a command. Pure: the same state gives the same plan.

use std::collections::BTreeSet;
use std::sync::Arc;

use kato_core::{
    Cell, CellId, Command, DatacenterName, Decision, Health, INSTANCES_PER_MACHINE_MAX, Instance,
    InstanceId, Place, Placement, PutWorkload, Resources, Revision, State, Target, Timestamp,
    WorkloadName, WorkloadSpec,
};
use kato_placement::{Catalogue, Problem, Room, Site, Solution, place};

/// Where instances would go, and why.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) targets: Vec<Target>,
    pub(crate) decision: Arc<Decision>,
    pub(crate) unplaced: u32,
}

/// What a plan is for, beside the specification.
struct Question<'a> {
    state: &'a State,
    spec: &'a WorkloadSpec,
    now: Timestamp,
    silent: &'a BTreeSet<DatacenterName>,
    /// The instances to place.
    numbers: Vec<u32>,
}

/// What every plan is made from.
pub(crate) struct Planner<'a> {
    pub(crate) state: &'a State,
    pub(crate) catalogue: &'a Catalogue,
    /// The time of day, for refusals that end and for the decision's stamp.
    pub(crate) now: Timestamp,
    /// Datacenters whose coordinators have not been heard for too long: what is placed there waits for ever.
    pub(crate) silent: BTreeSet<DatacenterName>,
}

impl Planner<'_> {
    /// Plans for a new or changed workload: its instances that have no place. Those that have one keep it until
    /// the rollout reaches them.
    pub(crate) fn put(&self, spec: &WorkloadSpec) -> Plan {
        let homeless = |number: &u32| {
            let id = kato_core::InstanceId::new(spec.name.clone(), *number);
            self.state.instances.get(&id).is_none_or(|instance| instance.placement.is_none())
        };
        self.solve(spec, (1..=spec.count).filter(homeless).collect())
    }

    /// Plans as if nothing of the workload had a place yet: what a user asks before applying it.
    pub(crate) fn anew(&self, spec: &WorkloadSpec) -> Plan {
        self.solve(spec, (1..=spec.count).collect())
    }

    /// Plans another place for one instance, which stays where it is if nothing is better.
    pub(crate) fn one(&self, spec: &WorkloadSpec, instance: &Instance) -> Plan {
        self.solve(spec, vec![instance.id.number])
    }

    fn solve(&self, spec: &WorkloadSpec, numbers: Vec<u32>) -> Plan {
        let Self { state, now, silent, .. } = self;
        solve(&Question { state, spec, now: *now, silent, numbers }, self.catalogue)
    }
}

impl Plan {
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

fn solve(question: &Question, catalogue: &Catalogue) -> Plan {
    let Question { state, spec, numbers, .. } = question;
    let sites: Vec<Site> = state
        .datacenters
        .values()
        .map(|datacenter| site(question, &datacenter.spec.name))
        .collect();
    let copies = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
    let problem = Problem { workload: spec, copies, sites: &sites, now: question.now };
    let Solution { decision, placements, unplaced } = place(&problem, catalogue);
    let targets = numbers.iter().zip(placements).map(|(number, chosen)| {
        let id = kato_core::InstanceId::new(spec.name.clone(), *number);
        Target {
            number: *number,
            epoch: state.instances.get(&id).and_then(Instance::epoch),
            cell: cell_for(state, &chosen.datacenter),
            quote: chosen.quote,
        }
    });
    Plan { targets: targets.collect(), decision: Arc::new(decision), unplaced }
}

/// The cell of a datacenter that takes what is placed there: the first one, by name. Placement over several
/// cells of one datacenter comes with spread over cells.
fn cell_for(state: &State, datacenter: &DatacenterName) -> CellId {
    let cells = state.datacenters.get(datacenter).map(|found| &found.spec.cells);
    let first = cells.and_then(|cells| cells.keys().next()).cloned();
    // A datacenter without cells offers no room, so nothing is ever placed there.
    let cell = first.unwrap_or_else(|| unreachable!("{datacenter} was chosen and has no cell"));
    CellId { datacenter: datacenter.clone(), cell }
}

/// What one datacenter has to offer.
fn site(question: &Question, name: &DatacenterName) -> Site {
    let state = question.state;
    let datacenter = &state.datacenters[name];
    let moving = |instance: &&Instance| question.numbers.contains(&instance.id.number);
    let here = |instance: &&Instance| {
        let placement = instance.placement.as_ref();
        placement.is_some_and(|placement| placement.cell.datacenter == *name)
    };
    let own = state.instances_of(&question.spec.name);
    let (moving, staying): (Vec<_>, Vec<_>) = own.filter(here).partition(moving);
    let mut site = Site {
        name: name.clone(),
        at: datacenter.spec.location,
        regions: datacenter.spec.regions.iter().cloned().collect(),
        available: datacenter.health == Health::Up && !question.silent.contains(name),
        refused: refused(question, name),
        machines: Vec::new(),
        machines_to_buy_max: 0,
        copies: u32::try_from(staying.len()).unwrap_or(u32::MAX),
        home: !moving.is_empty(),
    };
    if datacenter.spec.cells.is_empty() {
        return site;
    }
    let id = cell_for(state, name);
    let Some(ledger) = state.cells.get(&id) else { return site };
    let mut waiting = waiting(question, &id, ledger);
    for machine in ledger.machines.iter().filter_map(|id| state.machines.get(id)) {
        if machine.suspended.is_some() || machine.bound.len() >= INSTANCES_PER_MACHINE_MAX {
            continue;
        }
        let free = machine.free() + leaving(question, &id, Some(&machine.spec.id));
        // What waits for a machine will be given one of these; count it against them one after the other.
        let left = free.saturating_sub(waiting);
        waiting = waiting.saturating_sub(free);
        let in_use = left != free || machine.bound.iter().any(|id| !is_asked_for(question, id));
        site.machines.push(Room { offer: Arc::clone(&machine.spec.offer), free: left, in_use });
    }
    if datacenter.served_by() != name {
        // Nobody is there to buy machines.
        return site;
    }
    let most = datacenter.spec.cells[&id.cell].machines_max as usize;
    let has = ledger.machines.len() + ledger.orders.len();
    site.machines_to_buy_max = u32::try_from(most.saturating_sub(has)).unwrap_or(u32::MAX);
    site
}

/// What waits for one of a cell's machines, other than the instances in question and those whose own machine is on order.
fn waiting(question: &Question, id: &CellId, ledger: &Cell) -> Resources {
    if ledger.orders.is_empty() {
        return ledger.waiting.saturating_sub(leaving(question, id, None));
    }
    let others = ledger.unbound.iter().filter(|id| !is_asked_for(question, id));
    let placements = others.filter_map(|id| question.state.instances.get(id)?.placement.as_ref());
    let ordered =
        |p: &&Placement| p.order.is_some_and(|order| question.state.orders.contains_key(&order));
    placements.filter(|placement| !ordered(placement)).map(|placement| placement.request).sum()
}

/// Whether an instance is one of those that are to be placed.
fn is_asked_for(question: &Question, id: &InstanceId) -> bool {
    id.workload == question.spec.name && question.numbers.contains(&id.number)
}

/// What the instances in question give back when they leave a machine, or the cell's waiting list.
fn leaving(
    question: &Question,
    cell: &CellId,
    machine: Option<&kato_core::MachineId>,
) -> Resources {
    let own = question.numbers.iter().filter_map(|number| {
        let id = kato_core::InstanceId::new(question.spec.name.clone(), *number);
        question.state.instances.get(&id)?.placement.as_ref()
    });
    own.filter(|placement| placement.cell == *cell && placement.machine.as_ref() == machine)
        .map(|placement| placement.request)
        .sum()
}

/// Whether a cell of the datacenter found no machine for one of the instances, a moment ago.
fn refused(question: &Question, name: &DatacenterName) -> bool {
    let now = question.now;
    question.numbers.iter().any(|number| {
        let id = kato_core::InstanceId::new(question.spec.name.clone(), *number);
        let refusals = question.state.instances.get(&id).map(|instance| &instance.refusals);
        refusals.is_some_and(|refusals| {
            let still =
                |(cell, until): (&CellId, &Timestamp)| cell.datacenter == *name && *until > now;
            refusals.iter().any(still)
        })
    })
}
