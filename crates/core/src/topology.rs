//! The parts of the mesh: datacenters, their cells, and the machines in them.

use std::collections::BTreeSet;

use crate::{Coordinates, DatacenterName, ProviderName, RegionName};

/// A site with one coordinator, and the regions that it buys in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datacenter {
    /// Its name.
    pub name: DatacenterName,
    /// Where it is.
    pub location: Coordinates,
    /// Where its coordinator answers: host and port.
    pub address: String,
    /// The regions of providers that it buys machines in.
    pub regions: BTreeSet<(ProviderName, RegionName)>,
}
