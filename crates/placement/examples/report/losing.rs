//! What if the largest datacenter were lost: all that it has is placed anew on the others, with a reason for every cell.

use std::sync::Arc;

use fastrand::Rng;
use kato_core::Timestamp;
use kato_placement::{Ask, Problem, Site, Standing, place};

use crate::figures::{Figures, count, float, goal, time};
use crate::page::Page;
use crate::world::World;
use crate::{Failure, drawn};

const DATACENTERS: usize = 20;
const MACHINES: usize = 250;
/// Copies of each workload in the lost datacenter, and in each of five others, where they stay.
const COPIES: u32 = 50;
const STAYING: u32 = 5;
const ROUNDS: usize = 5;
const INSTANCES: [usize; 3] = [1_000, 4_000, 10_000];

pub(crate) fn print(world: &World, page: &mut Page) -> Result<(), Failure> {
    let mut chance = Rng::with_seed(world.seed());
    let mut sites = world.sites(1_000);
    sites.truncate(DATACENTERS);
    for site in &mut sites {
        site.machines = world.machines(site, MACHINES, &mut chance);
    }
    let lost = chance.usize(..sites.len());
    sites[lost].available = false;
    page.say(&format!(
        "{DATACENTERS} datacenters of {MACHINES} machines, of which {} is lost with {COPIES} copies of each of its workloads; \
         one thread, {ROUNDS} rounds, seed {}",
        sites[lost].datacenter,
        world.seed()
    ))?;
    let mut rows = Vec::new();
    for instances in INSTANCES {
        let workloads = drawn::small(instances / COPIES as usize, 2 * COPIES)?;
        let ask = |workload| Ask {
            standings: (0..sites.len()).map(|site| standing(site, lost, &sites[site])).collect(),
            ..Ask::new(workload, COPIES)
        };
        let asks: Vec<Ask> = workloads.iter().map(ask).collect();
        let problem = Problem { asks: &asks, sites: &sites, budget: None, now: Timestamp(0) };
        let mut unplaced = 0;
        let seconds = Figures::of_rounds(ROUNDS, || {
            let solution = place(&problem, &world.catalogue);
            unplaced = solution.answers.iter().map(|answer| answer.unplaced).sum();
            solution
        });
        let [min, median, max] = seconds.told(time);
        let met = goal("≤ 1 s", seconds.median() <= 1.0);
        let copies = count(float(instances));
        rows.push([copies, min, median, max, met, count(unplaced.into())]);
    }
    page.table(["instances lost", "min", "median", "max", "goal", "unplaced"], &rows)?;
    Ok(())
}

/// A workload's copies that stay: some in every fourth of the other datacenters.
fn standing(site: usize, lost: usize, there: &Site) -> Standing {
    let stays = site != lost && site.is_multiple_of(4);
    let copies = stays.then(|| (Arc::clone(&there.machines[0].offer), STAYING));
    Standing { copies: copies.into_iter().collect(), home: false, refused: false }
}
