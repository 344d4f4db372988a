//! How long the packing takes as the problem grows, with constraints on.

use fastrand::Rng;
use kato_core::{Arch, Resources, SpotPolicy};
use kato_placement::catalogue::Wanted;
use kato_placement::pack::{FINE, Item, Level, Stalls, pack};

use crate::Failure;
use crate::figures::{Figures, count, goal, time};
use crate::page::Page;
use crate::world::World;

/// Cells, and machines in each.
const CELLS: usize = 20;
const MACHINES: usize = 250;
/// Copies of one workload.
const COPIES: u32 = 50;
const ROUNDS: usize = 5;
const PROBLEMS: [u32; 6] = [100, 1_000, 4_000, 10_000, 50_000, 100_000];
/// What the others are divided by.
const NORMAL: u32 = 10_000;
/// What copies need, in thousandths of a processor and MiB.
const REQUESTS: [(u64, u64); 6] =
    [(100, 128), (250, 256), (250, 512), (500, 1_024), (1_000, 1_024), (1_000, 4_096)];

pub(crate) fn print(world: &World, page: &mut Page) -> Result<(), Failure> {
    let mut chance = Rng::with_seed(world.seed());
    let mut sites = world.sites(1_000);
    sites.truncate(CELLS);
    for site in &mut sites {
        site.machines = world.machines(site, MACHINES, &mut chance);
    }
    page.say(&format!(
        "{CELLS} cells of {MACHINES} machines, workloads of {COPIES} copies: each may go to four of five cells, the half of them \
         with ten copies in a cell at the most;\none thread, {ROUNDS} rounds, seed {}",
        world.seed()
    ))?;
    let problems = PROBLEMS.map(|copies| {
        let items = items(copies, sites.len(), &mut chance);
        let mut unplaced = 0;
        let seconds = Figures::of_rounds(ROUNDS, || {
            let packed = pack(&items, &Stalls::whole(&sites), &world.catalogue);
            unplaced = packed.unplaced.iter().sum();
        });
        (copies, seconds, unplaced)
    });
    // Time for one step of sorting so many copies: the same everywhere if time grows as sorting does.
    let step = |copies: u32, seconds: f64| seconds / (f64::from(copies) * f64::from(copies).log2());
    let normal = problems.iter().find(|(copies, ..)| *copies == NORMAL);
    let normal = normal.map_or(1.0, |(copies, seconds, _)| step(*copies, seconds.median()));
    let rows = problems.map(|(copies, seconds, unplaced)| {
        let [min, median, max] = seconds.told(time);
        let rate = f64::from(copies) / seconds.median();
        let normalised = step(copies, seconds.median()) / normal;
        [
            count(copies.into()),
            min,
            median,
            max,
            count(rate),
            goal("≥ 50,000", rate >= 50_000.0),
            format!("{normalised:.2}"),
            count(unplaced.into()),
        ]
    });
    page.table(
        ["copies", "min", "median", "max", "copies/s", "goal", "÷ n log₂ n", "unplaced"],
        &rows,
    )?;
    page.say(&format!(
        "  ÷ n log₂ n: the median divided by copies × log₂(copies), that of {} copies being 1",
        count(NORMAL.into())
    ))?;
    Ok(())
}

fn items(copies: u32, sites: usize, chance: &mut Rng) -> Vec<Item> {
    (0..copies / COPIES).map(|_| item(sites, chance)).collect()
}

fn item(sites: usize, chance: &mut Rng) -> Item {
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
}
