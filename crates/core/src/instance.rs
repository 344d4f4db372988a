//! Workloads as the state holds them, and where their instances are placed.

use std::collections::BTreeMap;
use std::sync::Arc;

use imbl::OrdMap;

use crate::{
    CellId, Decision, InstanceId, MachineId, OrderId, Quote, Resources, Revision, Timestamp,
    WorkloadSpec,
};

/// A workload, its present specification and the older ones that instances still run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// What the user wants now.
    pub spec: Arc<WorkloadSpec>,
    /// Counts the changes of the specification, from 1.
    pub generation: u64,
    /// The revision of the last change.
    pub revision: Revision,
    /// When it was last changed.
    pub applied_at: Timestamp,
    /// Specifications by generation, of placements that a rollout has not reached.
    pub older: OrdMap<u64, Arc<WorkloadSpec>>,
}

impl Workload {
    /// The specification of a generation that a placement refers to.
    pub fn spec_of(&self, generation: u64) -> Option<&Arc<WorkloadSpec>> {
        if generation == self.generation { Some(&self.spec) } else { self.older.get(&generation) }
    }
}

/// One copy of a workload, wherever it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Which.
    pub id: InstanceId,
    /// Where it is meant to run. A placement stays until another one takes its place.
    pub placement: Option<Placement>,
    /// Set while no place can be found.
    pub unplaceable: Option<Unplaceable>,
    /// Cells that found no machine for it, and until when they are not asked again.
    pub refusals: BTreeMap<CellId, Timestamp>,
}

impl Instance {
    /// An instance that has no place yet.
    pub fn new(id: InstanceId) -> Self {
        Self { id, placement: None, unplaceable: None, refusals: BTreeMap::new() }
    }

    /// The epoch of the placement, if there is one.
    pub fn epoch(&self) -> Option<Revision> {
        self.placement.as_ref().map(|placement| placement.epoch)
    }
}

/// An instance's place. Its epoch fences every executor of an older one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// The cell.
    pub cell: CellId,
    /// The machine in it, once the datacenter's coordinator has picked one.
    pub machine: Option<MachineId>,
    /// The revision that made this placement: higher than any earlier one of the instance.
    pub epoch: Revision,
    /// The workload's generation that runs here.
    pub generation: u64,
    /// What that generation asks for; the cell's and the machine's ledgers hold it.
    pub request: Resources,
    /// What it costs.
    pub quote: Quote,
    /// Why here.
    pub decision: Arc<Decision>,
    /// The machine that was ordered for it, or for it and others.
    pub order: Option<OrderId>,
    /// When it was placed.
    pub placed_at: Timestamp,
}

/// Why an instance has no place, or must keep one that does not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unplaceable {
    /// Since when.
    pub since: Timestamp,
    /// Every datacenter, and why not.
    pub decision: Arc<Decision>,
}
