//! The machines that are worth a look: what runs, and of what is on sale at a site all that nothing else there beats in
//! price, size and in who may run on it.

use std::sync::Arc;

use kato_core::{INSTANCES_PER_MACHINE_MAX, Offer, Resources};
use kato_placement::pack::{FINE, Item};
use kato_placement::{Catalogue, Site};

/// A machine that runs, or as many as one likes that are bought.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    /// Its site, by index.
    pub(super) site: usize,
    pub(super) offer: Arc<Offer>,
    /// Which of the site's machines it is, if it is one of them.
    pub(super) running: Option<usize>,
    pub(super) room: Resources,
    pub(super) slots: u32,
    /// In billionths of a dollar.
    pub(super) price: i64,
    /// The items that may run on it.
    pub(super) takes: Vec<usize>,
}

impl Machine {
    /// Whether there is one alone.
    pub(super) fn runs(&self) -> bool {
        self.running.is_some()
    }
}

/// All of them.
pub(super) fn worth_a_look(items: &[Item], sites: &[Site], catalogue: &Catalogue) -> Vec<Machine> {
    let mut all = Vec::new();
    for (index, site) in sites.iter().enumerate() {
        for (number, room) in site.machines.iter().enumerate() {
            let may = |item: &Item| item.wanted.admits(&room.offer);
            let takes = takes(items, index, room.free, may);
            if !takes.is_empty() {
                all.push(Machine {
                    site: index,
                    offer: Arc::clone(&room.offer),
                    running: Some(number),
                    room: room.free,
                    slots: room.slots,
                    price: room.adds.0 * FINE,
                    takes,
                });
            }
        }
        all.extend(on_sale(items, index, site, catalogue));
    }
    all
}

fn on_sale(items: &[Item], index: usize, site: &Site, catalogue: &Catalogue) -> Vec<Machine> {
    let offers =
        site.regions.iter().flat_map(|(provider, region)| catalogue.offers(provider, region));
    let machine = |offer: &Arc<Offer>| {
        let may = |item: &Item| item.wanted.admits_to_buy(offer);
        let takes = takes(items, index, offer.capacity, may);
        // More than all that may be on it is no use.
        let all: Resources =
            takes.iter().map(|item| items[*item].request.times(items[*item].copies)).sum();
        let room = Resources {
            cpu_millis: offer.capacity.cpu_millis.min(all.cpu_millis),
            memory_bytes: offer.capacity.memory_bytes.min(all.memory_bytes),
            ..Resources::NONE
        };
        Machine {
            site: index,
            offer: Arc::clone(offer),
            running: None,
            room,
            slots: u32::try_from(INSTANCES_PER_MACHINE_MAX).expect("it is some hundreds"),
            price: offer.price_micros_per_hour.0 * FINE,
            takes,
        }
    };
    let mut all: Vec<Machine> =
        offers.map(machine).filter(|machine| !machine.takes.is_empty()).collect();
    // Who is beaten is so by one that comes before.
    all.sort_by(|a, b| (a.price, b.room, &a.offer).cmp(&(b.price, a.room, &b.offer)));
    let mut kept: Vec<Machine> = Vec::new();
    for machine in all {
        let beats = |other: &Machine| {
            machine.room.fits(other.room)
                && machine.takes.iter().all(|item| other.takes.contains(item))
        };
        if !kept.iter().any(beats) {
            kept.push(machine);
        }
    }
    kept
}

/// The items that may be at a site and have room.
fn takes(items: &[Item], site: usize, room: Resources, may: impl Fn(&Item) -> bool) -> Vec<usize> {
    let takes = items.iter().enumerate().filter(|(_, item)| {
        item.copies > 0 && item.at[site].is_some() && item.request.fits(room) && may(item)
    });
    takes.map(|(index, _)| index).collect()
}
