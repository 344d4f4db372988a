//! How far the packing is from what no placing can cost less than, for problems too large for the exact optimum: 200 to 1,000 copies.
//! Where it is dearer, a placing that rounds what the bound buys tells which of the two is to blame.

#[path = "../../tests/it/bound/mod.rs"]
pub(crate) mod bound;

use std::collections::BTreeMap;

use fastrand::Rng;
use kato_placement::Site;
use kato_placement::pack::{Item, Packed, Stalls, pack};

use crate::Failure;
use crate::figures::{Figures, count, float, goal, time, timed};
use crate::gap::{Sizes, draw, percent, percent_over};
use crate::page::Page;
use crate::world::World;

/// Problems that are drawn, unless said otherwise.
const PROBLEMS: usize = 200;
/// Programs that are solved for each at the most.
pub(crate) const NODES_MAX: usize = 200;
const SIZES: Sizes = Sizes { copies: 200..=1_000, kinds: 1..=6 };
/// The dearest of them that are told by number, and how many percent they are dearer at the least.
const DEAREST: usize = 12;
const DEAR_FROM: f64 = 1.0;

/// What became of a problem.
struct Outcome {
    number: usize,
    items: usize,
    copies: u32,
    /// What the engine's placing costs, the bound, the one without branches, and a placing that rounds what the bound buys, if that is cheaper.
    cost: i64,
    least: i64,
    relaxed: i64,
    cheaper: Option<i64>,
    seconds: f64,
    seconds_of_bound: f64,
}

impl Outcome {
    /// Percent beyond the bound.
    fn dearer(&self) -> f64 {
        percent_over(self.cost, self.least)
    }

    /// Percent beyond a placing that is known.
    fn surely_dearer(&self) -> f64 {
        self.cheaper.map_or(0.0, |cheaper| percent_over(self.cost, cheaper))
    }
}

pub(crate) fn print(world: &World, page: &mut Page) -> Result<(), Failure> {
    let problems = world.options.problems.unwrap_or(PROBLEMS);
    page.say(&format!(
        "problems of 200 to 1,000 copies of one to six items, three to eight regions; at most {NODES_MAX} programs for a bound; \
         seed {}",
        world.seed()
    ))?;
    let mut chance = Rng::with_seed(world.seed());
    let all = world.sites(1_000);
    let mut outcomes = Vec::new();
    for number in 1..=world.options.number.unwrap_or(problems) {
        let (items, sites) = draw(&mut chance, &all, &world.catalogue, &SIZES);
        if world.options.number.is_some_and(|only| only != number) {
            continue;
        }
        let (seconds, packed) = timed(|| pack(&items, &Stalls::whole(&sites), &world.catalogue));
        if packed.unplaced.iter().any(|copies| *copies > 0) {
            continue;
        }
        if world.options.number.is_some() {
            explain(world, page, (&items, &sites), &packed)?;
        }
        outcomes.push(outcome(world, number, (&items, &sites), (seconds, &packed)));
    }
    if outcomes.is_empty() {
        return page.say("what was drawn has copies that may be nowhere").map_err(Failure::from);
    }
    tell(page, &outcomes)?;
    outcomes.retain(|outcome| outcome.dearer() >= DEAR_FROM);
    outcomes.sort_by(|a, b| b.dearer().total_cmp(&a.dearer()));
    outcomes.truncate(DEAREST);
    tell_dearest(page, &outcomes)
}

fn outcome(
    world: &World,
    number: usize,
    (items, sites): (&[Item], &[Site]),
    (seconds, packed): (f64, &Packed),
) -> Outcome {
    let cost = packed.cost;
    let find = || bound::bound(items, sites, &world.catalogue, (cost, NODES_MAX));
    let (seconds_of_bound, found) = timed(find);
    assert!(
        cost >= found.least,
        "problem {number}: {cost} is less than the bound, {}",
        found.least
    );
    let rounded = (cost > found.least).then(|| bound::rounded(items, sites, &world.catalogue));
    let rounded = rounded.flatten().map(|(cost, _)| cost);
    Outcome {
        number,
        items: items.len(),
        copies: items.iter().map(|item| item.copies).sum(),
        cost,
        least: found.least,
        relaxed: found.relaxed,
        cheaper: rounded.filter(|rounded| *rounded < cost),
        seconds,
        seconds_of_bound,
    }
}

