//! The replicated state: everything that the mesh agrees on, and nothing that changes by the second.

use std::fmt;

use imbl::ordmap::DiffItem;
use imbl::{OrdMap, OrdSet, Vector};

use crate::{
    Agreed, Budget, CellId, Datacenter, DatacenterName, Event, EventKind, Instance, InstanceId,
    Machine, MachineId, Order, OrderId, Resources, Timestamp, Workload, WorkloadName, version,
};

/// The most datacenters that one mesh may have.
pub const DATACENTERS_MAX: usize = 256;
/// The most machines that one mesh may have.
pub const MACHINES_MAX: usize = 100_000;
/// The most workloads that one mesh may have.
pub const WORKLOADS_MAX: usize = 100_000;
/// The most instances that one mesh may have.
pub const INSTANCES_MAX: usize = 1_000_000;
/// The most instances that one machine may run.
pub const INSTANCES_PER_MACHINE_MAX: usize = 500;
/// How many events are remembered.
pub const EVENTS_MAX: usize = 4_096;

/// Counts the changes of the state; each change has its own. Epochs of placements are revisions too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision(pub u64);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What holds for the whole mesh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The root DNS name.
    pub domain: String,
    /// How long a machine's lease lasts, in milliseconds, until a timing is agreed on ([`State::lease_ms`]).
    pub lease_ms: u64,
}

/// What the mesh agrees on. Cloning is cheap: the maps are persistent and share their nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The mesh version ([`version`]): which commands are taken.
    pub version: u32,
    /// The last change.
    pub revision: Revision,
    /// The latest time stamp seen. Never goes back, whatever the leaders' clocks do.
    pub time: Timestamp,
    /// Set by the first command of all.
    pub settings: Option<Settings>,
    /// When the mesh was raised to the version that came with this: that tells it from another one of the same domain,
    /// whose terms say nothing here.
    pub identity: Option<Timestamp>,
    /// How long everybody waits, once that was measured.
    pub agreed: Option<Agreed>,
    /// What may be spent, if that is limited.
    pub budget: Option<Budget>,
    /// Set by [`State::restore`]: leases of the mesh before may still hold, and none is granted until they cannot.
    pub quarantined: Option<Revision>,
    /// Every datacenter.
    pub datacenters: OrdMap<DatacenterName, Datacenter>,
    /// The ledger of every cell.
    pub cells: OrdMap<CellId, Cell>,
    /// Every machine.
    pub machines: OrdMap<MachineId, Machine>,
    /// Every workload.
    pub workloads: OrdMap<WorkloadName, Workload>,
    /// Every instance of every workload.
    pub instances: OrdMap<InstanceId, Instance>,
    /// Instances that were taken off a machine whose agent has not said yet that they are stopped. No other machine
    /// is given a singleton until then, or until a lease that its copy needed is over.
    pub stopping: OrdMap<(InstanceId, MachineId), Stopping>,
    /// Orders whose machine has not joined.
    pub orders: OrdMap<OrderId, Order>,
    /// The latest events, the oldest first.
    pub events: Vector<Event>,
}

impl Default for State {
    /// What every log begins with.
    fn default() -> Self {
        Self {
            version: version::FIRST,
            revision: Revision::default(),
            time: Timestamp::default(),
            settings: None,
            identity: None,
            agreed: None,
            budget: None,
            quarantined: None,
            datacenters: OrdMap::new(),
            cells: OrdMap::new(),
            machines: OrdMap::new(),
            workloads: OrdMap::new(),
            instances: OrdMap::new(),
            stopping: OrdMap::new(),
            orders: OrdMap::new(),
            events: Vector::new(),
        }
    }
}

/// A cell's ledger. Derived from the rest of the state, and kept because every placement asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cell {
    /// Its machines, suspended ones included.
    pub machines: OrdSet<MachineId>,
    /// Instances placed here that have no machine yet.
    pub unbound: OrdSet<InstanceId>,
    /// Orders for it.
    pub orders: OrdSet<OrderId>,
    /// The sum of the requests of `unbound`.
    pub waiting: Resources,
}

