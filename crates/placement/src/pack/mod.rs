//! Which machines to use and to buy, and how many copies of what go on each, so that all of it together costs least.
//!
//! Copies of one item are identical. A machine costs its price once, however many copies are on it, and nothing if it is
//! used already; a copy costs what its item says for the site that it is at (latency, mostly). One item alone is solved
//! exactly ([`spread`], [`cover`]), up to [`CHUNK`] copies at a time. Several items are placed one after the other, the
//! largest first, each seeing the room that the others left; then whatever can be placed again for less is ([`improve`]).

mod bin;
mod cover;
mod improve;
mod sequence;
mod spread;
mod yard;

use std::sync::Arc;

use kato_core::{MicroDollars, Offer, Resources, SpotPolicy};

use crate::catalogue::Catalogue;
use crate::place::Site;
use yard::Yard;

/// Copies of one item that are placed at once.
const CHUNK: u32 = 128;

/// Copies that are alike.
#[derive(Debug, Clone)]
pub struct Item {
    /// What each needs.
    pub request: Resources,
    /// How many.
    pub copies: u32,
    /// Which machines they may run on.
    pub spot: SpotPolicy,
    /// What one costs beside its machine, an hour, by site; none where it may not go.
    pub at: Vec<Option<MicroDollars>>,
    /// The most at one site.
    pub per_site_max: u32,
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
    /// What it costs: machines, and copies beside them.
    pub cost: MicroDollars,
}

/// Packs `items` at `sites`, the machines of which are those of the problem. The same input gives the same output.
pub fn pack(items: &[Item], sites: &[Site], catalogue: &Catalogue) -> Packed {
    let mut yard = Yard::new(items, sites, catalogue);
    let mut order: Vec<usize> = (0..items.len()).collect();
    // What needs most room has the fewest places to choose from.
    order.sort_by_key(|item| std::cmp::Reverse((yard.weight(*item), *item)));
    for item in &order {
        yard.add(*item, items[*item].copies);
    }
    improve::improve(&mut yard, &order);
    yard.packed()
}
