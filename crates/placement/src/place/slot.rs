//! Where one copy fits: a share of a running machine, or a machine to buy.

use std::cmp::Ordering;
use std::sync::Arc;

use kato_core::{MicroDollars, Offer, Refusal, Resources, Source, WorkloadSpec};

use super::{ARCH, Site};
use crate::catalogue::{Catalogue, admits, prefer};

/// Room for copies at one price.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot<'a> {
    /// Its datacenter, by index.
    pub(super) site: usize,
    pub(super) offer: &'a Arc<Offer>,
    pub(super) source: Source,
    /// The price of one copy for an hour.
    pub(super) price: MicroDollars,
    /// The objective: price and priced latency.
    pub(super) total: MicroDollars,
    /// How many copies it takes, 1 at least.
    pub(super) copies: u32,
}

impl Slot<'_> {
    /// By total; a running machine before one to buy; then by the whole of the offer, so that slots
    /// that compare equal are interchangeable.
    pub(super) fn compare_within_site(&self, other: &Self) -> Ordering {
        self.total
            .cmp(&other.total)
            .then_with(|| self.price.cmp(&other.price))
            .then_with(|| self.source.cmp(&other.source))
            .then_with(|| prefer(self.offer, other.offer))
            .then_with(|| self.offer.cmp(other.offer))
            .then_with(|| self.copies.cmp(&other.copies))
    }
}

/// Puts the slots of `site` into `slots`: those that the request fits, in the markets that `Spot=`
/// admits, at any price.
pub(super) fn find<'a>(
    workload: &WorkloadSpec,
    catalogue: &'a Catalogue,
    index: usize,
    site: &'a Site,
    latency_price: MicroDollars,
    slots: &mut Vec<Slot<'a>>,
) {
    let mut add = |offer: &'a Arc<Offer>, source: Source, price: MicroDollars, copies: u32| {
        slots.push(Slot {
            site: index,
            offer,
            source,
            price,
            total: price + latency_price,
            copies,
        });
    };
    for machine in &site.machines {
        let copies = machine.free.holds(workload.request);
        if copies > 0 && suits(workload, &machine.offer) {
            let price = share_of_price(workload.request, &machine.offer);
            add(&machine.offer, Source::Running, price, copies);
        }
    }
    if site.machines_to_buy_max > 0
        && let Some(offer) = cheapest_to_buy(workload, catalogue, site)
    {
        add(offer, Source::Buy, offer.price_micros_per_hour, site.machines_to_buy_max);
    }
}

/// Why `find` finds no slot at `site`.
pub(super) fn why_none(workload: &WorkloadSpec, catalogue: &Catalogue, site: &Site) -> Refusal {
    let sold = cheapest_to_buy(workload, catalogue, site).is_some();
    let running = site.machines.iter().any(|machine| {
        suits(workload, &machine.offer) && workload.request.fits(machine.offer.capacity)
    });
    if sold || (running && site.machines_to_buy_max == 0) {
        return Refusal::NoRoom;
    }
    Refusal::NoOffer { request: workload.request, spot: workload.spot }
}

/// Whether a running machine is one that the workload may run on.
pub fn suits(workload: &WorkloadSpec, offer: &Offer) -> bool {
    offer.arch == ARCH && admits(workload.spot, offer.market)
}

/// The cheapest machine that one copy fits, over the regions of `site`.
fn cheapest_to_buy<'a>(
    workload: &WorkloadSpec,
    catalogue: &'a Catalogue,
    site: &Site,
) -> Option<&'a Arc<Offer>> {
    site.regions
        .iter()
        .filter_map(|(provider, region)| {
            catalogue.cheapest(provider, region, workload.request, workload.spot, ARCH)
        })
        .min_by(|a, b| prefer(a, b))
}

/// The dominant share of a running machine's price, rounded up: only a request of nothing is free.
fn share_of_price(request: Resources, offer: &Offer) -> MicroDollars {
    let share = u128::from(request.dominant_share_micro(offer.capacity));
    let price = u128::try_from(offer.price_micros_per_hour.0).unwrap_or(0);
    let micros = share.saturating_mul(price).div_ceil(1_000_000);
    MicroDollars(i64::try_from(micros).unwrap_or(i64::MAX))
}
