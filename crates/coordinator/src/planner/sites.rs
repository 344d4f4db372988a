//! What every cell has to offer to instances that are to be placed: its machines, those on order, and what is free on them
//! once these instances have left.

use std::collections::BTreeMap;
use std::sync::Arc;

use kato_core::version::WITH_PLACEMENT;
use kato_core::{
    Cell, CellId, Datacenter, Health, INSTANCES_PER_MACHINE_MAX, Instance, InstanceId, Machine,
    MachineId, MicroDollars, Neighbour, Offer, OrderId, Placement, Resources, State, Timestamp,
    WorkloadName, WorkloadSpec,
};
use kato_placement::{Ask, Room, Site, Standing};

use super::{Need, Planner};

/// The cells as placement sees them, and what stands behind them.
pub(super) struct Sites<'a> {
    pub(super) all: Vec<Site>,
    /// Their names, in the same order.
    pub(super) cells: Vec<CellId>,
    /// By site, for each of its machines that is on order: an instance that it is on order for.
    orders: Vec<BTreeMap<usize, InstanceId>>,
    state: &'a State,
    now: Timestamp,
    moving: Moving<'a>,
}

impl<'a> Sites<'a> {
    pub(super) fn new(planner: &Planner<'a>, needs: &'a [Need]) -> Self {
        let (state, now) = (planner.state, planner.now);
        let moving = Moving::new(state, needs);
        let (mut all, mut cells, mut orders) = (Vec::new(), Vec::new(), Vec::new());
        for (id, ledger) in &state.cells {
            if state.version < WITH_PLACEMENT && has_earlier(state, id) {
                continue;
            }
            let Some(datacenter) = state.datacenters.get(&id.datacenter) else { continue };
            let (site, ordered) = site(planner, &moving, datacenter, (id, ledger));
            all.push(site);
            orders.push(ordered);
            cells.push(id.clone());
        }
        Self { all, cells, orders, state, now, moving }
    }

    /// The question that a need is.
    pub(super) fn ask<'n>(&self, need: &'n Need) -> Ask<'n> {
        let name = &need.spec.name;
        let with_place = |neighbour: Neighbour| {
            let there = self.staying(&neighbour.workload).filter_map(|p| self.site_of(&p.cell));
            let there = there.collect();
            (neighbour, there)
        };
        Ask {
            workload: need.spec,
            copies: u32::try_from(need.numbers.len()).unwrap_or(u32::MAX),
            standings: self.standings(name),
            paid: self.staying(name).map(|placement| placement.quote.price_micros_per_hour).sum(),
            neighbours: neighbours(self.state, need.spec).into_iter().map(with_place).collect(),
        }
    }

    /// Whom one of a site's machines is on order for, if it is.
    pub(super) fn ordered_for(&self, site: usize, machine: usize) -> Option<&InstanceId> {
        self.orders[site].get(&machine)
    }

    fn site_of(&self, cell: &CellId) -> Option<usize> {
        self.cells.binary_search(cell).ok()
    }

    /// The places of a workload's instances that stay where they are.
    fn staying(&self, workload: &WorkloadName) -> impl Iterator<Item = &Placement> {
        let own = self.state.instances_of(workload);
        let staying = own.filter(|instance| !self.moving.contains(&instance.id));
        staying.filter_map(|instance| instance.placement.as_ref())
    }

    /// How a workload stands with each of the cells.
    fn standings(&self, workload: &WorkloadName) -> Vec<Standing> {
        let mut standings = vec![Standing::default(); self.cells.len()];
        // Machines of one kind are as one.
        let mut alike: BTreeMap<_, (Arc<Offer>, u32)> = BTreeMap::new();
        for placement in self.staying(workload) {
            let Some(site) = self.site_of(&placement.cell) else { continue };
            let machine = placement.machine.as_ref().and_then(|id| self.state.machines.get(id));
            let offer = machine.map_or(&placement.quote.offer, |machine| &machine.spec.offer);
            let Offer { provider, region, kind, market, .. } = &**offer;
            let alike = alike.entry((site, provider, region, kind, *market));
            alike.or_insert_with(|| (Arc::clone(offer), 0)).1 += 1;
        }
        for ((site, ..), copies) in alike {
            standings[site].copies.push(copies);
        }
        let own = self.state.instances_of(workload);
        for instance in own.filter(|instance| self.moving.contains(&instance.id)) {
            let placement = instance.placement.as_ref();
            if let Some(site) = placement.and_then(|placement| self.site_of(&placement.cell)) {
                standings[site].home |= stays(self.state, instance);
            }
            // Cells that found no machine for it, a moment ago.
            let refused = instance.refusals.iter().filter(|(_, until)| **until > self.now);
            for site in refused.filter_map(|(cell, _)| self.site_of(cell)) {
                standings[site].refused = true;
            }
        }
        standings
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
    /// What they leave on machines, and how many of them do.
    leaving: BTreeMap<&'a MachineId, (Resources, usize)>,
}

