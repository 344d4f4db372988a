//! The parts of the mesh: datacenters, their cells, the machines in them, and the orders for more.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use imbl::OrdSet;

use crate::{
    CellId, CellName, Coordinates, Country, DatacenterName, InstanceId, MachineId, Offer,
    ProviderName, RegionName, Resources, Revision, Timestamp,
};

/// A datacenter as its coordinator describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatacenterSpec {
    /// Its name.
    pub name: DatacenterName,
    /// Where it is.
    pub location: Coordinates,
    /// Where its coordinator answers: host and port.
    pub address: String,
    /// The regions of providers that it buys machines in.
    pub regions: BTreeSet<(ProviderName, RegionName)>,
    /// Its cells.
    pub cells: BTreeMap<CellName, CellSpec>,
    /// The country that it is in, where that was said.
    pub country: Option<Country>,
    /// What it is labelled with.
    pub labels: BTreeMap<String, String>,
}

/// A cell as its coordinator describes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CellSpec {
    /// The most machines that it may have, those on order included.
    pub machines_max: u32,
    /// What it shares with other cells of its datacenter that may fail with it.
    pub zone: Option<String>,
    /// What it is labelled with, beside its datacenter's labels; where both say something, this holds.
    pub labels: BTreeMap<String, String>,
}

impl DatacenterSpec {
    /// Whether it says something that meshes before version 7 have no word for.
    #[must_use]
    pub fn is_newer(&self) -> bool {
        let said = |cell: &CellSpec| cell.zone.is_some() || !cell.labels.is_empty();
        self.country.is_some() || !self.labels.is_empty() || self.cells.values().any(said)
    }

    /// The same without that.
    #[must_use]
    pub fn plain(mut self) -> Self {
        (self.country, self.labels) = (None, BTreeMap::new());
        for cell in self.cells.values_mut() {
            *cell = CellSpec { machines_max: cell.machines_max, ..CellSpec::default() };
        }
        self
    }
}

/// A site with one coordinator, and the regions that it buys in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datacenter {
    /// As described by its coordinator.
    pub spec: DatacenterSpec,
    /// Whether the mesh believes in it.
    pub health: Health,
    /// Who serves its machines, once that was anybody but its own coordinator.
    pub delegation: Option<Delegation>,
}

/// A coordinator that serves a datacenter's machines: a neighbour, or its own, which has them back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delegation {
    /// The datacenter of the coordinator.
    pub to: DatacenterName,
    /// The revision that said so. Agents refuse whoever claims less than the greatest that they have seen.
    pub term: Revision,
}

impl Datacenter {
    /// A datacenter as it is first described: up, and served by its own coordinator.
    pub fn new(spec: DatacenterSpec) -> Self {
        Self { spec, health: Health::Up, delegation: None }
    }

    /// The datacenter whose coordinator serves the machines of this one.
    pub fn served_by(&self) -> &DatacenterName {
        self.delegation.as_ref().map_or(&self.spec.name, |delegation| &delegation.to)
    }

    /// Since when that one does; 0 where nobody else ever did.
    pub fn term(&self) -> Revision {
        self.delegation.as_ref().map_or(Revision::default(), |delegation| delegation.term)
    }
}

/// Whether the mesh believes that a datacenter runs what it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It does.
    Up,
    /// Its machines are suspended; what they run may still run.
    Suspected {
        /// When that was committed.
        since: Timestamp,
    },
    /// Every lease that its machines held has ended. What ran there may be placed elsewhere.
    Lost {
        /// When that was committed.
        since: Timestamp,
    },
}

/// A machine as its agent describes it when it joins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineSpec {
    /// Its name, cell and datacenter.
    pub id: MachineId,
    /// What it has for instances.
    pub resources: Resources,
    /// What it was bought as; its price is the price of what runs on it.
    pub offer: Arc<Offer>,
    /// The address at which its instances answer.
    pub address: String,
    /// Numbers the starts of its agent, each larger than the last. A lease belongs to one incarnation.
    pub incarnation: u64,
    /// The order that it answers, if it was bought by the mesh.
    pub order: Option<OrderId>,
}

/// A host that runs instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// As described by its agent.
    pub spec: MachineSpec,
    /// The instances bound to it. With `allocated` its ledger, kept because its agent asks for it at every change.
    pub bound: OrdSet<InstanceId>,
    /// The sum of their requests.
    pub allocated: Resources,
    /// Set while it gets no lease.
    pub suspended: Option<Suspension>,
}

/// A machine gets no lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suspension {
    /// The revision that suspended it.
    pub since: Revision,
    /// Whether every lease that was granted before has ended: what runs there may be placed elsewhere.
    pub over: bool,
}

impl Machine {
    /// A machine with an empty ledger.
    pub fn new(spec: MachineSpec, suspended: Option<Suspension>) -> Self {
        Self { spec, bound: OrdSet::new(), allocated: Resources::NONE, suspended }
    }

    /// What is left for instances.
    pub fn free(&self) -> Resources {
        self.spec.resources.saturating_sub(self.allocated)
    }
}

/// An order's number: the revision at which it was placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderId(pub u64);

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "order-{}", self.0)
    }
}

/// A committed decision to buy one machine. It ends when the machine joins, or when it failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Where the machine is wanted.
    pub cell: CellId,
    /// What is bought.
    pub offer: Arc<Offer>,
    /// The instance that it was bought for first; others may wait for it too.
    pub instance: InstanceId,
    /// Attempts that were committed; number and order together are the provider's idempotency token.
    pub attempts: u32,
    /// When it was placed.
    pub placed_at: Timestamp,
}
