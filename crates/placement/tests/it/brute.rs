//! The optimum of one workload by trying every assignment, written without a look at the engine.

use std::collections::BTreeMap;
use std::sync::Arc;

use kato_core::{
    Arch, Level, Market, MicroDollars, Offer, Preferred, ProviderName, Resources, SpotPolicy,
    Spread, Timestamp, WorkloadSpec,
};
use kato_placement::{Site, Standing, latency::estimate_us};

/// A question about one workload.
pub(crate) struct Case<'a> {
    pub(crate) workload: &'a WorkloadSpec,
    pub(crate) sites: &'a [Site],
    pub(crate) standings: &'a [Standing],
    pub(crate) offers: &'a [Arc<Offer>],
    /// The most that the machines which are bought may cost together.
    pub(crate) budget: Option<MicroDollars>,
    pub(crate) now: Timestamp,
}

/// A machine that runs: what is free, what its first use costs, and the share that a copy pays.
#[derive(Clone)]
struct Machine {
    free: Resources,
    adds: MicroDollars,
    share: MicroDollars,
    offer: Arc<Offer>,
}

/// A site while copies are put on it.
#[derive(Clone)]
struct Yard {
    machines: Vec<Machine>,
    /// What was bought: what is free, the offer, and how many copies are on it.
    bought: Vec<(Resources, Arc<Offer>, u32)>,
}

/// The most copies that fit, and the least sum of what they add, their latency, and what they miss.
pub(crate) fn best(case: &Case, copies: u32) -> (u32, MicroDollars) {
    let request = case.workload.request;
    let of = |site: &Site| {
        let suited = site.machines.iter().filter(|machine| runs_on(case.workload, &machine.offer));
        let machines = suited.map(|m| Machine {
            free: m.free,
            adds: m.adds,
            share: share(request, &m.offer),
            offer: Arc::clone(&m.offer),
        });
        Yard { machines: machines.collect(), bought: Vec::new() }
    };
    let mut yards: Vec<Yard> = case.sites.iter().map(of).collect();
    let mut placed = Vec::new();
    (0..=copies)
        .rev()
        .find_map(|copies| Some((copies, explore(case, &mut yards, &mut placed, copies)?)))
        .expect("nothing can always be placed")
}

/// Copies by site and by what they are on.
type Placed = Vec<(usize, Arc<Offer>)>;

/// The least that so many copies add, beside those that are placed.
fn explore(
    case: &Case,
    yards: &mut [Yard],
    placed: &mut Placed,
    left: u32,
) -> Option<MicroDollars> {
    if left == 0 {
        // Whoever shares a machine that is bought pays a part of it.
        let dear = |(_, offer, copies): &(Resources, Arc<Offer>, u32)| {
            let max = case.workload.price_micros_per_hour_max;
            max.is_some_and(|max| offer.price_micros_per_hour.0 > max.0 * i64::from(*copies))
        };
        let bought = yards.iter().flat_map(|yard| &yard.bought);
        let price: MicroDollars =
            bought.clone().map(|(_, offer, _)| offer.price_micros_per_hour).sum();
        let affordable = !bought.clone().any(dear) && case.budget.is_none_or(|most| price <= most);
        return affordable.then(|| excess(case, placed));
    }
    let mut best: Option<MicroDollars> = None;
    for index in 0..yards.len() {
        let site = &case.sites[index];
        if !allowed(case.workload, site, &case.standings[index]) {
            continue;
        }
        for (yard, adds, offer) in changes(case, site, &yards[index]) {
            let missed = preference(case.workload, site, &offer.provider);
            placed.push((index, offer));
            if within_limits(case, placed) {
                let before = std::mem::replace(&mut yards[index], yard);
                let rest = explore(case, yards, placed, left - 1);
                yards[index] = before;
                let beside = adds + latency_price(case.workload, site) + missed;
                best = match (best, rest.map(|rest| rest + beside)) {
                    (Some(a), Some(b)) => Some(a.min(b)),
                    (a, b) => a.or(b),
                };
            }
            placed.pop();
        }
    }
    best
}

/// How many copies are together, by what they are together under; those that were there before are counted.
pub(crate) fn counts(case: &Case, rule: &Spread, placed: &Placed) -> BTreeMap<String, u32> {
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for (index, standing) in case.standings.iter().take(case.sites.len()).enumerate() {
        for (offer, copies) in &standing.copies {
            *counts.entry(together(rule.over, &case.sites[index], offer)).or_default() += copies;
        }
    }
    for (index, offer) in placed {
        *counts.entry(together(rule.over, &case.sites[*index], offer)).or_default() += 1;
    }
    if rule.over == Level::Pool {
        // What is on demand is together with nothing.
        counts.remove("");
    }
    counts
}

