//! What was packed, told by item: what its copies are on, and what another one would cost.

use std::sync::Arc;

use kato_core::{MicroDollars, Offer, Resources, Timestamp};

use super::bin::{Bin, may_run, suits};
use super::yard::{Yard, fine};
use super::{FINE, share_of_price};
use crate::catalogue::Wanted;

/// Copies of one item on one machine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Use<'a> {
    /// The stall, by index.
    pub(crate) stall: usize,
    /// Which of the cell's machines it is; none where it is bought.
    pub(crate) machine: Option<usize>,
    /// Numbers the machines that are bought.
    pub(crate) number: usize,
    /// What the machine is.
    pub(crate) offer: &'a Arc<Offer>,
    /// How many copies are on it.
    pub(crate) copies: u32,
    /// The price of each.
    pub(crate) price: MicroDollars,
    /// What each adds to what is paid.
    pub(crate) adds: MicroDollars,
}

impl Yard<'_> {
    /// What the copies of each item are on.
    pub(crate) fn uses(&self) -> Vec<Vec<Use<'_>>> {
        let mut uses: Vec<Vec<Use>> = self.items.iter().map(|_| Vec::new()).collect();
        let mut number = 0;
        for (stall, bins) in self.layout.bins.iter().enumerate() {
            for bin in bins.iter().filter(|bin| !bin.load.is_empty()) {
                for (item, copies) in &bin.load {
                    let one = self.one_on(stall, bin, *item);
                    uses[*item].push(Use { copies: *copies, number, ..one });
                }
                number += usize::from(bin.machine.is_none());
            }
        }
        uses
    }

    /// How many copies of an item were to be packed.
    pub(crate) fn copies(&self, item: usize) -> u32 {
        self.items[item].copies
    }

    /// What another copy of an item would be on at a stall, and for how much; and whether that is more than it may cost, where
    /// nothing else is there.
    pub(crate) fn one_more(&self, item: usize, stall: usize) -> Option<(bool, Use<'_>)> {
        let wanted = &self.items[item];
        let room = |bin: &&Bin| may_run(wanted, bin) && bin.takes(wanted.request) > 0;
        let bins = self.layout.bins[stall].iter().filter(room);
        let there = bins.map(|bin| {
            let adds = MicroDollars(if bin.is_open() { 0 } else { bin.price / FINE });
            let more = bin.weight(wanted.request);
            let price = if bin.machine.is_some() {
                share_of_price(wanted.request, &bin.offer)
            } else {
                bin.part_for(fine(&bin.offer), wanted.request, more, self.items)
            };
            (!suits(wanted, bin, self.items), adds, price, bin)
        });
        let there = there.min_by(|a, b| (a.0, a.1, a.2).cmp(&(b.0, b.1, b.2)));
        let there = there.map(|(dear, adds, price, bin)| {
            let (machine, offer) = (bin.machine, &bin.offer);
            (dear, Use { stall, machine, number: 0, offer, copies: 1, price, adds })
        });
        let bought =
            self.cheapest(stall, item, 1).filter(|_| self.may_buy(stall) > 0).map(|offer| {
                let price = offer.price_micros_per_hour;
                let dear = wanted.price_max.is_some_and(|max| price > max);
                let (machine, adds) = (None, offer.price_nanos_over(wanted.wanted.stay_s) / FINE);
                let adds = MicroDollars(adds);
                (dear, Use { stall, machine, number: 0, offer, copies: 1, price, adds })
            });
        // The first of equals: what is there before what is bought.
        let both = there.into_iter().chain(bought);
        both.min_by_key(|(dear, used)| (*dear, used.adds, used.machine.is_none()))
    }

    /// Whether anything that is on sale at a stall would take a copy of an item, at any price.
    pub(crate) fn sells(&self, item: usize, stall: usize) -> bool {
        self.cheapest(stall, item, 1).is_some()
    }

    /// When the newest of those prices was read that are too old for an item, where no other machine is on sale at a stall.
    pub(crate) fn stale(&self, item: usize, stall: usize) -> Option<Timestamp> {
        let wanted = &self.items[item].wanted;
        if wanted.priced_since.is_none() || self.sells(item, stall) {
            return None;
        }
        let of_any_age = Wanted { priced_since: None, ..wanted.clone() };
        let request = self.items[item].request;
        let fits = |offer: &&Arc<Offer>| of_any_age.admits(offer) && request.fits(offer.capacity);
        self.on_sale(stall).filter(fits).map(|offer| offer.priced_at).max()
    }

    /// What the machine lacks that runs at a stall and comes nearest to having room for a copy of an item, and how much of what
    /// is asked for that is, in millionths.
    pub(crate) fn nearest(&self, item: usize, stall: usize) -> Option<(u64, Resources)> {
        let wanted = &self.items[item];
        let large_enough =
            |bin: &&Bin| may_run(wanted, bin) && wanted.request.fits(bin.offer.capacity);
        let lacks = |bin: &Bin| {
            let lacks = wanted.request.saturating_sub(bin.free);
            (lacks.dominant_share_micro(wanted.request), lacks)
        };
        self.layout.bins[stall].iter().filter(large_enough).map(lacks).min()
    }

    /// The first of an item's limits that allows no further copy at a stall.
    pub(crate) fn full_level(&self, item: usize, stall: usize) -> Option<usize> {
        (0..self.items[item].levels.len()).find(|level| self.is_full(item, *level, stall))
    }

    /// A copy of an item on a machine that it is on.
    fn one_on<'b>(&'b self, stall: usize, bin: &'b Bin, item: usize) -> Use<'b> {
        let request = self.items[item].request;
        let part = |price| bin.part_for(price, request, 0, self.items);
        let price = match bin.machine {
            Some(_) => share_of_price(request, &bin.offer),
            None => part(fine(&bin.offer)),
        };
        let adds = if bin.price == 0 { MicroDollars::ZERO } else { part(bin.price) };
        Use { stall, machine: bin.machine, number: 0, offer: &bin.offer, copies: 1, price, adds }
    }
}
