//! The datacenters of a mesh on one host: real places, and real regions for their prices.

use std::sync::Arc;

use kato_core::{Arch, Market, Offer};
use kato_placement::Catalogue;

/// One datacenter.
#[derive(Debug)]
pub(super) struct Site {
    /// Its name, and its number as a member of the mesh.
    pub(super) name: &'static str,
    pub(super) member: u64,
    pub(super) city: &'static str,
    /// Degrees north and east.
    pub(super) location: [f64; 2],
    /// Where its machines are from.
    pub(super) provider: &'static str,
    pub(super) region: &'static str,
    /// What its first machines are.
    kind: &'static str,
}

/// Dublin, Newark, Singapore: their airports' coordinates.
pub(super) const SITES: [Site; 3] = [
    Site {
        name: "dub",
        member: 1,
        city: "Dublin",
        location: [53.4213, -6.2701],
        provider: "ec2",
        region: "eu-west-1",
        kind: "m6i.large",
    },
    Site {
        name: "ewr",
        member: 2,
        city: "Newark",
        location: [40.6925, -74.1687],
        provider: "packet",
        region: "ewr1",
        kind: "baremetal_0",
    },
    Site {
        name: "sin",
        member: 3,
        city: "Singapore",
        location: [1.3592, 103.9894],
        provider: "ec2",
        region: "ap-southeast-1",
        kind: "m6i.large",
    },
];

/// The machines that each datacenter begins with.
pub(super) const MACHINES: [&str; 2] = ["core-1", "core-2"];
/// The most machines that its cell may have.
pub(super) const MACHINES_MAX: u32 = 20;
/// The cell that they are in.
pub(super) const CELL: &str = "cell-1";
/// The mesh's domain.
pub(super) const DOMAIN: &str = "demo.com";

impl Site {
    /// The datacenter of this name.
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        SITES.iter().find(|site| site.name == name)
    }

    /// What the first machines are, at the catalogue's price: the usual kind, or the cheapest there is.
    pub(super) fn offer(&self, catalogue: &Catalogue) -> Option<Arc<Offer>> {
        let (provider, region) = (self.provider.parse().ok()?, self.region.parse().ok()?);
        let offers = || {
            let suits = |offer: &&Arc<Offer>| {
                offer.market == Market::OnDemand && offer.arch == Arch::X86_64
            };
            catalogue.offers(&provider, &region).filter(suits)
        };
        offers().find(|offer| offer.kind == self.kind).or_else(|| offers().next()).cloned()
    }
}
