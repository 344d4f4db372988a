//! How far the packing is from the optimum, on a catalogue given by its path:
//! `cargo run --release -p kato-placement --example gap -- ../shared/data/aws_vms.csv [PROBLEMS] [SEED]`
//!
//! Problems of up to 50 copies of one to five items over three to eight regions, some of them with machines that run. The
//! optimum is computed exactly, by dynamic programming over every content that a machine may have.

#[path = "../tests/it/optimum.rs"]
mod optimum;

use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

use fastrand::Rng;
use kato_core::{Arch, Market, MicroDollars, Offer, Resources, SpotPolicy, Timestamp};
use kato_placement::catalogue::{Defaults, Wanted};
use kato_placement::pack::{FINE, Item, Stalls, pack};
use kato_placement::{Catalogue, Room, Site, regions};

/// Problems that would take more steps to solve exactly are drawn again.
const STEPS_MAX: u64 = 30_000_000;
/// Problems whose optimum is looked for, and the seed that they are drawn with, unless said otherwise.
const PROBLEMS: usize = 1_000;
const SEED: u64 = 1;
/// Sizes of copies, in thousandths of a processor and MiB.
const SIZES: [(u64, u64); 12] = [
    (100, 128),
    (250, 256),
    (500, 1_024),
    (500, 4_096),
    (1_000, 1_024),
    (1_000, 2_048),
    (2_000, 4_096),
    (2_000, 16_384),
    (4_000, 8_192),
    (4_000, 32_768),
    (8_000, 16_384),
    (16_000, 65_536),
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let path = words.next().ok_or("give the path of a catalogue's CSV")?;
    let problems: usize = words.next().map_or(Ok(PROBLEMS), |word| word.parse())?;
    let seed: u64 = words.next().map_or(Ok(SEED), |word| word.parse())?;
    let text = std::fs::read_to_string(path)?;
    let defaults =
        Defaults { provider: "ec2".parse()?, priced_at: Timestamp(0), source: "csv".to_owned() };
    let catalogue = Catalogue::parse_csv(&text, &defaults)?;
    let mut chance = Rng::with_seed(seed);
    let (mut gaps, mut times) = (Vec::new(), Vec::new());
    let mut out = std::io::stdout().lock();
    while gaps.len() < problems {
        let (items, sites) = draw(&mut chance, &catalogue);
        let machines = sites.iter().map(|site| site.machines.len()).sum();
        if steps(&items, machines) > STEPS_MAX {
            continue;
        }
        let Some(least) = optimum::least(&items, &sites, &catalogue) else { continue };
        #[allow(clippy::disallowed_methods)]
        let began = Instant::now();
        let packed = pack(&items, &Stalls::whole(&sites), &catalogue);
        times.push(began.elapsed().as_secs_f64() * 1e3);
        assert!(packed.unplaced.iter().all(|copies| *copies == 0), "everything can be placed");
        assert!(packed.cost >= least, "{} is less than the least, {least}", packed.cost);
        #[allow(clippy::cast_precision_loss)]
        let gap = (packed.cost - least) as f64 / least.max(1) as f64 * 100.0;
        gaps.push(gap);
    }
    writeln!(out, "{problems} problems, drawn with seed {seed}")?;
    for (what, figures) in [("gap, %", &mut gaps), ("time, ms", &mut times)] {
        figures.sort_by(f64::total_cmp);
        let at = |thousandths: usize| figures[(figures.len() - 1) * thousandths / 1_000];
        writeln!(
            out,
            "{what}: min {:.3} median {:.3} p90 {:.3} p99 {:.3} max {:.3}",
            at(0),
            at(500),
            at(900),
            at(990),
            at(1_000)
        )?;
    }
    Ok(())
}

/// How many pairs of a content and a part of it there are, for machines to buy and for each one that runs.
fn steps(items: &[Item], machines: usize) -> u64 {
    let pairs = |item: &Item| u64::from(item.copies + 1) * u64::from(item.copies + 2) / 2;
    items.iter().map(pairs).product::<u64>() * (machines as u64 + 1)
}

/// A problem: what is wanted, and where it may go.
fn draw(chance: &mut Rng, catalogue: &Catalogue) -> (Vec<Item>, Vec<Site>) {
    let mut all: Vec<Site> = catalogue
        .regions()
        .filter_map(|(provider, region)| {
            Some(Site {
                regions: vec![(provider.clone(), region.clone())],
                machines_to_buy_max: 1_000,
                ..Site::new(
                    region.as_str().parse().ok()?,
                    "cell-1".parse().ok()?,
                    regions::coordinates(provider, region)?,
                )
            })
        })
        .collect();
    chance.shuffle(&mut all);
    all.truncate(chance.usize(3..=8));
    for site in &mut all {
        if chance.u8(..4) == 0 {
            for _ in 0..chance.usize(1..=2) {
                site.machines.push(room(chance, site, catalogue));
            }
        }
    }
    let mut left = chance.u32(1..=50);
    let kinds = chance.u32(1..=5);
    let mut items = Vec::new();
    for kind in 0..kinds {
        let copies = if kind + 1 == kinds { left } else { chance.u32(0..=left) };
        if copies == 0 {
            continue;
        }
        left -= copies;
        let (cpu, mib) = SIZES[chance.usize(..SIZES.len())];
        let near = chance.bool();
        let at = all.iter().map(|_| {
            let anywhere = chance.u8(..8) > 0;
            let micros = if near { chance.i64(1_000..60_000) } else { 0 };
            anywhere.then_some(micros * FINE)
        });
        let at: Vec<_> = at.collect();
        let spot =
            [SpotPolicy::Never, SpotPolicy::Allowed, SpotPolicy::Required][chance.usize(..3)];
        items.push(Item {
            request: Resources::new(cpu, mib),
            copies,
            wanted: Wanted::new(spot, Arch::X86_64),
            at,
            levels: Vec::new(),
            price_max: None,
            rank: 0,
        });
    }
    (items, all)
}

fn room(chance: &mut Rng, site: &Site, catalogue: &Catalogue) -> Room {
    let (provider, region) = &site.regions[0];
    let suit = |offer: &&Arc<Offer>| {
        offer.arch == Arch::X86_64
            && offer.market == Market::OnDemand
            && (2_000..=16_000).contains(&offer.capacity.cpu_millis)
    };
    let offers: Vec<&Arc<Offer>> = catalogue.offers(provider, region).filter(suit).collect();
    let offer = Arc::clone(offers[chance.usize(..offers.len())]);
    let in_use = chance.bool();
    if in_use {
        let free = offer.capacity.saturating_sub(Resources::new(1_000, 1_024));
        return Room { free, adds: MicroDollars::ZERO, ..Room::whole(offer) };
    }
    Room::whole(offer)
}
