//! What every cell has to offer to instances that are to be placed: its machines, those on order, and what is free on them
//! once these instances have left.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kato_core::version::WITH_SHARES;
use kato_core::{
    Cell, CellId, Datacenter, Health, INSTANCES_PER_MACHINE_MAX, Instance, InstanceId, Machine,
    MachineId, MicroDollars, Neighbour, OrderId, Placement, Resources, State, Timestamp,
    WorkloadName, WorkloadSpec,
};
use kato_placement::{Ask, Room, Site, Standing};

use super::{Need, Planner};

/// The cells as placement sees them, and what stands behind them.
pub(super) struct Sites {
    pub(super) all: Vec<Site>,
    /// Their names, in the same order.
    pub(super) cells: Vec<CellId>,
    /// By site, for each of its machines that is on order: an instance that it is on order for.
    orders: Vec<BTreeMap<usize, InstanceId>>,
    /// How each need stands with the sites, in the order of needs.
    standings: BTreeMap<WorkloadName, Vec<Standing>>,
    /// By need: what its instances cost that stay.
    paid: BTreeMap<WorkloadName, MicroDollars>,
    /// By need: whom it must be with or apart from, and where those are.
    neighbours: BTreeMap<WorkloadName, Vec<(Neighbour, BTreeSet<usize>)>>,
}

impl Sites {
    pub(super) fn new(planner: &Planner, needs: &[Need]) -> Self {
        let moving = Moving::new(planner.state, needs);
        let mut found = Self {
            all: Vec::new(),
            cells: Vec::new(),
            orders: Vec::new(),
            standings: BTreeMap::new(),
            paid: BTreeMap::new(),
            neighbours: BTreeMap::new(),
        };
        for (id, ledger) in &planner.state.cells {
            if planner.state.version < WITH_SHARES && has_earlier(planner.state, id) {
                continue;
            }
            let Some(datacenter) = planner.state.datacenters.get(&id.datacenter) else { continue };
            let (site, orders) = site(planner, &moving, datacenter, (id, ledger));
            found.all.push(site);
            found.orders.push(orders);
            found.cells.push(id.clone());
        }
        for need in needs {
            let standings = standings(planner.state, planner.now, need, &found.cells);
            found.standings.insert(need.spec.name.clone(), standings);
            let staying = planner.state.instances_of(&need.spec.name);
            let staying = staying.filter(|instance| !moving.contains(&instance.id));
            let placements = staying.filter_map(|instance| instance.placement.as_ref());
            let paid = placements.map(|placement| placement.quote.price_micros_per_hour).sum();
            found.paid.insert(need.spec.name.clone(), paid);
            let neighbours = neighbours(planner.state, need.spec).into_iter().map(|neighbour| {
                let there = places(planner.state, &moving, &neighbour.workload, &found.cells);
                (neighbour, there)
            });
            let neighbours = neighbours.collect();
            found.neighbours.insert(need.spec.name.clone(), neighbours);
        }
        found
    }

    /// The question that a need is.
    pub(super) fn ask<'a>(&self, need: &'a Need) -> Ask<'a> {
        let copies = u32::try_from(need.numbers.len()).unwrap_or(u32::MAX);
        let standings = self.standings.get(&need.spec.name).cloned().unwrap_or_default();
        let neighbours = self.neighbours.get(&need.spec.name).cloned().unwrap_or_default();
        let paid = self.paid.get(&need.spec.name).copied().unwrap_or_default();
        Ask { workload: need.spec, copies, standings, paid, neighbours }
    }

    /// Whom one of a site's machines is on order for, if it is.
    pub(super) fn ordered_for(&self, site: usize, machine: usize) -> Option<&InstanceId> {
        self.orders[site].get(&machine)
    }
}

/// Whether a cell is not the first of its datacenter.
fn has_earlier(state: &State, id: &CellId) -> bool {
    let datacenter = state.datacenters.get(&id.datacenter);
    datacenter.and_then(|found| found.spec.cells.keys().next()).is_some_and(|cell| *cell < id.cell)
}

