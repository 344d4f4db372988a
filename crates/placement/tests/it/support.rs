//! Builders for problems, and the data that a plain clone does not have.

#[path = "../../../../tests/not_run.rs"]
mod not_run;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use kato_core::{
    Arch, Demand, Failover, LATENCY_PRICE_DEFAULT, Market, MicroDollars, Offer, Resources, Rules,
    SpotPolicy, Timestamp, WorkloadSpec,
};
use kato_placement::{Room, Site};

pub(crate) const DUBLIN: &str = "53.35,-6.26";
pub(crate) const NEW_YORK: &str = "40.71,-74.01";
pub(crate) const SYDNEY: &str = "-33.87,151.21";

/// A workload of half a processor and 512 MiB, without constraints.
pub(crate) fn workload() -> WorkloadSpec {
    WorkloadSpec {
        name: "web".parse().unwrap(),
        template: true,
        unit: Arc::from(""),
        count: 1,
        request: Resources::new(500, 512),
        demand: Vec::new(),
        latency_ms_max: None,
        datacenters: BTreeSet::new(),
        price_micros_per_hour_max: None,
        spot: SpotPolicy::Never,
        singleton: false,
        failover: Failover::Auto,
        ports: BTreeSet::new(),
        latency_price_micros_per_ms_hour: LATENCY_PRICE_DEFAULT,
        rules: Rules::default(),
    }
}

pub(crate) fn demand(at: &str, weight_milli: u32) -> Demand {
    Demand { place: at.to_owned(), at: at.parse().unwrap(), weight_milli }
}

/// An offer of 2 CPU and 4 GiB of EC2 in `region`.
pub(crate) fn offer(region: &str, kind: &str, micros: i64, market: Market) -> Offer {
    Offer {
        provider: "ec2".parse().unwrap(),
        region: region.parse().unwrap(),
        kind: kind.to_owned(),
        market,
        arch: Arch::X86_64,
        capacity: Resources::new(2_000, 4_096),
        gpu: None,
        terms: kato_core::Terms::default(),
        price_micros_per_hour: MicroDollars(micros),
        priced_at: Timestamp(0),
        source: "test".to_owned(),
    }
}

/// A datacenter with the region of its own name, without machines, that may buy two.
pub(crate) fn site(name: &str, at: &str) -> Site {
    Site {
        regions: vec![("ec2".parse().unwrap(), name.parse().unwrap())],
        machines_to_buy_max: 2,
        ..Site::new(name.parse().unwrap(), "cell-1".parse().unwrap(), at.parse().unwrap())
    }
}

/// A machine with all of it free, which is paid for anyway.
pub(crate) fn room(offer: Offer) -> Room {
    Room { adds: MicroDollars::ZERO, ..Room::whole(Arc::new(offer)) }
}

/// The text of `../shared/data/NAME`, from the workspace's root. Where it is not: a line that says
/// so, or a failure if everything is required.
pub(crate) fn shared(name: &str) -> Option<String> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let path = root.join("../shared/data").join(name);
    match std::fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(error) => {
            not_run::not_run(&format!("../shared/data/{name} is not there ({error})"));
            None
        }
    }
}
