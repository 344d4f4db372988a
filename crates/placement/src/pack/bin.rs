//! One machine while items are put on it and taken off again.

use std::sync::Arc;

use kato_core::{MicroDollars, Offer, Resources};

use super::yard::fine;
use super::{FINE, Item, share_of_price};
use crate::catalogue::longer;
use crate::place::SLOTS;

/// A machine that runs, or that is bought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bin {
    pub(super) offer: Arc<Offer>,
    /// Which of the site's machines it is; none where it is bought.
    pub(super) machine: Option<usize>,
    /// What it costs to use it; nothing if it is used anyway.
    pub(super) price: i64,
    pub(super) free: Resources,
    /// How many more copies it may have, however small they are.
    pub(super) slots: u32,
    /// Items with the number of their copies on it, in order.
    pub(super) load: Vec<(usize, u32)>,
}

impl Bin {
    /// One that is bought, with nothing on it: what it comes to is known once it has something.
    pub(super) fn bought(offer: &Arc<Offer>) -> Self {
        Self {
            offer: Arc::clone(offer),
            machine: None,
            price: fine(offer),
            free: offer.capacity,
            slots: SLOTS,
            load: Vec::new(),
        }
    }

    /// The same of two machines at a site of which one is as good as the other.
    pub(super) fn likeness(&self) -> (i64, Resources, u32, &[(usize, u32)]) {
        (self.price, self.free, self.slots, &self.load)
    }

    /// How many copies of this size it takes.
    pub(super) fn takes(&self, request: Resources) -> u32 {
        self.free.holds(request).min(self.slots)
    }

    /// Whether more on it costs no more.
    pub(super) fn is_open(&self) -> bool {
        self.price == 0 || !self.load.is_empty()
    }

    /// How much of the machine a request is, in millionths; 1 at least.
    pub(super) fn weight(&self, request: Resources) -> u64 {
        request.dominant_share_micro(self.offer.capacity).max(1)
    }

    /// How much of the machine all that is on it is, each by itself.
    pub(super) fn weight_of_load(&self, items: &[Item]) -> u64 {
        let of = |(item, copies): &(usize, u32)| {
            self.weight(items[*item].request).saturating_mul(u64::from(*copies))
        };
        self.load.iter().map(of).fold(0, u64::saturating_add)
    }

    /// The part of a price for all of it that falls to one request, with so much more on it than its load.
    pub(super) fn part_for(
        &self,
        price: i64,
        request: Resources,
        more: u64,
        items: &[Item],
    ) -> MicroDollars {
        let whole = self.weight_of_load(items).saturating_add(more);
        let fine = part(price, self.weight(request), whole);
        MicroDollars(fine / FINE + i64::from(fine % FINE != 0))
    }

    /// Whether a machine that is bought costs an item on it more than it may.
    pub(super) fn is_overpriced(&self, items: &[Item]) -> bool {
        if self.machine.is_some() || self.load.is_empty() {
            return false;
        }
        let whole = self.weight_of_load(items);
        self.load.iter().any(|(item, _)| {
            let item = &items[*item];
            let part = || part(fine(&self.offer), self.weight(item.request), whole);
            item.price_max.is_some_and(|max| part() > max.0.saturating_mul(FINE))
        })
    }

    /// What it adds to the cost.
    pub(super) fn cost(&self) -> i64 {
        if self.load.is_empty() { 0 } else { self.price }
    }

    /// Puts copies of an item on it.
    pub(super) fn put(&mut self, item: usize, copies: u32, items: &[Item]) {
        self.free = self.free - items[item].request.times(copies);
        self.slots = self.slots.saturating_sub(copies);
        match self.load.binary_search_by_key(&item, |(item, _)| *item) {
            Ok(at) => self.load[at].1 += copies,
            Err(at) => self.load.insert(at, (item, copies)),
        }
        self.price_over_stays(items);
    }

    /// Takes all copies of an item off again, and says how many.
    pub(super) fn take(&mut self, item: usize, items: &[Item]) -> u32 {
        let Ok(at) = self.load.binary_search_by_key(&item, |(item, _)| *item) else { return 0 };
        let (_, copies) = self.load.remove(at);
        self.free = self.free + items[item].request.times(copies);
        self.slots += copies;
        self.price_over_stays(items);
        copies
    }

    /// One that is bought is paid for as long as the last of what is on it stays.
    fn price_over_stays(&mut self, items: &[Item]) {
        let stays = self.load.iter().map(|(item, _)| items[*item].wanted.stay_s);
        if let Some(stay_s) = stays.reduce(longer).filter(|_| self.machine.is_none()) {
            self.price = self.offer.price_nanos_over(stay_s);
        }
    }
}

/// The part of a price that falls to one of several, by their weights, rounded up.
fn part(price: i64, weight: u64, whole: u64) -> i64 {
    let price = u128::try_from(price).unwrap_or(0);
    let part = (price * u128::from(weight)).div_ceil(u128::from(whole.max(1)));
    i64::try_from(part).unwrap_or(i64::MAX)
}

/// Whether copies of an item may run on a machine, whatever they cost there. One that is bought must be one that might be
/// bought for the item alone.
pub(super) fn may_run(item: &Item, bin: &Bin) -> bool {
    let bought = bin.machine.is_none();
    if bought { item.wanted.admits_to_buy(&bin.offer) } else { item.wanted.admits(&bin.offer) }
}

/// Whether copies of an item may run on a machine with what is on it.
pub(super) fn suits(item: &Item, bin: &Bin, items: &[Item]) -> bool {
    let affordable = |max| {
        if bin.machine.is_some() {
            return share_of_price(item.request, &bin.offer) <= max;
        }
        let (own, others) = (bin.weight(item.request), bin.weight_of_load(items));
        part(fine(&bin.offer), own, own + others) <= max.0.saturating_mul(FINE)
    };
    may_run(item, bin) && item.price_max.is_none_or(affordable)
}
