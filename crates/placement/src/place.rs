//! The decision: which datacenters take the copies, at which price, and why not the others.
//!
//! Hard constraints first, then one objective in micro-dollars an hour: the price of the copy and its
//! priced latency. Copies are identical and each takes one slot (a share of a running machine, or a
//! machine to buy), so taking the cheapest slot again and again gives the least total.

mod demand;
mod slot;

use std::cmp::Ordering;
use std::sync::Arc;

use kato_core::{
    Arch, COUNT_MAX, Candidate, Coordinates, DatacenterName, Decision, MicroDollars, Offer,
    ProviderName, Quote, Refusal, RegionName, Resources, Spread, Timestamp, Verdict, WorkloadSpec,
};

use crate::catalogue::Catalogue;
use demand::{Demands, Latency};
use slot::Slot;
pub use slot::suits;

/// The processor that machines must have. A unit file does not say yet which ones its programs are
/// built for, and a wrong guess starts nothing.
pub const ARCH: Arch = Arch::X86_64;

/// What is to be placed, and where it may go.
#[derive(Debug, Clone, Copy)]
pub struct Problem<'a> {
    /// What the user asked for.
    pub workload: &'a WorkloadSpec,
    /// How many copies to place now; what is over `COUNT_MAX` stays unplaced.
    pub copies: u32,
    /// Every datacenter, each once, in any order.
    pub sites: &'a [Site],
    /// The time that the decision is stamped with.
    pub now: Timestamp,
}

/// A datacenter as its coordinator reports it.
#[derive(Debug, Clone)]
pub struct Site {
    /// Which.
    pub name: DatacenterName,
    /// Where it is.
    pub at: Coordinates,
    /// What it can buy from, in any order.
    pub regions: Vec<(ProviderName, RegionName)>,
    /// Whether it is neither lost nor suspended.
    pub available: bool,
    /// Whether it said lately that it has no room for this workload.
    pub refused: bool,
    /// Its running machines, in any order.
    pub machines: Vec<Room>,
    /// The most machines that it may buy now.
    pub machines_to_buy_max: u32,
    /// How many copies of this workload it has already.
    pub copies: u32,
    /// Whether a copy that is to be placed runs here now: among equals it stays.
    pub home: bool,
}

/// A running machine and what is free on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// What was bought.
    pub offer: Arc<Offer>,
    /// What is left of its capacity.
    pub free: Resources,
    /// Whether it runs something that stays: it is paid for whatever else goes on it.
    pub in_use: bool,
}

/// The answer to a problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Solution {
    /// Why: every datacenter with what became of it.
    pub decision: Decision,
    /// The copies that were placed, the cheapest first.
    pub placements: Vec<Chosen>,
    /// The copies that fit nowhere.
    pub unplaced: u32,
}

/// One copy's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// Where it goes.
    pub datacenter: DatacenterName,
    /// On what and for how much.
    pub quote: Quote,
}

/// Places the copies of `problem` with the offers of `catalogue`. The same problem gives the same
/// solution, in whatever order its datacenters, machines and offers come.
pub fn place(problem: &Problem, catalogue: &Catalogue) -> Solution {
    let demands = Demands::new(problem.workload);
    let mut slots = Vec::with_capacity(problem.sites.len());
    let mut assessed: Vec<Assessed> = problem
        .sites
        .iter()
        .enumerate()
        .map(|(index, site)| assess(problem, &demands, catalogue, index, site, &mut slots))
        .collect();
    let (taken, placed) = take_cheapest(slots, problem.copies.min(COUNT_MAX), problem.sites);
    let unplaced = problem.copies - placed;
    let placements = taken
        .into_iter()
        .flat_map(|(slot, copies)| {
            let assessed = &mut assessed[slot.site];
            assessed.chosen += copies;
            let datacenter = &assessed.site.name;
            let chosen = Chosen { datacenter: datacenter.clone(), quote: assessed.quote(slot) };
            std::iter::repeat_n(chosen, copies as usize)
        })
        .collect();
    let latency_price_micros_per_ms_hour = problem.workload.latency_price_micros_per_ms_hour;
    let candidates = candidates(assessed);
    let decision = Decision { at: problem.now, latency_price_micros_per_ms_hour, candidates };
    Solution { decision, placements, unplaced }
}

/// A datacenter with what is known about it.
struct Assessed<'a> {
    site: &'a Site,
    latency: Option<Latency>,
    latency_price: MicroDollars,
    /// The cheapest slot, whether or not the datacenter may be chosen.
    best: Option<Slot<'a>>,
    refusal: Option<Refusal>,
    chosen: u32,
}

impl Assessed<'_> {
    fn quote(&self, slot: Slot) -> Quote {
        Quote {
            offer: Arc::clone(slot.offer),
            source: slot.source,
            price_micros_per_hour: slot.price,
            latency_micros_per_hour: self.latency_price,
        }
    }

    /// Feasible before refused; then by total; then by name.
    fn compare(&self, other: &Self) -> Ordering {
        let total = |assessed: &Self| {
            let feasible = assessed.refusal.is_none();
            assessed.best.filter(|_| feasible).map_or(MicroDollars::ZERO, |slot| slot.total)
        };
        (self.refusal.is_some(), total(self), &self.site.name).cmp(&(
            other.refusal.is_some(),
            total(other),
            &other.site.name,
        ))
    }
}

