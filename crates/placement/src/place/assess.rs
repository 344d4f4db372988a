//! What is known of each cell for a workload before anything is packed: whether it may go there, and what it costs there
//! beside the machine.

use std::sync::Arc;

use kato_core::{MicroDollars, Neighbour, Preferred, Refusal, WorkloadSpec};

use super::demand::{Demands, Latency};
use super::stalls::name;
use super::{Ask, Site};
use crate::catalogue::Wanted;
use crate::pack::{FINE, share_of_price};

/// A cell with what is known about it.
pub(super) struct Assessed<'a> {
    pub(super) site: &'a Site,
    /// Whether its datacenter has other cells.
    pub(super) one_of_several: bool,
    pub(super) latency: Option<Latency>,
    pub(super) latency_price: MicroDollars,
    /// What is preferred to it, but for providers.
    pub(super) preference: MicroDollars,
    /// What moving there costs.
    pub(super) moving: MicroDollars,
    /// What removed it, whatever it has or sells.
    pub(super) refusal: Option<Refusal>,
    /// Whether it said that it has no room.
    pub(super) refused: bool,
    /// Decides between cells that cost the same, in billionths of a dollar.
    rank: i64,
}

impl Assessed<'_> {
    /// What a copy costs there beside its machine, in billionths of a dollar; none where it may not go.
    pub(super) fn beside(&self) -> Option<i64> {
        let allowed = self.refusal.is_none() && !self.refused;
        let sum = self.latency_price + self.preference + self.moving;
        allowed.then(|| sum.0.saturating_mul(FINE).saturating_add(self.rank))
    }

    /// Whether nothing there would do, so that there is nothing to quote.
    pub(super) fn is_closed(&self) -> bool {
        let closed = |refusal: &Refusal| {
            matches!(
                refusal,
                Refusal::NotAllowed
                    | Refusal::Unavailable
                    | Refusal::Country(_)
                    | Refusal::Label { .. }
                    | Refusal::Neighbour { .. }
            )
        };
        self.refusal.as_ref().is_some_and(closed)
    }
}

/// Puts every site, by its place in the problem, through the constraints that do not ask for room.
pub(super) fn assess<'a>(
    ask: &Ask<'a>,
    wanted: &Wanted,
    order: &[usize],
    sites: &[&'a Site],
) -> Vec<Assessed<'a>> {
    let workload = ask.workload;
    let demands = Demands::new(workload, sites);
    let moving = workload.rules.move_micros_per_hour();
    let settled = ask.standings.iter().any(|standing| standing.home);
    let shares: Vec<_> = sites.iter().map(|site| least_share(workload, wanted, site)).collect();
    let of = |(at, (index, site)): (usize, (&usize, &&'a Site))| {
        let standing = ask.standings.get(*index);
        let home = standing.is_some_and(|standing| standing.home);
        let latency = demands.latency(site);
        let price = workload.latency_price_micros_per_ms_hour;
        Assessed {
            site,
            one_of_several: is_one_of_several(sites, at),
            latency,
            latency_price: latency.map_or(MicroDollars::ZERO, |latency| latency.price(price)),
            preference: preference(workload, site),
            moving: if settled && !home { moving } else { MicroDollars::ZERO },
            refusal: refusal(workload, site, latency)
                .or_else(|| neighbour(ask, site, order, sites)),
            refused: standing.is_some_and(|standing| standing.refused),
            rank: rank(shares[at], &shares),
        }
    };
    order.iter().zip(sites).enumerate().map(of).collect()
}

/// Whether a datacenter has other cells beside the one at a place: they are sorted.
fn is_one_of_several(sites: &[&Site], at: usize) -> bool {
    let same =
        |other: Option<&&Site>| other.is_some_and(|other| other.datacenter == sites[at].datacenter);
    same(sites.get(at + 1)) || at > 0 && same(sites.get(at - 1))
}

