//! The optimum of one workload by trying every assignment, written without a look at the engine.

use std::sync::Arc;

use kato_core::{MicroDollars, Offer, Resources, Spread, WorkloadSpec};
use kato_placement::catalogue::admits;
use kato_placement::{ARCH, Site, Standing, latency::estimate_us};

/// A question about one workload.
pub(crate) struct Case<'a> {
    pub(crate) workload: &'a WorkloadSpec,
    pub(crate) sites: &'a [Site],
    pub(crate) standings: &'a [Standing],
    pub(crate) offers: &'a [Arc<Offer>],
}

/// A site while copies are put on it.
#[derive(Clone)]
struct Yard {
    /// What is free, what its first use costs, and the share that a copy pays.
    machines: Vec<(Resources, MicroDollars, MicroDollars)>,
    /// What was bought: what is free, the price, and how many copies are on it.
    bought: Vec<(Resources, MicroDollars, u32)>,
    copies: u32,
}

/// The most copies that fit, and the least sum of what they add and their latency.
pub(crate) fn best(case: &Case, copies: u32) -> (u32, MicroDollars) {
    let request = case.workload.request;
    let of = |(site, standing): (&Site, &Standing)| {
        let suited = site.machines.iter().filter(|machine| runs_on(case.workload, &machine.offer));
        let machines = suited.map(|m| (m.free, m.adds, share(request, &m.offer)));
        Yard { machines: machines.collect(), bought: Vec::new(), copies: standing.copies }
    };
    let mut yards: Vec<Yard> = case.sites.iter().zip(case.standings).map(of).collect();
    (0..=copies)
        .rev()
        .find_map(|copies| Some((copies, explore(case, &mut yards, copies)?)))
        .expect("nothing can always be placed")
}

/// The least that so many copies add, beside those that are placed.
fn explore(case: &Case, yards: &mut [Yard], left: u32) -> Option<MicroDollars> {
    if left == 0 {
        // Whoever shares a machine that is bought pays a part of it.
        let dear = |(_, price, copies): &(Resources, MicroDollars, u32)| {
            let max = case.workload.price_micros_per_hour_max;
            max.is_some_and(|max| price.0 > max.0 * i64::from(*copies))
        };
        let affordable = !yards.iter().flat_map(|yard| &yard.bought).any(dear);
        return affordable.then_some(MicroDollars::ZERO);
    }
    let mut best: Option<MicroDollars> = None;
    for index in 0..yards.len() {
        let site = &case.sites[index];
        if !allowed(case.workload, site, case.standings[index])
            || (case.workload.spread == Spread::Datacenter && yards[index].copies > 0)
        {
            continue;
        }
        for (yard, adds) in changes(case, site, &yards[index]) {
            let before = std::mem::replace(&mut yards[index], yard);
            let rest = explore(case, yards, left - 1);
            yards[index] = before;
            let sum = rest.map(|rest| rest + adds + latency_price(case.workload, site));
            best = match (best, sum) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        }
    }
    best
}

/// Every way to put one more copy on a site, and what it adds.
fn changes(case: &Case, site: &Site, yard: &Yard) -> Vec<(Yard, MicroDollars)> {
    let request = case.workload.request;
    let mut all = Vec::new();
    let mut consider = |adds: MicroDollars, change: &dyn Fn(&mut Yard)| {
        let mut next = yard.clone();
        next.copies += 1;
        change(&mut next);
        all.push((next, adds));
    };
    for (which, (free, adds, share)) in yard.machines.iter().enumerate() {
        let max = case.workload.price_micros_per_hour_max;
        if request.fits(*free) && max.is_none_or(|max| *share <= max) {
            consider(*adds, &|next| {
                let (free, _, share) = next.machines[which];
                next.machines[which] = (free - request, MicroDollars::ZERO, share);
            });
        }
    }
    for (which, (free, ..)) in yard.bought.iter().enumerate() {
        if request.fits(*free) {
            consider(MicroDollars::ZERO, &|next| {
                next.bought[which].0 = next.bought[which].0 - request;
                next.bought[which].2 += 1;
            });
        }
    }
    if yard.bought.len() < site.machines_to_buy_max as usize {
        let sold = |offer: &&Arc<Offer>| {
            site.regions.iter().any(|(p, r)| (p, r) == (&offer.provider, &offer.region))
                && runs_on(case.workload, offer)
                && request.fits(offer.capacity)
        };
        for offer in case.offers.iter().filter(sold) {
            let price = offer.price_micros_per_hour;
            consider(price, &|next| next.bought.push((offer.capacity - request, price, 1)));
        }
    }
    all
}

pub(crate) fn allowed(workload: &WorkloadSpec, site: &Site, standing: Standing) -> bool {
    let near = workload.latency_ms_max.is_none_or(|max| {
        workload.demand.iter().all(|demand| {
            u64::from(estimate_us(demand.at.distance_km(site.at))) <= u64::from(max) * 1_000
        })
    });
    site.available
        && !standing.refused
        && near
        && (workload.datacenters.is_empty() || workload.datacenters.contains(&site.datacenter))
        && (workload.spread == Spread::None || standing.copies == 0)
}

pub(crate) fn runs_on(workload: &WorkloadSpec, offer: &Offer) -> bool {
    offer.arch == ARCH && admits(workload.spot, offer.market)
}

pub(crate) fn share(request: Resources, offer: &Offer) -> MicroDollars {
    let share = i64::try_from(request.dominant_share_micro(offer.capacity)).unwrap();
    let exact = share * offer.price_micros_per_hour.0;
    MicroDollars(exact / 1_000_000 + i64::from(exact % 1_000_000 != 0))
}

pub(crate) fn latency_price(workload: &WorkloadSpec, site: &Site) -> MicroDollars {
    let demand = &workload.demand;
    let weights: u64 = demand.iter().map(|demand| u64::from(demand.weight_milli)).sum();
    if weights == 0 {
        return MicroDollars::ZERO;
    }
    let sum: u64 = demand
        .iter()
        .map(|d| u64::from(estimate_us(d.at.distance_km(site.at))) * u64::from(d.weight_milli))
        .sum();
    let mean_us = i64::try_from((sum + weights / 2) / weights).unwrap();
    let price = workload.latency_price_micros_per_ms_hour.0;
    MicroDollars((mean_us * price + 500) / 1_000)
}
