//! The pure heart of Káto: what the mesh agrees on, and the one function that changes it.
//!
//! Nothing here reads a clock, draws a random number, touches a socket or awaits. The same log gives
//! the same state on every node, byte for byte; that is why maps are ordered and money, coordinates
//! and shares are integers.

mod command;
mod decision;
mod geo;
mod money;
mod name;
mod offer;
mod resources;
mod state;
mod time;
mod topology;
mod workload;

pub use command::{Applied, Batch, Command, Rejection, RejectionKind};
pub use decision::{Candidate, Decision, Quote, Refusal, Source, Verdict};
pub use geo::{Coordinates, CoordinatesError};
pub use money::MicroDollars;
pub use name::{
    CellId, CellName, DatacenterName, InstanceId, MachineId, MachineName, NameError, NodeName,
    PortName, ProviderName, RegionName, WorkloadName,
};
pub use offer::{Arch, Market, Offer};
pub use resources::Resources;
pub use state::{DATACENTERS_MAX, Revision, State};
pub use time::Timestamp;
pub use topology::Datacenter;
pub use workload::{
    COUNT_MAX, DEMAND_MAX, Demand, Failover, LATENCY_PRICE_DEFAULT, PORTS_MAX, SpotPolicy, Spread,
    UNIT_BYTES_MAX, WorkloadSpec,
};
