//! How many placements a second the engine decides by itself, on a catalogue given by its path:
//! `cargo run --release -p kato-placement --example decisions -- ../shared/data/aws_vms.csv`
//!
//! One datacenter in each region of the catalogue whose place is known; a mix of requests, markets
//! and one to three places of demand; one copy in each decision. One thread, no criterion: the
//! figure is a rate over tenths of seconds, and its spread is printed with it.

use std::collections::BTreeSet;
use std::hint::black_box;
use std::io::Write;
use std::sync::Arc;

use kato_core::{
    Demand, Failover, LATENCY_PRICE_DEFAULT, Resources, Rules, SpotPolicy, Timestamp, WorkloadSpec,
};
use kato_placement::catalogue::{Defaults, Wanted};
use kato_placement::{Ask, Catalogue, Problem, Site, gazetteer, place, regions};

const ROUNDS: usize = 21;
const CALLS_IN_ROUND: usize = 10_000;
const PLACES: [&str; 8] =
    ["Dublin", "New York", "Tokyo", "Sao Paulo", "Mumbai", "JNB", "SYD", "LHR"];
const REQUESTS: [(u64, u64); 6] =
    [(250, 256), (500, 1_024), (2_000, 4_096), (4_000, 16_384), (8_000, 65_536), (32_000, 131_072)];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("give the path of a catalogue's CSV")?;
    let text = std::fs::read_to_string(path)?;
    let defaults =
        Defaults { provider: "ec2".parse()?, priced_at: Timestamp(0), source: "csv".to_owned() };
    let (loading, catalogue) = timed(|| Catalogue::parse_csv(&text, &defaults));
    let catalogue = catalogue?;
    let sites: Vec<Site> = catalogue
        .regions()
        .filter_map(|(provider, region)| {
            let at = regions::coordinates(provider, region)?;
            Some(Site {
                regions: vec![(provider.clone(), region.clone())],
                machines_to_buy_max: 4,
                ..Site::new(region.as_str().parse().ok()?, "cell-1".parse().ok()?, at)
            })
        })
        .collect();
    let workloads = workloads()?;
    let mut out = std::io::stdout().lock();
    let offers = catalogue.all_offers().count();
    writeln!(out, "{offers} offers read in {:.0} ms; {} datacenters", loading * 1e3, sites.len())?;
    let decide = |call: usize| {
        let workload = &workloads[call % workloads.len()];
        let asks = [Ask::new(workload, 1)];
        let problem = Problem { asks: &asks, sites: &sites, now: Timestamp(0) };
        black_box(place(black_box(&problem), &catalogue));
    };
    report(&mut out, "placements", decide)?;
    let wanted: Vec<Wanted> =
        workloads.iter().map(|workload| Wanted::by(workload, Timestamp(0))).collect();
    let look_up = |call: usize| {
        let workload = &workloads[call % workloads.len()];
        let (provider, region) = &sites[call % sites.len()].regions[0];
        let request = black_box(workload.request);
        black_box(catalogue.cheapest(provider, region, request, &wanted[call % wanted.len()]));
    };
    report(&mut out, "look-ups of the cheapest offer", look_up)?;
    Ok(())
}

fn workloads() -> Result<Vec<WorkloadSpec>, Box<dyn std::error::Error>> {
    let mut workloads = Vec::new();
    for (index, (cpu, mib)) in REQUESTS.into_iter().cycle().take(48).enumerate() {
        let demand = PLACES.iter().cycle().skip(index).take(1 + index % 3);
        let demand: Result<Vec<Demand>, gazetteer::GazetteerError> = demand
            .map(|place| {
                let at = gazetteer::locate(place)?.coordinates;
                Ok(Demand { place: (*place).to_owned(), at, weight_milli: 1_000 })
            })
            .collect();
        workloads.push(WorkloadSpec {
            name: "web".parse()?,
            template: true,
            unit: Arc::from(""),
            count: 1,
            request: Resources::new(cpu, mib),
            demand: demand?,
            latency_ms_max: (index % 4 == 0).then_some(250),
            datacenters: BTreeSet::new(),
            price_micros_per_hour_max: None,
            spot: [SpotPolicy::Never, SpotPolicy::Allowed, SpotPolicy::Required][index / 6 % 3],
            singleton: false,
            failover: Failover::Auto,
            ports: BTreeSet::new(),
            latency_price_micros_per_ms_hour: LATENCY_PRICE_DEFAULT,
            rules: Rules::default(),
        });
    }
    Ok(workloads)
}

/// Runs `call` in rounds and prints the least, the median and the greatest rate.
#[allow(clippy::cast_precision_loss)]
fn report(out: &mut impl Write, what: &str, call: impl Fn(usize)) -> std::io::Result<()> {
    let mut rates: Vec<f64> = (0..ROUNDS)
        .map(|_| CALLS_IN_ROUND as f64 / timed(|| (0..CALLS_IN_ROUND).for_each(&call)).0)
        .collect();
    rates.sort_by(f64::total_cmp);
    let [min, median, max] = [rates[0], rates[ROUNDS / 2], rates[ROUNDS - 1]];
    writeln!(out, "{what} per second: min {min:.0}, median {median:.0}, max {max:.0}")
}

/// The seconds that `work` took, and its result.
// A benchmark measures the machine that it runs on; the simulator has no part in it.
#[allow(clippy::disallowed_methods)]
fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let start = std::time::Instant::now();
    let result = work();
    (start.elapsed().as_secs_f64(), result)
}
