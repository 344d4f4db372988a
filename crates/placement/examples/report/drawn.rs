//! Workloads for the tables that ask for decisions: their sizes, markets, places of demand and limits.

use std::collections::BTreeSet;
use std::sync::Arc;

use kato_core::{
    Demand, Failover, LATENCY_PRICE_DEFAULT, Level, Most, Resources, Rules, SpotPolicy, Spread,
    WorkloadSpec,
};
use kato_placement::gazetteer::{self, GazetteerError};

use crate::Failure;

const PLACES: [&str; 8] =
    ["Dublin", "New York", "Tokyo", "Sao Paulo", "Mumbai", "JNB", "SYD", "LHR"];
/// Thousandths of a processor, and MiB: of small programs that share machines, and of all kinds.
const SMALL: [(u64, u64); 6] =
    [(100, 128), (250, 256), (250, 512), (500, 1_024), (1_000, 1_024), (1_000, 4_096)];
const MIXED: [(u64, u64); 6] =
    [(250, 256), (500, 1_024), (2_000, 4_096), (4_000, 16_384), (8_000, 65_536), (32_000, 131_072)];

/// Workloads of all sizes, each of one copy.
pub(crate) fn mixed(count: usize) -> Result<Vec<WorkloadSpec>, Failure> {
    (0..count).map(|index| workload(index, MIXED[index % MIXED.len()], 1)).collect()
}

/// Workloads of small programs, each of so many copies; the half of them with a fifth of those at the most in a datacenter, a
/// quarter in Europe and America only.
pub(crate) fn small(count: usize, copies: u32) -> Result<Vec<WorkloadSpec>, Failure> {
    let one = |index: usize| {
        let mut workload = workload(index, SMALL[index % SMALL.len()], copies)?;
        workload.spot = [SpotPolicy::Never, SpotPolicy::Allowed][index / 6 % 2];
        if index.is_multiple_of(2) {
            let most = Some(Most::Copies(copies / 5));
            workload.rules.spreads =
                vec![Spread { most, ..Spread::one_in_each(Level::Datacenter) }];
        }
        if index % 4 == 1 {
            workload.rules.continents =
                ["EU", "NA"].into_iter().map(str::parse).collect::<Result<_, _>>()?;
        }
        Ok(workload)
    };
    (0..count).map(one).collect()
}

/// So many copies that may be anywhere, without users.
pub(crate) fn plain(copies: u32) -> Result<WorkloadSpec, Failure> {
    let workload = workload(1, MIXED[0], copies)?;
    Ok(WorkloadSpec { demand: Vec::new(), latency_ms_max: None, ..workload })
}

fn workload(index: usize, (cpu, mib): (u64, u64), copies: u32) -> Result<WorkloadSpec, Failure> {
    let places = PLACES.iter().cycle().skip(index).take(1 + index % 3);
    let demand: Result<Vec<Demand>, GazetteerError> = places
        .map(|place| {
            let at = gazetteer::locate(place)?.coordinates;
            Ok(Demand { place: (*place).to_owned(), at, weight_milli: 1_000 })
        })
        .collect();
    Ok(WorkloadSpec {
        name: format!("web-{index}").parse()?,
        template: true,
        unit: Arc::from(""),
        count: copies,
        request: Resources::new(cpu, mib),
        demand: demand?,
        latency_ms_max: index.is_multiple_of(4).then_some(250),
        datacenters: BTreeSet::new(),
        price_micros_per_hour_max: None,
        spot: [SpotPolicy::Never, SpotPolicy::Allowed, SpotPolicy::Required][index / 6 % 3],
        singleton: false,
        failover: Failover::Auto,
        ports: BTreeSet::new(),
        latency_price_micros_per_ms_hour: LATENCY_PRICE_DEFAULT,
        rules: Rules::default(),
    })
}