/// A copy that may still run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopping {
    /// The revision that took it off its machine.
    pub since: Revision,
    /// Whether a guard ends it with its machine's lease.
    pub guarded: bool,
}

impl State {
    /// What is left in a cell for further placements: room on machines that get leases and on those that are on
    /// order, less what waits for a machine.
    pub fn cell_free(&self, id: &CellId) -> Resources {
        let Some(cell) = self.cells.get(id) else { return Resources::NONE };
        let machines = cell.machines.iter().filter_map(|machine| self.machines.get(machine));
        let free = machines.filter(|machine| machine.suspended.is_none()).map(Machine::free);
        let orders = cell.orders.iter().filter_map(|order| self.orders.get(order));
        let ordered = orders.map(|order| order.offer.capacity);
        free.chain(ordered).sum::<Resources>().saturating_sub(cell.waiting)
    }

    /// The instances of one workload, in order.
    pub fn instances_of(&self, workload: &WorkloadName) -> impl Iterator<Item = &Instance> {
        let first = InstanceId::new(workload.clone(), 0);
        let last = InstanceId::new(workload.clone(), u32::MAX);
        self.instances.range(first..=last).map(|(_, instance)| instance)
    }

    /// The machines of one datacenter.
    pub fn machines_of<'a>(
        &'a self,
        datacenter: &'a DatacenterName,
    ) -> impl Iterator<Item = &'a Machine> {
        let machines = self.machines.values();
        machines.filter(move |machine| machine.spec.id.cell.datacenter == *datacenter)
    }

    /// The datacenter whose coordinator serves the machines of another one, or its own.
    pub fn served_by<'a>(&'a self, datacenter: &'a DatacenterName) -> &'a DatacenterName {
        self.datacenters.get(datacenter).map_or(datacenter, Datacenter::served_by)
    }

    /// The datacenters whose machines a coordinator serves.
    pub fn serving<'a>(
        &'a self,
        coordinator: &'a DatacenterName,
    ) -> impl Iterator<Item = &'a DatacenterName> {
        let all = self.datacenters.iter();
        all.filter(move |(_, found)| found.served_by() == coordinator).map(|(name, _)| name)
    }

    /// What keeps a singleton from `machine`: another one, on which a copy may still run.
    pub fn kept_from(&self, id: &InstanceId, machine: &MachineId) -> Option<&MachineId> {
        if !self.workloads.get(&id.workload)?.spec.singleton {
            return None;
        }
        let from = self.stopping.keys().filter(|(instance, _)| instance == id);
        from.map(|(_, from)| from).find(|from| *from != machine)
    }

    /// The instances that are others in a later state: by name, as they were and as they are. What did not change between
    /// the two is not looked at.
    pub fn changed_instances<'a>(
        &'a self,
        later: &'a Self,
    ) -> impl Iterator<Item = (&'a InstanceId, Option<&'a Instance>, Option<&'a Instance>)> {
        self.instances.diff(&later.instances).map(|item| match item {
            DiffItem::Add(id, new) => (id, None, Some(new)),
            DiffItem::Update { old: (id, old), new: (_, new) } => (id, Some(old), Some(new)),
            DiffItem::Remove(id, old) => (id, Some(old), None),
        })
    }

    /// Takes the next revision for a change that is about to be made.
    pub(crate) fn advance(&mut self) -> Revision {
        self.revision = Revision(self.revision.0 + 1);
        self.revision
    }

    /// Notes an event of the present revision.
    pub(crate) fn note(&mut self, kind: EventKind, subject: impl fmt::Display, message: String) {
        let (revision, at) = (self.revision, self.time);
        self.events.push_back(Event { revision, at, kind, subject: subject.to_string(), message });
        while self.events.len() > EVENTS_MAX {
            self.events.pop_front();
        }
    }
}