fn together(over: Level, site: &Site, offer: &Offer) -> String {
    match over {
        Level::Provider => offer.provider.to_string(),
        Level::Pool if offer.market == Market::OnDemand => String::new(),
        Level::Pool => format!("{} {} {}", offer.kind, offer.region, offer.provider),
        Level::Datacenter => site.datacenter.to_string(),
        Level::Zone => {
            format!("{}.{}", site.zone.clone().unwrap_or_default(), site.datacenter)
        }
        Level::Cell => format!("{}.{}", site.cell, site.datacenter),
    }
}

/// Whether every group that got a copy has no more than it may.
pub(crate) fn within_limits(case: &Case, placed: &Placed) -> bool {
    let rules = &case.workload.rules;
    let staying = case.standings.iter().take(case.sites.len()).flat_map(|there| &there.copies);
    let all = staying.map(|(offer, copies)| (offer, *copies));
    let all = all.chain(placed.iter().map(|(_, offer)| (offer, 1)));
    let spot: u32 = all.filter(|(offer, _)| offer.market == Market::Spot).map(|(_, n)| n).sum();
    let more = placed.iter().any(|(_, offer)| offer.market == Market::Spot);
    if rules.on_demand_min.is_some() && more && spot > rules.on_spot_max(case.workload.count) {
        return false;
    }
    rules.spreads.iter().filter(|rule| rule.excess_micros_per_hour.is_none()).all(|rule| {
        let counts = counts(case, rule, placed);
        placed.iter().all(|(index, offer)| {
            let name = together(rule.over, &case.sites[*index], offer);
            let most = rule.most_in(&name, case.workload.count);
            counts.get(&name).is_none_or(|count| *count <= most)
        })
    })
}

/// What the copies cost that are more than may be together for nothing: those that were there already cost nothing more.
pub(crate) fn excess(case: &Case, placed: &Placed) -> MicroDollars {
    let mut sum = 0;
    for rule in &case.workload.rules.spreads {
        let Some(price) = rule.excess_micros_per_hour else { continue };
        let before = counts(case, rule, &Vec::new());
        for (name, count) in counts(case, rule, placed) {
            let most = rule.most_in(&name, case.workload.count);
            let beyond = |count: u32| i64::from(count.saturating_sub(most));
            sum += price.0 * (beyond(count) - beyond(before.get(&name).copied().unwrap_or(0)));
        }
    }
    MicroDollars(sum)
}

/// Every way to put one more copy on a site, what it adds, and what it is on.
fn changes(case: &Case, site: &Site, yard: &Yard) -> Vec<(Yard, MicroDollars, Arc<Offer>)> {
    let request = case.workload.request;
    let mut all = Vec::new();
    for (which, machine) in yard.machines.iter().enumerate() {
        let max = case.workload.price_micros_per_hour_max;
        if request.fits(machine.free) && max.is_none_or(|max| machine.share <= max) {
            let mut next = yard.clone();
            next.machines[which].free = machine.free - request;
            next.machines[which].adds = MicroDollars::ZERO;
            all.push((next, machine.adds, Arc::clone(&machine.offer)));
        }
    }
    for (which, (free, offer, _)) in yard.bought.iter().enumerate() {
        if request.fits(*free) {
            let mut next = yard.clone();
            next.bought[which].0 = *free - request;
            next.bought[which].2 += 1;
            all.push((next, MicroDollars::ZERO, Arc::clone(offer)));
        }
    }
    if yard.bought.len() < site.machines_to_buy_max as usize {
        let sold = |offer: &&Arc<Offer>| {
            site.regions.iter().any(|(p, r)| (p, r) == (&offer.provider, &offer.region))
                && is_sold_to(case.workload, offer, case.now)
                && request.fits(offer.capacity)
        };
        for offer in case.offers.iter().filter(sold) {
            let mut next = yard.clone();
            next.bought.push((offer.capacity - request, Arc::clone(offer), 1));
            all.push((next, price_over(case.workload, offer), Arc::clone(offer)));
        }
    }
    all
}

