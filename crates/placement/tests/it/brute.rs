//! The optimum by trying every assignment, written without a look at the engine's own slots.

use std::sync::Arc;

use kato_core::{MicroDollars, Offer, Resources, SpotPolicy, Spread};
use kato_placement::catalogue::admits;
use kato_placement::{ARCH, Problem, Room, Site, latency::estimate_us};

/// The most copies that fit, and the least sum of their totals.
pub(crate) fn best(problem: &Problem, offers: &[Arc<Offer>]) -> (u32, MicroDollars) {
    let state: Vec<(Vec<Room>, u32, u32)> = problem
        .sites
        .iter()
        .map(|site| (site.machines.clone(), site.machines_to_buy_max, site.copies))
        .collect();
    explore(problem, offers, &state, problem.copies)
}

/// Places one copy in every way that is allowed, and the rest after it.
fn explore(
    problem: &Problem,
    offers: &[Arc<Offer>],
    state: &[(Vec<Room>, u32, u32)],
    left: u32,
) -> (u32, MicroDollars) {
    let mut best = (0, MicroDollars::ZERO);
    if left == 0 {
        return best;
    }
    let mut consider = |site: usize, price: MicroDollars, next: Vec<(Vec<Room>, u32, u32)>| {
        let cost = price + latency_price(problem, &problem.sites[site]);
        let (placed, rest) = explore(problem, offers, &next, left - 1);
        let found = (placed + 1, cost + rest);
        if found.0 > best.0 || (found.0 == best.0 && found.1 < best.1) {
            best = found;
        }
    };
    for (index, site) in problem.sites.iter().enumerate() {
        let (machines, to_buy, copies) = &state[index];
        if !allowed(problem, site, *copies) {
            continue;
        }
        for (which, machine) in machines.iter().enumerate() {
            if !runs_on(problem, &machine.offer) || !problem.workload.request.fits(machine.free) {
                continue;
            }
            let price = share(problem.workload.request, &machine.offer);
            if affordable(problem, price) {
                let mut next = state.to_vec();
                next[index].0[which].free = machine.free - problem.workload.request;
                next[index].2 += 1;
                consider(index, price, next);
            }
        }
        let sold = |offer: &&Arc<Offer>| {
            site.regions.iter().any(|(p, r)| (p, r) == (&offer.provider, &offer.region))
                && runs_on(problem, offer)
                && problem.workload.request.fits(offer.capacity)
        };
        let price = offers.iter().filter(sold).map(|offer| offer.price_micros_per_hour).min();
        if let Some(price) = price.filter(|price| *to_buy > 0 && affordable(problem, *price)) {
            let mut next = state.to_vec();
            next[index].1 -= 1;
            next[index].2 += 1;
            consider(index, price, next);
        }
    }
    best
}

pub(crate) fn allowed(problem: &Problem, site: &Site, copies: u32) -> bool {
    let workload = problem.workload;
    let near = workload.latency_ms_max.is_none_or(|max| {
        workload.demand.iter().all(|demand| {
            u64::from(estimate_us(demand.at.distance_km(site.at))) <= u64::from(max) * 1_000
        })
    });
    site.available
        && !site.refused
        && near
        && (workload.datacenters.is_empty() || workload.datacenters.contains(&site.name))
        && (workload.spread == Spread::None || copies == 0)
}

pub(crate) fn runs_on(problem: &Problem, offer: &Offer) -> bool {
    let spot: SpotPolicy = problem.workload.spot;
    offer.arch == ARCH && admits(spot, offer.market)
}

pub(crate) fn affordable(problem: &Problem, price: MicroDollars) -> bool {
    problem.workload.price_micros_per_hour_max.is_none_or(|max| price <= max)
}

pub(crate) fn share(request: Resources, offer: &Offer) -> MicroDollars {
    let share = i64::try_from(request.dominant_share_micro(offer.capacity)).unwrap();
    let exact = share * offer.price_micros_per_hour.0;
    MicroDollars(exact / 1_000_000 + i64::from(exact % 1_000_000 != 0))
}

fn latency_price(problem: &Problem, site: &Site) -> MicroDollars {
    let demand = &problem.workload.demand;
    let weights: u64 = demand.iter().map(|demand| u64::from(demand.weight_milli)).sum();
    if weights == 0 {
        return MicroDollars::ZERO;
    }
    let sum: u64 = demand
        .iter()
        .map(|d| u64::from(estimate_us(d.at.distance_km(site.at))) * u64::from(d.weight_milli))
        .sum();
    let mean_us = i64::try_from((sum + weights / 2) / weights).unwrap();
    let price = problem.workload.latency_price_micros_per_ms_hour.0;
    MicroDollars((mean_us * price + 500) / 1_000)
}
