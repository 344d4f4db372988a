//! How far the packing is from the optimum: problems of up to 50 copies of one to five items over three to eight regions, some of
//! them with machines that run. The optimum is computed exactly, by dynamic programming over every content that a machine may
//! have. The bound of the large problems is held against it as well.

#[path = "../../tests/it/optimum.rs"]
mod optimum;

use std::ops::RangeInclusive;
use std::sync::Arc;

use fastrand::Rng;
use kato_core::{Arch, Market, MicroDollars, Offer, Resources, SpotPolicy};
use kato_placement::catalogue::Wanted;
use kato_placement::pack::{FINE, Item, Stalls, pack};
use kato_placement::{Catalogue, Room, Site};

use crate::Failure;
use crate::figures::{Figures, count, float, goal, time, timed};
use crate::page::Page;
use crate::patterns::{NODES_MAX, bound};
use crate::world::World;

/// Problems that would take more steps to solve exactly are drawn again.
const STEPS_MAX: u64 = 30_000_000;
/// Problems whose optimum is looked for, unless said otherwise.
const PROBLEMS: usize = 1_000;
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

/// How large the problems are that are drawn.
pub(crate) struct Sizes {
    /// Copies of all items.
    pub(crate) copies: RangeInclusive<u32>,
    /// Items.
    pub(crate) kinds: RangeInclusive<u32>,
}

const SMALL: Sizes = Sizes { copies: 1..=50, kinds: 1..=5 };

pub(crate) fn print(world: &World, page: &mut Page) -> Result<(), Failure> {
    let problems = world.options.problems.unwrap_or(PROBLEMS);
    page.say(&format!(
        "{} problems of up to 50 copies of one to five items, three to eight regions; seed {}",
        count(float(problems)),
        world.seed()
    ))?;
    let mut chance = Rng::with_seed(world.seed());
    let all = world.sites(1_000);
    let (mut gaps, mut times, mut below) = (Vec::new(), Vec::new(), Vec::new());
    while gaps.len() < problems {
        let (items, sites) = draw(&mut chance, &all, &world.catalogue, &SMALL);
        let machines = sites.iter().map(|site| site.machines.len()).sum();
        if steps(&items, machines) > STEPS_MAX {
            continue;
        }
        let Some(least) = optimum::least(&items, &sites, &world.catalogue) else { continue };
        let (seconds, packed) = timed(|| pack(&items, &Stalls::whole(&sites), &world.catalogue));
        times.push(seconds);
        assert!(packed.unplaced.iter().all(|copies| *copies == 0), "everything can be placed");
        assert!(packed.cost >= least, "{} is less than the least, {least}", packed.cost);
        gaps.push(percent_over(packed.cost, least));
        let found = bound::bound(&items, &sites, &world.catalogue, (least, NODES_MAX));
        assert!(
            found.least <= least,
            "the bound, {}, is more than the least, {least}",
            found.least
        );
        below.push(percent_over(least, found.least));
    }
    let (gaps, times, below) = (Figures::new(gaps), Figures::new(times), Figures::new(below));
    let met = gaps.median() <= 1.0 && gaps.max() <= 5.0;
    page.table(
        ["", "min", "median", "p90", "p99", "max", "goal"],
        &[
            gaps.row("dearer than the optimum", percent, goal("median ≤ 1 %, worst ≤ 5 %", met)),
            below.row("the optimum over the bound", percent, String::new()),
            times.row("time of the engine", time, String::new()),
        ],
    )?;
    Ok(())
}

/// How much more a cost is than another, in percent.
#[allow(clippy::cast_precision_loss)] // costs are far below what a float counts exactly
pub(crate) fn percent_over(cost: i64, least: i64) -> f64 {
    (cost - least) as f64 / least.max(1) as f64 * 100.0
}

/// Percent as they are printed.
pub(crate) fn percent(percent: f64) -> String {
    format!("{percent:.3} %")
}

/// How many pairs of a content and a part of it there are, for machines to buy and for each one that runs.
fn steps(items: &[Item], machines: usize) -> u64 {
    let pairs = |item: &Item| u64::from(item.copies + 1) * u64::from(item.copies + 2) / 2;
    items.iter().map(pairs).product::<u64>() * (machines as u64 + 1)
}

/// A problem: what is wanted, and where it may go.
pub(crate) fn draw(
    chance: &mut Rng,
    sites: &[Site],
    catalogue: &Catalogue,
    drawn: &Sizes,
) -> (Vec<Item>, Vec<Site>) {
    let mut all = sites.to_vec();
    chance.shuffle(&mut all);
    all.truncate(chance.usize(3..=8));
    for site in &mut all {
        if chance.u8(..4) == 0 {
            for _ in 0..chance.usize(1..=2) {
                site.machines.push(room(chance, site, catalogue));
            }
        }
    }
    let mut left = chance.u32(drawn.copies.clone());
    let kinds = chance.u32(drawn.kinds.clone());
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