/// Puts one datacenter through the hard constraints, and its slots that pass into `slots`.
fn assess<'a>(
    problem: &Problem<'a>,
    demands: &Demands,
    catalogue: &'a Catalogue,
    index: usize,
    site: &'a Site,
    slots: &mut Vec<Slot<'a>>,
) -> Assessed<'a> {
    let workload = problem.workload;
    let latency = demands.latency(site.at);
    let latency_price =
        latency.map_or(MicroDollars::ZERO, |l| l.price(workload.latency_price_micros_per_ms_hour));
    let mut assessed =
        Assessed { site, latency, latency_price, best: None, refusal: None, chosen: 0 };
    // What is not reachable or not allowed has no quote: nothing there would do.
    if !workload.datacenters.is_empty() && !workload.datacenters.contains(&site.name) {
        assessed.refusal = Some(Refusal::NotAllowed);
        return assessed;
    }
    if !site.available {
        assessed.refusal = Some(Refusal::Unavailable);
        return assessed;
    }
    let first = slots.len();
    slot::find(workload, catalogue, index, site, latency_price, slots);
    let here = slots[first..].iter();
    assessed.best = here.min_by(|a, b| a.compare_within_site(b)).copied();
    assessed.refusal = refusal(problem, catalogue, site, latency, assessed.best);
    match (&assessed.refusal, assessed.best, workload.spread) {
        (Some(_), _, _) | (_, None, _) => slots.truncate(first),
        (None, Some(best), Spread::Datacenter) => {
            slots.truncate(first);
            slots.push(Slot { copies: 1, ..best });
        }
        (None, Some(_), Spread::None) => {
            if let Some(max) = workload.price_micros_per_hour_max {
                let here = slots.split_off(first);
                slots.extend(here.into_iter().filter(|slot| slot.price <= max));
            }
        }
    }
    assessed
}

/// The first hard constraint that removes `site`.
fn refusal(
    problem: &Problem,
    catalogue: &Catalogue,
    site: &Site,
    latency: Option<Latency>,
    best: Option<Slot>,
) -> Option<Refusal> {
    let workload = problem.workload;
    if let (Some(latency), Some(latency_ms_max)) = (latency, workload.latency_ms_max)
        && u64::from(latency.farthest_us) > u64::from(latency_ms_max) * 1_000
    {
        return Some(Refusal::TooFar { latency_us: latency.farthest_us, latency_ms_max });
    }
    if workload.spread == Spread::Datacenter && site.copies > 0 {
        return Some(Refusal::Spread);
    }
    let Some(best) = best else {
        return Some(slot::why_none(workload, catalogue, site));
    };
    let price_micros_per_hour = best.price;
    match workload.price_micros_per_hour_max {
        Some(max_micros_per_hour) if price_micros_per_hour > max_micros_per_hour => {
            Some(Refusal::TooExpensive { price_micros_per_hour, max_micros_per_hour })
        }
        // Last, because it passes: the other reasons hold whatever room there is.
        _ => site.refused.then_some(Refusal::RefusedByCell),
    }
}

/// The cheapest slots for `copies`, each with how many it takes, and how many all take.
fn take_cheapest<'a>(
    mut slots: Vec<Slot<'a>>,
    copies: u32,
    sites: &[Site],
) -> (Vec<(Slot<'a>, u32)>, u32) {
    let order = |a: &Slot, b: &Slot| {
        let rank = |slot: &Slot| (slot.total, !sites[slot.site].home, &sites[slot.site].name);
        rank(a).cmp(&rank(b)).then_with(|| a.compare_within_site(b))
    };
    // Each slot takes a copy at least, so no more than `copies` of them are needed in order.
    let needed = copies as usize;
    if needed < slots.len() {
        slots.select_nth_unstable_by(needed, order);
        slots.truncate(needed);
    }
    slots.sort_unstable_by(order);
    let mut left = copies;
    let mut taken = Vec::with_capacity(slots.len());
    for slot in slots {
        let here = slot.copies.min(left);
        left -= here;
        if here > 0 {
            taken.push((slot, here));
        }
    }
    (taken, copies - left)
}

fn candidates(mut assessed: Vec<Assessed>) -> Vec<Candidate> {
    assessed.sort_unstable_by(Assessed::compare);
    let candidate = |mut assessed: Assessed| Candidate {
        datacenter: assessed.site.name.clone(),
        latency_us: assessed.latency.map(|latency| latency.mean_us),
        quote: assessed.best.map(|best| assessed.quote(best)),
        verdict: match (assessed.refusal.take(), assessed.chosen) {
            (Some(refusal), _) => Verdict::Refused(refusal),
            (None, 0) => Verdict::Costlier,
            (None, chosen) => Verdict::Chosen(chosen),
        },
    };
    assessed.into_iter().map(candidate).collect()
}
