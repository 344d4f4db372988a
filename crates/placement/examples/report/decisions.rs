//! Single decisions: one copy of one workload, with every cell and a reason for each in the answer.

use std::hint::black_box;

use kato_core::Timestamp;
use kato_placement::catalogue::Wanted;
use kato_placement::{Ask, Problem, place};

use crate::figures::{Figures, count, float, goal, time, timed};
use crate::page::Page;
use crate::world::World;
use crate::{Failure, drawn};

const ROUNDS: usize = 21;
const CALLS_IN_ROUND: usize = 4_000;

pub(crate) fn print(world: &World, page: &mut Page) -> Result<(), Failure> {
    let sites = world.sites(4);
    let workloads = drawn::mixed(48)?;
    page.say(&format!(
        "{} datacenters, {} workloads in turn with one to three places of demand; one thread, {ROUNDS} rounds of {}",
        sites.len(),
        workloads.len(),
        count(float(CALLS_IN_ROUND)),
    ))?;
    let decide = |call: usize| {
        let asks = [Ask::new(&workloads[call % workloads.len()], 1)];
        let problem = Problem { asks: &asks, sites: &sites, budget: None, now: Timestamp(0) };
        black_box(place(black_box(&problem), &world.catalogue));
    };
    let wanted: Vec<Wanted> =
        workloads.iter().map(|workload| Wanted::by(workload, Timestamp(0))).collect();
    let look_up = |call: usize| {
        let (provider, region) = &sites[call % sites.len()].regions[0];
        let request = black_box(workloads[call % workloads.len()].request);
        let wanted = &wanted[call % wanted.len()];
        black_box(world.catalogue.cheapest(provider, region, request, wanted));
    };
    let each = Figures::new((0..ROUNDS * CALLS_IN_ROUND).map(|call| timed(|| decide(call)).0));
    let of_rounds = rounds(decide);
    let look_ups = rounds(look_up);
    page.table(
        ["", "min", "median", "p99", "max", "goal"],
        &[
            [
                "one decision".to_owned(),
                time(each.min()),
                time(each.median()),
                time(each.at(990)),
                time(each.max()),
                goal("≤ 100 µs", each.median() <= 100e-6),
            ],
            rates("decisions a second", &of_rounds),
            rates("look-ups of the cheapest offer a second", &look_ups),
        ],
    )?;
    Ok(())
}

/// How many calls a second there were, round by round.
fn rounds(call: impl Fn(usize)) -> Figures {
    let seconds = Figures::of_rounds(ROUNDS, || (0..CALLS_IN_ROUND).for_each(&call));
    seconds.map(|seconds| float(CALLS_IN_ROUND) / seconds)
}

fn rates(what: &str, figures: &Figures) -> [String; 6] {
    let [min, median, max] = figures.told(count);
    [what.to_owned(), min, median, String::new(), max, String::new()]
}