fn tell(page: &mut Page, outcomes: &[Outcome]) -> Result<(), Failure> {
    let figures = |of: fn(&Outcome) -> f64| Figures::new(outcomes.iter().map(of));
    let (gaps, surely) = (figures(Outcome::dearer), figures(Outcome::surely_dearer));
    let parts = figures(|it| percent_over(it.cost, it.relaxed));
    let met = gaps.median() <= 1.0 && gaps.max() <= 5.0;
    page.table(
        ["", "min", "median", "p90", "p99", "max", "goal"],
        &[
            gaps.row("dearer than the bound", percent, goal("median ≤ 1 %, worst ≤ 5 %", met)),
            parts.row("dearer than one that buys parts", percent, String::new()),
            surely.row("dearer than a placing that is known", percent, String::new()),
            figures(|it| it.seconds).row("time of the engine", time, String::new()),
            figures(|it| it.seconds_of_bound).row("time of the bound", time, String::new()),
        ],
    )?;
    let within = |percent: f64| {
        count(float(outcomes.iter().filter(|outcome| outcome.dearer() <= percent).count()))
    };
    let all = count(float(outcomes.len()));
    page.say(&format!(
        "  of {all}, {} within 0.01 % of the bound, {} within 0.1 %",
        within(0.01),
        within(0.1)
    ))?;
    Ok(())
}

fn tell_dearest(page: &mut Page, outcomes: &[Outcome]) -> Result<(), Failure> {
    if outcomes.is_empty() {
        return Ok(());
    }
    let row = |outcome: &Outcome| {
        [
            outcome.number.to_string(),
            outcome.items.to_string(),
            outcome.copies.to_string(),
            dollars(outcome.cost),
            dollars(outcome.least),
            outcome.cheaper.map(dollars).unwrap_or_default(),
            percent(outcome.dearer()),
            percent(outcome.surely_dearer()),
        ]
    };
    let rows: Vec<_> = outcomes.iter().map(row).collect();
    page.table(
        ["number", "items", "copies", "engine", "bound", "known", "over bound", "over known"],
        &rows,
    )?;
    page.say("  --number NUMBER tells one of them, with what the bound and the engine buy")?;
    Ok(())
}

/// The problem, and what is bought for it.
fn explain(
    world: &World,
    page: &mut Page,
    (items, sites): (&[Item], &[Site]),
    packed: &Packed,
) -> Result<(), Failure> {
    for (index, item) in items.iter().enumerate() {
        let dollars = |at: &Option<i64>| at.map_or("no".to_owned(), dollars);
        let at: Vec<String> = item.at.iter().map(dollars).collect();
        let Item { copies, request, wanted, .. } = item;
        let at = at.join(" ");
        page.say(&format!("item {index}: {copies} × {request}, spot {:?}, at {at}", wanted.spot))?;
    }
    for (index, site) in sites.iter().enumerate() {
        page.say(&format!("region {index}: {}", site.datacenter))?;
        for machine in &site.machines {
            let (kind, free, adds) = (&machine.offer.kind, machine.free, machine.adds);
            page.say(&format!("  runs {kind} with {free} free, adds {adds}"))?;
        }
    }
    page.say("the program without branches buys, parts of machines too:")?;
    bound::bought(items, sites, &world.catalogue)
        .iter()
        .try_for_each(|line| page.say(&format!("  {line}")))?;
    if let Some((cost, lines)) = bound::rounded(items, sites, &world.catalogue) {
        page.say(&format!("rounded, for {}:", dollars(cost)))?;
        say_counted(page, lines)?;
    }
    page.say(&format!("the engine buys, for {}:", dollars(packed.cost)))?;
    let used = packed.used.iter().map(|used| {
        let (offer, how) =
            (&used.offer, if used.machine.is_some() { "that runs" } else { "bought" });
        let load = used.load.iter().map(|(item, copies)| format!("{copies} of item {item}"));
        let (load, region) = (load.collect::<Vec<_>>().join(", "), &sites[used.stall].datacenter);
        format!("{region} {} {} {how}, {}: {load}", offer.kind, offer.market, used.price)
    });
    say_counted(page, used.collect())
}

/// Lines with how often each is there.
fn say_counted(page: &mut Page, lines: Vec<String>) -> Result<(), Failure> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for line in lines {
        *counts.entry(line).or_default() += 1;
    }
    counts.iter().try_for_each(|(line, count)| page.say(&format!("  {count:3} × {line}")))?;
    Ok(())
}

/// Billionths of a dollar as dollars.
fn dollars(fine: i64) -> String {
    #[allow(clippy::cast_precision_loss)] // for people
    let dollars = fine as f64 / 1e9;
    format!("${dollars:.4}")
}
