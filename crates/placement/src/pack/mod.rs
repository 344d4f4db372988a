//! Which machines to use and to buy, and how many copies of what go on each, so that all of it together costs least.
//!
//! Copies of one item are identical. A machine costs its price once, however many copies are on it, and nothing if it is
//! used already; a copy costs what its item says for the site that it is at (latency, mostly). One item alone is solved
//! exactly ([`divide`], [`cover`]), up to [`CHUNK`] copies at a time. Several items are placed one after the other, the
//! largest first, each seeing the room that the others left; then whatever can be placed again for less is ([`improve`]).

mod afford;
mod bin;
mod cover;
mod divide;
mod improve;
mod report;
mod sequence;
mod spread;
mod yard;

use std::collections::BTreeSet;
use std::sync::Arc;

use kato_core::{Market, MicroDollars, Offer, ProviderName, RegionName, Resources};

use crate::catalogue::{Catalogue, Wanted};
use crate::place::{Room, Site};
pub(crate) use afford::{Yards, within};
pub(crate) use report::Use;
pub(crate) use yard::Yard as Packing;

/// Copies of one item that are placed at once, and where there are too many in all to try again.
const CHUNK: u32 = 512;
const CHUNK_OF_MANY: u32 = 128;
/// Copies beyond which a problem is not improved upon: the order of placing is good enough there.
const MANY: u64 = 4_000;

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
    pub wanted: Wanted,
    /// What one costs beside its machine, an hour, by stall, in billionths of a dollar; none where it may not go.
    pub at: Vec<Option<i64>>,
    /// How many may be together.
    pub levels: Vec<Level>,
    /// The most that one copy may cost, of its machine's price.
    pub price_max: Option<MicroDollars>,
    /// Who comes first where not everything has room: the highest.
    pub rank: u32,
}

/// A limit on how many copies of an item are together.
#[derive(Debug, Clone)]
pub struct Level {
    /// What counts together, by stall: those with the same number, from 0.
    pub group: Vec<usize>,
    /// The most in each group, by its number.
    pub most: Vec<u32>,
    /// What a copy more costs, an hour, in billionths of a dollar. None: there must be none.
    pub excess: Option<i64>,
}

/// Where machines may be used and bought: a cell, or a part of it: what one provider has there, or one market, or one pool.
#[derive(Debug, Clone)]
pub struct Stall<'a> {
    /// Its cell, by index: the stalls of one share what it may buy.
    pub cell: usize,
    /// The machines there, each with its place in the cell's list.
    pub machines: Vec<(usize, &'a Room)>,
    /// What can be bought from.
    pub regions: Vec<&'a (ProviderName, RegionName)>,
    /// Which of the offers of those.
    pub sold: Sold,
}

/// Which of the offers of its regions are sold at a stall.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Sold {
    /// All of them.
    #[default]
    All,
    /// Those of one market.
    On(Market),
    /// Spot machines of one kind.
    Pool(String),
    /// Spot machines of all kinds but these.
    OtherPools(Arc<BTreeSet<String>>),
}

impl Sold {
    fn has(&self, offer: &Offer) -> bool {
        let is_spot = offer.market == Market::Spot;
        match self {
            Self::All => true,
            Self::On(market) => offer.market == *market,
            Self::Pool(kind) => is_spot && offer.kind == *kind,
            Self::OtherPools(kinds) => is_spot && !kinds.contains(&offer.kind),
        }
    }
}

/// A problem of the packing.
#[derive(Debug, Clone)]
pub struct Stalls<'a> {
    /// All of them, in the order of their cells.
    pub all: Vec<Stall<'a>>,
    /// How many machines may be bought, by cell.
    pub buy_max: Vec<u32>,
}

impl<'a> Stalls<'a> {
    /// One for each cell.
    pub fn whole(sites: impl IntoIterator<Item = &'a Site>) -> Self {
        let mut stalls = Self { all: Vec::new(), buy_max: Vec::new() };
        for (cell, site) in sites.into_iter().enumerate() {
            let machines = site.machines.iter().enumerate().collect();
            let regions = site.regions.iter().collect();
            stalls.all.push(Stall { cell, machines, regions, sold: Sold::All });
            stalls.buy_max.push(site.machines_to_buy_max);
        }
        stalls
    }
}

/// A machine that is used, and by what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Used {
    /// Its stall, by index.
    pub stall: usize,
    /// What it is.
    pub offer: Arc<Offer>,
    /// Which of the cell's machines it is; none where it is bought.
    pub machine: Option<usize>,
    /// What it costs to use it: nothing if it is used already.
    pub price: MicroDollars,
    /// Items with the number of their copies on it, by index.
    pub load: Vec<(usize, u32)>,
}

/// What goes where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// Machines with something of the items on them: by stall, those that run first.
    pub used: Vec<Used>,
    /// The copies of each item that fit nowhere.
    pub unplaced: Vec<u32>,
    /// What it costs: machines, and copies beside them, in billionths of a dollar an hour.
    pub cost: i64,
}

/// Packs `items` on `stalls`. The same input gives the same output.
pub fn pack(items: &[Item], stalls: &Stalls, catalogue: &Catalogue) -> Packed {
    solve(items, stalls, catalogue).packed()
}

/// Packs, and keeps what more can be asked of it.
pub(crate) fn solve<'a>(
    items: &'a [Item],
    stalls: &'a Stalls<'a>,
    catalogue: &'a Catalogue,
) -> Packing<'a> {
    let copies: Vec<u32> = items.iter().map(|item| item.copies).collect();
    afford::of_each(items, &copies, Yards { stalls, catalogue })
}

/// The dominant share of a running machine's price, rounded up: only a request of nothing is free.
pub(crate) fn share_of_price(request: Resources, offer: &Offer) -> MicroDollars {
    let share = u128::from(request.dominant_share_micro(offer.capacity));
    let price = u128::try_from(offer.price_micros_per_hour.0).unwrap_or(0);
    let micros = share.saturating_mul(price).div_ceil(1_000_000);
    MicroDollars(i64::try_from(micros).unwrap_or(i64::MAX))
}
