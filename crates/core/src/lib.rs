//! The pure heart of Káto: what the mesh agrees on, and the one function that changes it.
//!
//! Nothing here reads a clock, draws a random number, touches a socket or awaits. The same log gives
//! the same state on every node, byte for byte; that is why maps are ordered and money, coordinates
//! and shares are integers.

mod apply;
mod budget;
mod command;
mod country;
mod decision;
mod event;
mod flaw;
mod geo;
mod instance;
pub mod invariant;
mod ledger;
mod money;
mod name;
mod offer;
mod resources;
mod restore;
mod rules;
mod state;
mod terms;
mod time;
mod timing;
mod topology;
pub mod version;
mod workload;

pub use apply::ATTEMPTS_MAX;
pub use budget::Budget;
pub use command::{Applied, Batch, Command, Place, PutWorkload, Rejection, RejectionKind, Target};
pub use country::{Continent, Country};
pub use decision::{Candidate, Decision, Instead, Quote, Refusal, Source, Verdict};
pub use event::{Event, EventKind};
pub use flaw::{Flaw, UnknownFlaw};
pub use geo::{Coordinates, CoordinatesError};
pub use instance::{Instance, Placement, Unplaceable, Workload};
pub use money::MicroDollars;
pub use name::{
    CellId, CellName, DatacenterName, InstanceId, MachineId, MachineName, NameError, NodeName,
    PortName, ProviderName, RegionName, WorkloadName,
};
pub use offer::{Arch, GpuName, Market, Offer};
pub use resources::Resources;
pub use rules::{
    FailureDomain, LABEL_BYTES_MAX, LABELS_MAX, Level, MOVE_COST_DEFAULT, Most, Neighbour,
    PRIORITY_MAX, Preference, Preferred, RULES_MAX, Rebalance, Rules, STAY_S_DEFAULT, Spread,
    is_label,
};
pub use state::{
    Cell, DATACENTERS_MAX, EVENTS_MAX, INSTANCES_MAX, INSTANCES_PER_MACHINE_MAX, MACHINES_MAX,
    Revision, Settings, State, Stopping, WORKLOADS_MAX,
};
pub use terms::{BILLED_S_MAX, Terms};
pub use time::Timestamp;
pub use timing::{Agreed, Timing};
pub use topology::{
    CellSpec, Datacenter, DatacenterSpec, Delegation, Health, Machine, MachineSpec, Order, OrderId,
    Suspension,
};
pub use workload::{
    COUNT_MAX, DEMAND_MAX, Demand, Failover, LATENCY_PRICE_DEFAULT, PORTS_MAX, SpotPolicy,
    UNIT_BYTES_MAX, WorkloadSpec,
};