/// The first hard constraint that removes a site.
fn refusal(workload: &WorkloadSpec, site: &Site, latency: Option<Latency>) -> Option<Refusal> {
    if !workload.datacenters.is_empty() && !workload.datacenters.contains(&site.datacenter) {
        return Some(Refusal::NotAllowed);
    }
    if !site.available {
        return Some(Refusal::Unavailable);
    }
    let rules = &workload.rules;
    if !rules.countries.is_empty() || !rules.continents.is_empty() {
        let within = site.country.is_some_and(|country| {
            rules.countries.contains(&country) || rules.continents.contains(&country.continent())
        });
        if !within {
            return Some(Refusal::Country(site.country));
        }
    }
    for (key, wants) in &rules.labels {
        let has = site.labels.get(key);
        if has != Some(wants) {
            let (key, wants, has) = (key.clone(), wants.clone(), has.cloned());
            return Some(Refusal::Label { key, wants, has });
        }
    }
    let (Some(latency), Some(latency_ms_max)) = (latency, workload.latency_ms_max) else {
        return None;
    };
    let (latency_us, percentile) = (latency.bounded_us, rules.latency_percentile);
    let far = u64::from(latency_us) > u64::from(latency_ms_max) * 1_000;
    far.then_some(Refusal::TooFar { latency_us, latency_ms_max, percentile })
}

/// The first workload that is not with a site and must be, or is and must not be.
fn neighbour(ask: &Ask, site: &Site, order: &[usize], sites: &[&Site]) -> Option<Refusal> {
    let broken = ask.neighbours.iter().find(|(neighbour, there)| {
        let here = name(neighbour.over, site, None);
        let mut others = order.iter().zip(sites).filter(|(index, _)| there.contains(index));
        let together = others.any(|(_, other)| name(neighbour.over, other, None) == here);
        together != neighbour.together
    });
    broken.map(|(Neighbour { workload, over, together }, _)| {
        let (workload, over, together) = (workload.clone(), *over, *together);
        Refusal::Neighbour { workload, over, together }
    })
}

/// What the preferences are worth that a site does not meet.
fn preference(workload: &WorkloadSpec, site: &Site) -> MicroDollars {
    let missed = workload.rules.preferences.iter().filter(|preference| match &preference.what {
        Preferred::Datacenter(name) => site.datacenter != *name,
        Preferred::Country(country) => site.country != Some(*country),
        Preferred::Continent(continent) => {
            site.country.is_none_or(|country| country.continent() != *continent)
        }
        Preferred::Label(key, value) => site.labels.get(key) != Some(value),
        // That is the machine's.
        Preferred::Provider(_) => false,
    });
    missed.map(|preference| preference.worth_micros_per_hour).sum()
}

/// A copy's share of the cheapest machine there that has room for it.
fn least_share(workload: &WorkloadSpec, wanted: &Wanted, site: &Site) -> Option<MicroDollars> {
    let mut least = None;
    let mut before = None;
    for machine in &site.machines {
        // Machines of one kind are next to each other, and many.
        let same = before.is_some_and(|offer| Arc::ptr_eq(offer, &machine.offer));
        if same || !wanted.admits(&machine.offer) || !workload.request.fits(machine.free) {
            continue;
        }
        before = Some(&machine.offer);
        let share = share_of_price(workload.request, &machine.offer);
        least = Some(least.map_or(share, |least: MicroDollars| least.min(share)));
    }
    least
}

/// How many sites have a cheaper share: of two machines that are paid for anyway, the cheaper one is better filled. Less than
/// a micro-dollar in all, so that it decides between equals alone.
fn rank(share: Option<MicroDollars>, shares: &[Option<MicroDollars>]) -> i64 {
    let cheaper = |share| shares.iter().flatten().filter(|other| **other < share).count();
    share.map_or(0, |share| i64::try_from(cheaper(share)).unwrap_or(FINE).min(FINE - 1))
}
