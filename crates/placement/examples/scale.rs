//! How long the packing takes as the problem grows: `cargo run --release -p kato-placement --example scale -- ../shared/data/aws_vms.csv`
//!
//! 20 cells in EC2 regions of the catalogue, 250 machines in each, workloads of 50 copies with constraints.

use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

use fastrand::Rng;
use kato_core::{Arch, Market, MicroDollars, Resources, SpotPolicy, Timestamp};
use kato_placement::catalogue::{Defaults, Wanted};
use kato_placement::pack::{FINE, Item, Level, Stalls, pack};
use kato_placement::{Catalogue, Room, Site, regions};

/// Cells, and machines in each.
const CELLS: usize = 20;
const MACHINES: usize = 250;
/// Copies of one workload.
const COPIES: u32 = 50;
const ROUNDS: usize = 5;
const SEED: u64 = 1;
/// What copies need, in thousandths of a processor and MiB.
const REQUESTS: [(u64, u64); 6] =
    [(100, 128), (250, 256), (250, 512), (500, 1_024), (1_000, 1_024), (1_000, 4_096)];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("give the path of a catalogue's CSV")?;
    let text = std::fs::read_to_string(path)?;
    let defaults =
        Defaults { provider: "ec2".parse()?, priced_at: Timestamp(0), source: "csv".to_owned() };
    let catalogue = Catalogue::parse_csv(&text, &defaults)?;
    let mut chance = Rng::with_seed(SEED);
    let sites = sites(&catalogue, &mut chance);
    let mut out = std::io::stdout().lock();
    writeln!(out, "{} cells, {} machines", sites.len(), sites.len() * MACHINES)?;
    for instances in [100, 1_000, 10_000, 50_000, 100_000] {
        let items = items(instances, sites.len(), &mut chance);
        let mut times = Vec::new();
        let mut unplaced = 0;
        for _ in 0..ROUNDS {
            #[allow(clippy::disallowed_methods)]
            let began = Instant::now();
            let packed = pack(&items, &Stalls::whole(&sites), &catalogue);
            times.push(began.elapsed().as_secs_f64());
            unplaced = packed.unplaced.iter().sum();
        }
        times.sort_by(f64::total_cmp);
        let (least, median, most) = (times[0], times[ROUNDS / 2], times[ROUNDS - 1]);
        writeln!(
            out,
            "{instances:>7} instances: {:>9.1} ms (min {:.1}, max {:.1}), {:.0} a second, {unplaced} unplaced",
            median * 1e3,
            least * 1e3,
            most * 1e3,
            f64::from(instances) / median
        )?;
    }
    Ok(())
}

fn sites(catalogue: &Catalogue, chance: &mut Rng) -> Vec<Site> {
    let site = |(provider, region): (&kato_core::ProviderName, &kato_core::RegionName)| {
        let suit = |offer: &&Arc<kato_core::Offer>| {
            offer.arch == Arch::X86_64
                && offer.market == Market::OnDemand
                && (8_000..=64_000).contains(&offer.capacity.cpu_millis)
        };
        let offers: Vec<_> = catalogue.offers(provider, region).filter(suit).collect();
        let machines = (0..MACHINES).map(|_| {
            let offer = Arc::clone(offers[chance.usize(..offers.len())]);
            let taken = Resources::new(chance.u64(0..4_000), chance.u64(0..8_192));
            let adds = if chance.bool() { MicroDollars::ZERO } else { offer.price_micros_per_hour };
            Room { free: offer.capacity.saturating_sub(taken), adds, ..Room::whole(offer) }
        });
        Some(Site {
            regions: vec![(provider.clone(), region.clone())],
            machines: machines.collect(),
            machines_to_buy_max: 1_000,
            ..Site::new(
                region.as_str().parse().ok()?,
                "cell-1".parse().ok()?,
                regions::coordinates(provider, region)?,
            )
        })
    };
    catalogue.regions().filter_map(site).take(CELLS).collect()
}

fn items(instances: u32, sites: usize, chance: &mut Rng) -> Vec<Item> {
    let mut item = || {
        let (cpu, mib) = REQUESTS[chance.usize(..REQUESTS.len())];
        let mut beside = || {
            let may = chance.u8(..5) > 0;
            may.then(|| chance.i64(0..60_000) * FINE)
        };
        let at = (0..sites).map(|_| beside()).collect();
        let spot = [SpotPolicy::Never, SpotPolicy::Allowed][chance.usize(..2)];
        let ten_each = Level { group: (0..sites).collect(), most: vec![10; sites], excess: None };
        let levels = if chance.bool() { vec![] } else { vec![ten_each] };
        let request = Resources::new(cpu, mib);
        let wanted = Wanted::new(spot, Arch::X86_64);
        Item { request, copies: COPIES, wanted, at, levels, price_max: None, rank: 0 }
    };
    (0..instances / COPIES).map(|_| item()).collect()
}