/// What a machine comes to by the hour of a stay, of which the last that is begun is paid whole.
pub(crate) fn price_over(workload: &WorkloadSpec, offer: &Offer) -> MicroDollars {
    let stay_s = i64::try_from(workload.rules.stay_s.unwrap_or(86_400)).unwrap();
    let billed_s = i64::from(offer.terms.billed_s.unwrap_or(1));
    let paid_s = (stay_s + billed_s - 1) / billed_s * billed_s;
    MicroDollars(offer.price_micros_per_hour.0 * paid_s / stay_s)
}

pub(crate) fn allowed(workload: &WorkloadSpec, site: &Site, standing: &Standing) -> bool {
    let rules = &workload.rules;
    let anywhere = rules.countries.is_empty() && rules.continents.is_empty();
    let within = site.country.is_some_and(|country| {
        rules.countries.contains(&country) || rules.continents.contains(&country.continent())
    });
    site.available
        && !standing.refused
        && is_near(workload, site)
        && (anywhere || within)
        && rules.labels.iter().all(|(key, value)| site.labels.get(key) == Some(value))
        && (workload.datacenters.is_empty() || workload.datacenters.contains(&site.datacenter))
}

/// Whether so much of the demand as counts is within the bound.
fn is_near(workload: &WorkloadSpec, site: &Site) -> bool {
    let Some(max) = workload.latency_ms_max else { return true };
    let within = |at: kato_core::Coordinates| {
        u64::from(estimate_us(at.distance_km(site.at))) <= u64::from(max) * 1_000
    };
    let Some(percent) = workload.rules.latency_percentile else {
        return workload.demand.iter().all(|demand| within(demand.at));
    };
    let weight = |near: bool| -> u64 {
        let counted = workload.demand.iter().filter(|demand| !near || within(demand.at));
        counted.map(|demand| u64::from(demand.weight_milli)).sum()
    };
    weight(true) * 100 >= weight(false) * u64::from(percent)
}

fn within(of: Option<u32>, most: Option<u32>) -> bool {
    most.is_none_or(|most| of.is_some_and(|of| of <= most))
}

/// Whether a workload may run on a machine that runs already.
pub(crate) fn runs_on(workload: &WorkloadSpec, offer: &Offer) -> bool {
    let rules = &workload.rules;
    let market = match workload.spot {
        SpotPolicy::Allowed => true,
        SpotPolicy::Required => offer.market == Market::Spot,
        SpotPolicy::Never => offer.market == Market::OnDemand,
    };
    let plain = rules.arches.is_empty() && offer.arch == Arch::X86_64;
    let arch = plain || rules.arches.contains(&offer.arch);
    let gpu =
        rules.gpus.is_empty() || offer.gpu.as_ref().is_some_and(|gpu| rules.gpus.contains(gpu));
    let stays = offer.market == Market::OnDemand
        || within(offer.terms.interruption_percent, rules.terms.interruption_percent);
    market
        && stays
        && arch
        && gpu
        && (rules.providers.is_empty() || rules.providers.contains(&offer.provider))
}

/// Whether it may be bought for a workload.
pub(crate) fn is_sold_to(workload: &WorkloadSpec, offer: &Offer, now: Timestamp) -> bool {
    let fresh = |age_s: u64| offer.priced_at.0 + age_s * 1_000 >= now.0;
    runs_on(workload, offer)
        && within(offer.terms.billed_s, workload.rules.terms.billed_s)
        && workload.rules.price_age_s_max.is_none_or(fresh)
}

pub(crate) fn share(request: Resources, offer: &Offer) -> MicroDollars {
    let share = i128::from(request.dominant_share_micro(offer.capacity));
    let exact = share * i128::from(offer.price_micros_per_hour.0);
    // What is asked for and not there at all has no share that could be paid.
    MicroDollars(i64::try_from((exact + 999_999) / 1_000_000).unwrap_or(i64::MAX))
}

/// What is preferred to a machine of this provider at this site.
pub(crate) fn preference(
    workload: &WorkloadSpec,
    site: &Site,
    provider: &ProviderName,
) -> MicroDollars {
    let is_met = |what: &Preferred| match what {
        Preferred::Datacenter(name) => site.datacenter == *name,
        Preferred::Provider(name) => provider == name,
        Preferred::Country(country) => site.country == Some(*country),
        Preferred::Continent(continent) => {
            site.country.map(kato_core::Country::continent) == Some(*continent)
        }
        Preferred::Label(key, value) => site.labels.get(key) == Some(value),
    };
    let missed = workload.rules.preferences.iter().filter(|preference| !is_met(&preference.what));
    missed.map(|preference| preference.worth_micros_per_hour).sum()
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
