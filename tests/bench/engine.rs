//! The placement engine alone.

use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;
use kato_core::{ProviderName, RegionName, Timestamp};
use kato_placement::catalogue::Defaults;
use kato_placement::{Ask, Catalogue, Problem, Site, place, regions};
use kato_units::parse_workload;

use crate::rounds;

/// Decisions of one round.
const DECISIONS: u32 = 20_000;

/// Measures decisions over every region of the catalogue.
#[allow(clippy::disallowed_methods, reason = "a benchmark measures real time")]
pub(crate) fn run(count: u32) -> anyhow::Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/aws_vms.csv");
    let text = std::fs::read_to_string(&path)
        .context("the catalogue of 42,020 rows lies beside the checkout, in ../shared/data")?;
    let defaults = Defaults {
        provider: "ec2".parse()?,
        priced_at: Timestamp(0),
        source: "aws_vms.csv".to_owned(),
    };
    let catalogue = Catalogue::parse_csv(&text, &defaults)?;
    let sites: Vec<Site> = catalogue.regions().filter_map(|(p, r)| site(p, r)).collect();
    rounds::heading(&format!("engine: {} sites, one thread", sites.len()));
    let unit = "[Service]\nExecStart=/bin/true\n[X-Kato]\nCPU=2\nMemory=4G\nNear=DUB weight=3\n\
                Near=Paris\nNear=40.7,-74.0\nMaxLatency=200ms\nMaxPrice=2\nSpot=allowed\n";
    let resolve = |text: &str| {
        let found = kato_placement::gazetteer::locate(text);
        found.map(|place| vec![place.coordinates.into()]).map_err(|error| error.to_string())
    };
    let parsed = parse_workload("web@.service", unit, &resolve);
    let workload = parsed.map_err(|findings| anyhow::anyhow!("{findings:?}"))?.spec;
    let mut figures = Vec::new();
    for _ in 0..count {
        let began = Instant::now();
        for now in 0..DECISIONS {
            let now = Timestamp(u64::from(now));
            let asks = [Ask::new(&workload, 1)];
            let problem = Problem { asks: &asks, sites: &sites, budget: None, now };
            anyhow::ensure!(
                place(&problem, &catalogue).answers[0].unplaced == 0,
                "nothing was placed"
            );
        }
        figures.push(f64::from(DECISIONS) / began.elapsed().as_secs_f64());
    }
    rounds::print("placements decided", "/s", figures);
    Ok(())
}

fn site(provider: &ProviderName, region: &RegionName) -> Option<Site> {
    Some(Site {
        regions: vec![(provider.clone(), region.clone())],
        machines_to_buy_max: 10,
        ..Site::new(
            region.as_str().parse().ok()?,
            "cell-1".parse().ok()?,
            regions::coordinates(provider, region)?,
        )
    })
}
