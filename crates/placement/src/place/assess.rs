//! What is known of each cell for a workload before anything is packed: whether it may go there, and what it costs there
//! beside the machine.

use std::sync::Arc;

use kato_core::{DatacenterName, MicroDollars, Refusal, Spread, WorkloadSpec};

use super::demand::{Demands, Latency};
use super::{Ask, Site, suits};
use crate::pack::{FINE, share_of_price};

/// What a move must save in an hour, or the copy stays: about a cent, over a day.
const MOVE: MicroDollars = MicroDollars(417);

/// A cell with what is known about it.
pub(super) struct Assessed<'a> {
    pub(super) site: &'a Site,
    pub(super) workload: &'a WorkloadSpec,
    /// Whether its datacenter has other cells.
    pub(super) one_of_several: bool,
    pub(super) latency: Option<Latency>,
    pub(super) latency_price: MicroDollars,
    /// What removed it, whatever it has or sells.
    pub(super) refusal: Option<Refusal>,
    /// Whether it said that it has no room.
    pub(super) refused: bool,
    /// Prefers one cell to another where both cost the same, in billionths of a dollar.
    preference: i64,
}

impl Assessed<'_> {
    /// What a copy costs there beside its machine, in billionths of a dollar; none where it may not go.
    pub(super) fn beside(&self) -> Option<i64> {
        let allowed = self.refusal.is_none() && !self.refused;
        allowed.then(|| self.latency_price.0.saturating_mul(FINE).saturating_add(self.preference))
    }
}

/// Puts every site, by its place in the problem, through the constraints that do not ask for room.
pub(super) fn assess<'a>(ask: &Ask<'a>, order: &[usize], sites: &[&'a Site]) -> Vec<Assessed<'a>> {
    let workload = ask.workload;
    let demands = Demands::new(workload);
    let settled = ask.standings.iter().any(|standing| standing.home);
    let shares: Vec<_> = sites.iter().map(|site| least_share(workload, site)).collect();
    let of = |(at, (index, site)): (usize, (&usize, &&'a Site))| {
        let standing = ask.standings.get(*index).copied().unwrap_or_default();
        let latency = demands.latency(site.at);
        let price = workload.latency_price_micros_per_ms_hour;
        let moves = if settled && !standing.home { MOVE.0 * FINE } else { 0 };
        Assessed {
            site,
            workload,
            one_of_several: is_one_of_several(sites, at),
            latency,
            latency_price: latency.map_or(MicroDollars::ZERO, |latency| latency.price(price)),
            refusal: refusal(workload, site, latency).or_else(|| {
                let taken = || copies_in(ask, order, sites, &site.datacenter) > 0;
                (workload.spread == Spread::Datacenter && taken()).then_some(Refusal::Spread)
            }),
            refused: standing.refused,
            preference: moves + rank(shares[at], &shares),
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
    if let (Some(latency), Some(latency_ms_max)) = (latency, workload.latency_ms_max)
        && u64::from(latency.farthest_us) > u64::from(latency_ms_max) * 1_000
    {
        return Some(Refusal::TooFar { latency_us: latency.farthest_us, latency_ms_max });
    }
    None
}

/// How many copies that stay are in a datacenter, whichever cell they are in.
fn copies_in(ask: &Ask, order: &[usize], sites: &[&Site], datacenter: &DatacenterName) -> u32 {
    let all = order.iter().zip(sites);
    let here = all.filter(|(_, site)| site.datacenter == *datacenter);
    here.filter_map(|(index, _)| ask.standings.get(*index)).map(|found| found.copies).sum()
}

/// A copy's share of the cheapest machine there that has room for it.
fn least_share(workload: &WorkloadSpec, site: &Site) -> Option<MicroDollars> {
    let mut least = None;
    let mut before = None;
    for machine in &site.machines {
        // Machines of one kind are next to each other, and many.
        let same = before.is_some_and(|offer| Arc::ptr_eq(offer, &machine.offer));
        if same || !suits(workload, &machine.offer) || !workload.request.fits(machine.free) {
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