/// The instances that are to be placed.
struct Moving<'a> {
    numbers: BTreeMap<&'a WorkloadName, &'a [u32]>,
    /// What they leave on machines.
    leaving: BTreeMap<&'a MachineId, Resources>,
}

impl<'a> Moving<'a> {
    fn new(state: &'a State, needs: &'a [Need]) -> Self {
        let numbers = needs.iter().map(|need| (&need.spec.name, &*need.numbers)).collect();
        let mut leaving: BTreeMap<&MachineId, Resources> = BTreeMap::new();
        for need in needs {
            for number in &need.numbers {
                let id = InstanceId::new(need.spec.name.clone(), *number);
                let placement = state.instances.get(&id).and_then(|found| found.placement.as_ref());
                if let Some((machine, request)) =
                    placement.and_then(|p| Some((p.machine.as_ref()?, p.request)))
                {
                    let sum = leaving.entry(machine).or_default();
                    *sum = *sum + request;
                }
            }
        }
        Self { numbers, leaving }
    }

    fn contains(&self, id: &InstanceId) -> bool {
        let numbers = self.numbers.get(&id.workload);
        numbers.is_some_and(|numbers| numbers.binary_search(&id.number).is_ok())
    }
}

/// What one cell has to offer, and whom its machines on order are for.
fn site(
    planner: &Planner,
    moving: &Moving,
    datacenter: &Datacenter,
    (id, ledger): (&CellId, &Cell),
) -> (Site, BTreeMap<usize, InstanceId>) {
    let state = planner.state;
    let name = &datacenter.spec.name;
    let mut site = Site::new(name.clone(), id.cell.clone(), datacenter.spec.location);
    site.regions = datacenter.spec.regions.iter().cloned().collect();
    site.country = datacenter.spec.country;
    site.labels.clone_from(&datacenter.spec.labels);
    if let Some(cell) = datacenter.spec.cells.get(&id.cell) {
        site.zone.clone_from(&cell.zone);
        site.labels.extend(cell.labels.clone());
    }
    site.available = datacenter.health == Health::Up && !planner.silent.contains(name);
    let (mut waiting, ordered) = waiting(state, moving, ledger);
    for machine in ledger.machines.iter().filter_map(|id| state.machines.get(id)) {
        if machine.suspended.is_none() && machine.bound.len() < INSTANCES_PER_MACHINE_MAX {
            site.machines.push(room(machine, moving, &mut waiting));
        }
    }
    if datacenter.served_by() != name {
        // Nobody is there to buy machines, and what is on order waits.
        return (site, BTreeMap::new());
    }
    let mut orders = BTreeMap::new();
    if state.version >= WITH_SHARES {
        for (order, (request, instance)) in ordered {
            let Some(order) = state.orders.get(&order) else { continue };
            orders.insert(site.machines.len(), instance.clone());
            let free = order.offer.capacity.saturating_sub(request);
            let offer = Arc::clone(&order.offer);
            site.machines.push(Room { free, adds: MicroDollars::ZERO, ..Room::whole(offer) });
        }
    }
    let most = datacenter.spec.cells.get(&id.cell).map_or(0, |cell| cell.machines_max as usize);
    let has = ledger.machines.len() + ledger.orders.len();
    site.machines_to_buy_max = u32::try_from(most.saturating_sub(has)).unwrap_or(u32::MAX);
    (site, orders)
}

/// What is free on a machine, once those have left that are to be placed, and once those are on it that wait for one: they
/// are counted against the machines one after the other.
fn room(machine: &Machine, moving: &Moving, waiting: &mut Resources) -> Room {
    let leaving = moving.leaving.get(&machine.spec.id).copied().unwrap_or_default();
    let free = machine.free() + leaving;
    let left = free.saturating_sub(*waiting);
    *waiting = waiting.saturating_sub(free);
    // A machine that was bought is given back when nothing is on it; any other is paid for in any case.
    let stays = left != free || machine.bound.iter().any(|id| !moving.contains(id));
    let paid = stays || machine.spec.order.is_none();
    let offer = Arc::clone(&machine.spec.offer);
    let adds = if paid { MicroDollars::ZERO } else { offer.price_micros_per_hour };
    let slots = INSTANCES_PER_MACHINE_MAX.saturating_sub(machine.bound.len());
    Room { offer, free: left, adds, slots: u32::try_from(slots).unwrap_or(u32::MAX) }
}