impl<'a> Moving<'a> {
    fn new(state: &'a State, needs: &'a [Need]) -> Self {
        let numbers = needs.iter().map(|need| (&need.spec.name, &*need.numbers)).collect();
        let mut leaving: BTreeMap<&MachineId, (Resources, usize)> = BTreeMap::new();
        for need in needs {
            for number in &need.numbers {
                let id = InstanceId::new(need.spec.name.clone(), *number);
                let placement = state.instances.get(&id).and_then(|found| found.placement.as_ref());
                if let Some((machine, request)) =
                    placement.and_then(|p| Some((p.machine.as_ref()?, p.request)))
                {
                    let (sum, count) = leaving.entry(machine).or_default();
                    (*sum, *count) = (*sum + request, *count + 1);
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
    site.round_trips = planner.distances.from(name);
    site.labels.clone_from(&datacenter.spec.labels);
    if let Some(cell) = datacenter.spec.cells.get(&id.cell) {
        site.zone.clone_from(&cell.zone);
        site.labels.extend(cell.labels.clone());
    }
    site.available = datacenter.health == Health::Up && !planner.silent.contains(name);
    let (mut waiting, ordered) = waiting(state, moving, ledger);
    for machine in ledger.machines.iter().filter_map(|id| state.machines.get(id)) {
        if machine.suspended.is_none() {
            site.machines.extend(room(machine, moving, &mut waiting));
        }
    }
    if datacenter.served_by() != name {
        // Nobody is there to buy machines, and what is on order waits.
        return (site, BTreeMap::new());
    }
    let mut orders = BTreeMap::new();
    if state.version >= WITH_PLACEMENT {
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
/// are counted against the machines one after the other. None where it may have no further instance.
fn room(machine: &Machine, moving: &Moving, waiting: &mut Resources) -> Option<Room> {
    let (leaving, count) = moving.leaving.get(&machine.spec.id).copied().unwrap_or_default();
    let slots = (INSTANCES_PER_MACHINE_MAX + count).saturating_sub(machine.bound.len());
    if slots == 0 {
        return None;
    }
    let free = machine.free() + leaving;
    let left = free.saturating_sub(*waiting);
    *waiting = waiting.saturating_sub(free);
    // A machine that was bought is given back when nothing is on it; any other is paid for in any case.
    let stays = left != free || machine.bound.iter().any(|id| !moving.contains(id));
    let paid = stays || machine.spec.order.is_none();
    let offer = Arc::clone(&machine.spec.offer);
    let adds = if paid { MicroDollars::ZERO } else { offer.price_micros_per_hour };
    Some(Room { offer, free: left, adds, slots: u32::try_from(slots).unwrap_or(u32::MAX) })
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

/// Whether an instance has something to lose by moving: it is where it would be started anew otherwise.
fn stays(state: &State, instance: &Instance) -> bool {
    let of = |placement: &Placement| state.machines.get(placement.machine.as_ref()?);
    let machine = instance.placement.as_ref().and_then(of);
    machine.is_none_or(|machine| machine.suspended.is_none())
}
