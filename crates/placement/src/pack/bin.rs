//! One machine while items are put on it and taken off again.

use std::sync::Arc;

use kato_core::{Offer, Resources};

use super::Item;
use crate::catalogue::admits;
use crate::place::ARCH;

/// A machine that runs, or that is bought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bin {
    pub(super) offer: Arc<Offer>,
    /// Which of the site's machines it is; none where it is bought.
    pub(super) machine: Option<usize>,
    /// What it costs to use it; nothing if it is used anyway.
    pub(super) price: i64,
    pub(super) free: Resources,
    /// Items with the number of their copies on it, in order.
    pub(super) load: Vec<(usize, u32)>,
}

impl Bin {
    /// One that is bought, with nothing on it.
    pub(super) fn bought(offer: &Arc<Offer>) -> Self {
        Self {
            offer: Arc::clone(offer),
            machine: None,
            price: offer.price_micros_per_hour.0,
            free: offer.capacity,
            load: Vec::new(),
        }
    }

    /// Whether more on it costs no more.
    pub(super) fn is_open(&self) -> bool {
        self.price == 0 || !self.load.is_empty()
    }

    /// What it adds to the cost.
    pub(super) fn cost(&self) -> i64 {
        if self.load.is_empty() { 0 } else { self.price }
    }

    /// Puts copies of an item on it.
    pub(super) fn put(&mut self, item: usize, request: Resources, copies: u32) {
        self.free = self.free - request.times(copies);
        match self.load.binary_search_by_key(&item, |(item, _)| *item) {
            Ok(at) => self.load[at].1 += copies,
            Err(at) => self.load.insert(at, (item, copies)),
        }
    }

    /// Takes all copies of an item off again, and says how many.
    pub(super) fn take(&mut self, item: usize, request: Resources) -> u32 {
        let Ok(at) = self.load.binary_search_by_key(&item, |(item, _)| *item) else { return 0 };
        let (_, copies) = self.load.remove(at);
        self.free = self.free + request.times(copies);
        copies
    }
}

/// Whether copies of an item may run on such a machine.
pub(super) fn suits(item: &Item, offer: &Offer) -> bool {
    offer.arch == ARCH && admits(item.spot, offer.market)
}
