//! What the user wants: a unit file and how its copies are to be placed.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::{Coordinates, DatacenterName, MicroDollars, PortName, Resources, Rules, WorkloadName};

/// The most copies one workload may have.
pub const COUNT_MAX: u32 = 10_000;
/// The most places of demand one workload may name.
pub const DEMAND_MAX: usize = 32;
/// The most ports one instance may ask for.
pub const PORTS_MAX: usize = 16;
/// The largest unit file, in bytes.
pub const UNIT_BYTES_MAX: usize = 64 * 1024;
/// What a millisecond of latency costs an instance for an hour, unless its workload says otherwise:
/// $0.0005, so that the 70 ms of an Atlantic crossing weigh 3.5 cents an hour, about half a small
/// machine.
pub const LATENCY_PRICE_DEFAULT: MicroDollars = MicroDollars(500);

/// Everything the mesh holds about what a user asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkloadSpec {
    /// The unit's name without `@` and `.service`.
    pub name: WorkloadName,
    /// Whether the unit is a template (`web@.service`).
    pub template: bool,
    /// The unit file as the user gave it, `[X-Kato]` included.
    pub unit: Arc<str>,
    /// How many copies.
    pub count: u32,
    /// What each copy needs.
    pub request: Resources,
    /// Where its users are. Empty: anywhere, latency does not count.
    pub demand: Vec<Demand>,
    /// The largest estimated round-trip time from its places of demand.
    pub latency_ms_max: Option<u32>,
    /// The datacenters it may run in. Empty: all.
    pub datacenters: BTreeSet<DatacenterName>,
    /// The most that one copy may cost.
    pub price_micros_per_hour_max: Option<MicroDollars>,
    /// Whether it may, must or must not run on spot machines.
    pub spot: SpotPolicy,
    /// Whether two copies of one instance must never run at the same moment.
    pub singleton: bool,
    /// What happens when its datacenter is lost.
    pub failover: Failover,
    /// Host ports, each given to the unit as `KATO_PORT_NAME`.
    pub ports: BTreeSet<PortName>,
    /// What one millisecond of latency costs one instance for one hour.
    pub latency_price_micros_per_ms_hour: MicroDollars,
    /// What it asks of places and machines beyond that.
    pub rules: Rules,
}

/// A place that the workload's users are in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    /// The place as the user wrote it: `DUB`, `Dublin`, `53.35,-6.26`.
    pub place: String,
    /// Where that is.
    pub at: Coordinates,
    /// Its share of the demand, relative to the other places, in thousandths.
    pub weight_milli: u32,
}

/// Whether a workload may run on machines that their provider may take back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum SpotPolicy {
    /// Where it is cheaper.
    Allowed,
    /// Only there.
    Required,
    /// Not at all.
    #[default]
    Never,
}

/// What happens to an instance whose datacenter is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Failover {
    /// It is placed elsewhere.
    #[default]
    Auto,
    /// It waits for its datacenter to return.
    Never,
}