/// What waits for one of a cell's machines beside what is to be placed; and for each machine that is on order what waits for
/// it, and one of the instances that do.
fn waiting<'a>(
    state: &State,
    moving: &Moving,
    ledger: &'a Cell,
) -> (Resources, BTreeMap<OrderId, (Resources, &'a InstanceId)>) {
    let mut any = Resources::NONE;
    let mut ordered: BTreeMap<OrderId, (Resources, &InstanceId)> = BTreeMap::new();
    for id in ledger.unbound.iter().filter(|id| !moving.contains(id)) {
        let Some(placement) = state.instances.get(id).and_then(|found| found.placement.as_ref())
        else {
            continue;
        };
        match placement.order.filter(|order| state.orders.contains_key(order)) {
            Some(order) => {
                let (sum, _) = ordered.entry(order).or_insert((Resources::NONE, id));
                *sum = *sum + placement.request;
            }
            None => any = any + placement.request,
        }
    }
    (any, ordered)
}

/// Whom a workload must be with or apart from: its own rules, and those of others to be apart from it.
pub(super) fn neighbours(state: &State, spec: &WorkloadSpec) -> Vec<Neighbour> {
    let mut all = spec.rules.neighbours.clone();
    for other in state.workloads.values().filter(|other| other.spec.name != spec.name) {
        let of_it = |rule: &&Neighbour| rule.workload == spec.name && !rule.together;
        all.extend(
            other
                .spec
                .rules
                .neighbours
                .iter()
                .filter(of_it)
                .map(|rule| Neighbour { workload: other.spec.name.clone(), ..*rule }),
        );
    }
    all
}

/// The cells that have a copy of a workload which stays.
fn places(
    state: &State,
    moving: &Moving,
    workload: &WorkloadName,
    cells: &[CellId],
) -> BTreeSet<usize> {
    let staying = state.instances_of(workload).filter(|instance| !moving.contains(&instance.id));
    let placements = staying.filter_map(|instance| instance.placement.as_ref());
    placements.filter_map(|placement| cells.binary_search(&placement.cell).ok()).collect()
}

/// How a workload stands with each of the cells.
fn standings(state: &State, now: Timestamp, need: &Need, cells: &[CellId]) -> Vec<Standing> {
    let mut standings = vec![Standing::default(); cells.len()];
    let of = |cell: &CellId| cells.binary_search(cell).ok();
    for instance in state.instances_of(&need.spec.name) {
        let moves = need.numbers.binary_search(&instance.id.number).is_ok();
        let placement = instance.placement.as_ref();
        let here = placement.and_then(|placement| Some((of(&placement.cell)?, placement)));
        if let Some((site, placement)) = here {
            let standing = &mut standings[site];
            if moves {
                standing.home |= stays(state, instance);
            } else {
                let machine = placement.machine.as_ref().and_then(|id| state.machines.get(id));
                let offer = machine.map_or(&placement.quote.offer, |machine| &machine.spec.offer);
                let provider = offer.provider.clone();
                *standing.copies.entry(provider).or_default() += 1;
            }
        }
        // A cell that found no machine for one of them, a moment ago.
        for (cell, until) in instance.refusals.iter().filter(|_| moves) {
            if let Some(site) = of(cell).filter(|_| *until > now) {
                standings[site].refused = true;
            }
        }
    }
    standings
}

/// Whether an instance has something to lose by moving: it is where it would be started anew otherwise.
fn stays(state: &State, instance: &Instance) -> bool {
    let of = |placement: &Placement| state.machines.get(placement.machine.as_ref()?);
    let machine = instance.placement.as_ref().and_then(of);
    machine.is_none_or(|machine| machine.suspended.is_none())
}
