//! Which machines to use and to buy, and how many copies of what go on each, so that all of it together costs least.
//!
//! Copies of one item are identical. A machine costs its price once, however many copies are on it, and nothing if it is
//! used already; a copy costs what its item says for the site that it is at (latency, mostly). One item alone is solved
//! exactly ([`spread`], [`cover`]), up to [`CHUNK`] copies at a time. Several items are placed one after the other, the
//! largest first, each seeing the room that the others left; then whatever can be placed again for less is ([`improve`]).

mod bin;
mod cover;
mod improve;
mod report;
mod sequence;
mod spread;
mod yard;

use std::sync::Arc;

use kato_core::{MicroDollars, Offer, Resources, SpotPolicy};

use crate::catalogue::Catalogue;
use crate::place::Site;
pub(crate) use report::Use;
pub(crate) use yard::Yard as Packing;

/// Copies of one item that are placed at once.
const CHUNK: u32 = 128;

/// What costs are counted in: billionths of a dollar, so many in a micro-dollar. A micro-dollar's fractions prefer one of
/// several ways that cost the same.
pub const FINE: i64 = 1_000;

/// Copies that are alike.
#[derive(Debug, Clone)]
pub struct Item {
    /// What each needs.
    pub request: Resources,
    /// How many.
    pub copies: u32,
    /// Which machines they may run on.
    pub spot: SpotPolicy,
    /// What one costs beside its machine, an hour, by site, in billionths of a dollar; none where it may not go.
    pub at: Vec<Option<i64>>,
    /// Which sites count together, by site: those with the same number.
    pub group: Vec<usize>,
    /// The most in each group, by its number; as many as one likes where it is not there.
    pub group_max: Vec<u32>,
    /// The most that one copy may cost, of its machine's price.
    pub price_max: Option<MicroDollars>,
}

impl Item {
    /// The most copies in a group.
    pub(super) fn most_in(&self, group: usize) -> u32 {
        self.group_max.get(group).copied().unwrap_or(u32::MAX)
    }

    /// Whether there is a most anywhere.
    pub(super) fn is_limited(&self) -> bool {
        !self.group_max.is_empty()
    }
}

/// A machine that is used, and by what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Used {
    /// Its site, by index.
    pub site: usize,
    /// What it is.
    pub offer: Arc<Offer>,
    /// Which of the site's machines it is; none where it is bought.
    pub machine: Option<usize>,
    /// What it costs to use it: nothing if it is used already.
    pub price: MicroDollars,
    /// Items with the number of their copies on it, by index.
    pub load: Vec<(usize, u32)>,
}

/// What goes where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// Machines with something of the items on them: by site, those that run first.
    pub used: Vec<Used>,
    /// The copies of each item that fit nowhere.
    pub unplaced: Vec<u32>,
    /// What it costs: machines, and copies beside them, in billionths of a dollar an hour.
    pub cost: i64,
}

/// Packs `items` at `sites`, the machines of which are those of the problem. The same input gives the same output.
pub fn pack(items: &[Item], sites: &[Site], catalogue: &Catalogue) -> Packed {
    let sites: Vec<&Site> = sites.iter().collect();
    solve(items, &sites, catalogue).packed()
}

/// Packs, and keeps what more can be asked of it.
pub(crate) fn solve<'a>(
    items: &'a [Item],
    sites: &'a [&'a Site],
    catalogue: &'a Catalogue,
) -> Packing<'a> {
    let mut yard = Packing::new(items, sites, catalogue);
    let mut order: Vec<usize> = (0..items.len()).collect();
    // What needs most room has the fewest places to choose from.
    order.sort_by_key(|item| std::cmp::Reverse((yard.weight(*item), *item)));
    for item in &order {
        yard.add(*item, items[*item].copies);
    }
    improve::improve(&mut yard, &order);
    yard
}

/// The dominant share of a running machine's price, rounded up: only a request of nothing is free.
pub(crate) fn share_of_price(request: Resources, offer: &Offer) -> MicroDollars {
    let share = u128::from(request.dominant_share_micro(offer.capacity));
    let price = u128::try_from(offer.price_micros_per_hour.0).unwrap_or(0);
    let micros = share.saturating_mul(price).div_ceil(1_000_000);
    MicroDollars(i64::try_from(micros).unwrap_or(i64::MAX))
}
