//! All machines of all sites while items are put on them and taken off again.

use std::cmp::{Ordering, Reverse};
use std::collections::BTreeSet;
use std::sync::Arc;

use kato_core::{Market, MicroDollars, Offer, Resources, SpotPolicy};

use super::bin::{Bin, suits};
use super::cover::{Cover, Idle, NEVER, Stock};
use super::{
    CHUNK, CHUNK_OF_MANY, FINE, Item, MANY, Packed, Sold, Stall, Stalls, Used, share_of_price,
};
use crate::catalogue::{Catalogue, Wanted};
use crate::place::Room;

/// The machines of a stall, in one order whatever order they came in: those first whose use costs least, and of those the ones
/// with the least room.
fn running(stall: &Stall) -> Vec<Bin> {
    let bin = |(machine, room): &(usize, &Room)| Bin {
        offer: Arc::clone(&room.offer),
        machine: Some(*machine),
        price: room.adds.0.saturating_mul(FINE),
        free: room.free,
        slots: room.slots,
        load: Vec::new(),
    };
    let mut bins: Vec<Bin> = stall.machines.iter().map(bin).collect();
    bins.sort_by(|a, b| {
        let same = Arc::ptr_eq(&a.offer, &b.offer);
        let by_offer = || if same { Ordering::Equal } else { a.offer.cmp(&b.offer) };
        (a.price, a.free).cmp(&(b.price, b.free)).then_with(by_offer)
    });
    bins
}

/// A machine's price by the hour, in billionths of a dollar.
pub(super) fn fine(offer: &Offer) -> i64 {
    offer.price_nanos_over(0)
}

/// How good a layout is: the least is the best.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Score {
    /// How many copies have no place, those first that come first.
    unplaced: Vec<u64>,
    cost: i64,
}

/// What is where.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    /// By stall. Shared with earlier layouts until it changes: most steps change a few sites.
    pub(super) bins: Vec<Arc<Vec<Bin>>>,
    /// By item.
    pub(super) unplaced: Vec<u32>,
}

/// The sites, and what is put on them.
pub(crate) struct Yard<'a> {
    pub(super) items: &'a [Item],
    stalls: &'a Stalls<'a>,
    catalogue: &'a Catalogue,
    /// Whether all items may run on the same machines but for the market.
    alike: bool,
    /// How many copies of an item are placed at once.
    pub(super) chunk: u32,
    /// By item, how many ranks come before its own.
    order: Vec<usize>,
    /// Whether no more may be bought.
    is_closed: bool,
    pub(super) layout: Layout,
    demand: Resources,
}

impl<'a> Yard<'a> {
    pub(super) fn new(items: &'a [Item], stalls: &'a Stalls<'a>, catalogue: &'a Catalogue) -> Self {
        let bins = stalls.all.iter().map(|stall| Arc::new(running(stall)));
        let any = |item: &Item| Wanted { spot: SpotPolicy::Allowed, ..item.wanted.clone() };
        let alike = items.windows(2).all(|pair| any(&pair[0]) == any(&pair[1]));
        let demand = items.iter().map(|item| item.request.times(item.copies)).sum();
        let copies: u64 = items.iter().map(|item| u64::from(item.copies)).sum();
        let chunk = if copies > MANY { CHUNK_OF_MANY } else { CHUNK };
        let layout = Layout { bins: bins.collect(), unplaced: vec![0; items.len()] };
        let ranks: BTreeSet<Reverse<u32>> = items.iter().map(|item| Reverse(item.rank)).collect();
        let before = |item: &Item| ranks.range(..Reverse(item.rank)).count();
        let order = items.iter().map(before).collect();
        let is_closed = false;
        Self { items, stalls, catalogue, alike, chunk, order, is_closed, layout, demand }
    }

    /// What is where, without the items that it is of.
    pub(super) fn into_layout(self) -> Layout {
        self.layout
    }

    /// The same items, where they were in a yard like this one.
    pub(super) fn with_layout(self, layout: Layout) -> Self {
        Self { layout, ..self }
    }

    fn bins_mut(&mut self, stall: usize) -> &mut Vec<Bin> {
        Arc::make_mut(&mut self.layout.bins[stall])
    }

    /// How much of all that is wanted a copy of an item is, in millionths.
    pub(super) fn weight(&self, item: usize) -> u64 {
        self.weigh(self.items[item].request)
    }

    /// How much of all that is wanted this is, in millionths.
    pub(super) fn weigh(&self, request: Resources) -> u64 {
        request.dominant_share_micro(self.demand)
    }

    /// What one copy of an item costs at the least on a machine of its own, for what it needs.
    pub(super) fn dearness(&self, item: usize) -> i64 {
        let at = self.items[item].at.iter().enumerate();
        let costs = at.filter_map(|(stall, at)| Some(self.price_of_one(stall, item, 1)? + (*at)?));
        let weight = i64::try_from(self.weight(item).max(1)).unwrap_or(i64::MAX);
        costs.min().unwrap_or(NEVER) / weight
    }

    /// What the cheapest machine costs that is on sale for a copy of an item, where it may go.
    pub(super) fn least_price(&self, item: usize) -> Option<MicroDollars> {
        let at = self.items[item].at.iter().enumerate().filter(|(_, at)| at.is_some());
        let item = &self.items[item];
        let by_the_hour = Wanted { stay_s: 0, ..item.wanted.clone() };
        let offers =
            at.filter_map(|(stall, _)| self.cheapest_for(stall, item.request, &by_the_hour));
        offers.map(|offer| offer.price_micros_per_hour).min()
    }

    /// How many machines may still be bought at a stall.
    pub(super) fn may_buy(&self, stall: usize) -> u32 {
        if self.is_closed {
            return 0;
        }
        let cell = self.stalls.all[stall].cell;
        self.stalls.buy_max[cell].saturating_sub(self.bought(cell))
    }

    /// From here on nothing more is bought.
    pub(super) fn close(&mut self) {
        self.is_closed = true;
    }

    /// Machines may be bought again.
    pub(super) fn reopen(&mut self) {
        self.is_closed = false;
    }

    /// What the machines cost that are bought, an hour.
    pub(crate) fn to_buy(&self) -> MicroDollars {
        let bins = self.layout.bins.iter().flat_map(|bins| bins.iter());
        let bought = bins.filter(|bin| bin.machine.is_none());
        bought.map(|bin| bin.offer.price_micros_per_hour).sum()
    }

    /// How many machines are bought in a cell, the stalls of which are next to each other.
    fn bought(&self, cell: usize) -> u32 {
        let first = self.stalls.all.partition_point(|stall| stall.cell < cell);
        let own = self.stalls.all[first..].iter().take_while(|stall| stall.cell == cell);
        let own = own.zip(&self.layout.bins[first..]);
        let bought = own.map(|(_, bins)| bins.iter().filter(|bin| bin.machine.is_none()).count());
        u32::try_from(bought.sum::<usize>()).unwrap_or(u32::MAX)
    }

    /// Whether more machines are bought in a cell than may be.
    pub(super) fn is_overbought(&self) -> bool {
        let mut bought = vec![0u32; self.stalls.buy_max.len()];
        for (stall, bins) in self.stalls.all.iter().zip(&self.layout.bins) {
            let here = bins.iter().filter(|bin| bin.machine.is_none()).count();
            bought[stall.cell] += u32::try_from(here).unwrap_or(u32::MAX);
        }
        bought.iter().zip(&self.stalls.buy_max).any(|(bought, most)| bought > most)
    }

    /// Whether a machine that is bought costs an item more than it may.
    pub(super) fn is_overpriced(&self) -> bool {
        let limited = self.items.iter().any(|item| item.price_max.is_some());
        let mut bins = self.layout.bins.iter().flat_map(|bins| bins.iter());
        limited && bins.any(|bin| bin.is_overpriced(self.items))
    }

    /// Buys one machine at a stall for all that is on these, each given by stall and number.
    pub(super) fn buy_for(&mut self, stall: usize, market: Market, mut bins: Vec<(usize, usize)>) {
        let mut load: Vec<(usize, u32)> = Vec::new();
        // From behind, so that the numbers of the others stay as they are.
        bins.sort_unstable_by(|a, b| b.cmp(a));
        for (stall, bin) in bins {
            load.extend(self.empty(stall, bin));
        }
        self.buy_with(stall, market, &load);
    }

    /// Buys the cheapest machine at a stall for these items, each with the number of its copies.
    pub(super) fn buy_with(&mut self, stall: usize, market: Market, load: &[(usize, u32)]) {
        let sizes = load.iter().map(|(item, copies)| self.items[*item].request.times(*copies));
        let wanted = self.wanted_by_all(market, load.iter().map(|(item, _)| *item));
        let offer = wanted.and_then(|wanted| self.cheapest_for(stall, sizes.sum(), &wanted));
        let mut bin = Bin::bought(offer.expect("a machine for this was found a moment ago"));
        for (item, copies) in load {
            bin.put(*item, *copies, self.items);
        }
        self.bins_mut(stall).push(bin);
    }

    /// What it costs to put these items on an empty machine that runs, each given with the number of its copies; none
    /// where they do not fit or must not go.
    pub(super) fn cost_of_filling(
        &self,
        (stall, bin): (usize, usize),
        load: &[(usize, u32)],
    ) -> Option<i64> {
        let bin = &self.layout.bins[stall][bin];
        let (mut request, mut cost) = (Resources::NONE, bin.price);
        for (item, copies) in load {
            let item = &self.items[*item];
            request = request + item.request.times(*copies);
            cost += item.at[stall]? * i64::from(*copies);
            if !suits(item, bin, self.items) {
                return None;
            }
        }
        let copies: u32 = load.iter().map(|(_, copies)| copies).sum();
        (request.fits(bin.free) && copies <= bin.slots).then_some(cost)
    }

    /// Puts these items on a machine.
    pub(super) fn fill(&mut self, (stall, bin): (usize, usize), load: &[(usize, u32)]) {
        let items = self.items;
        for (item, copies) in load {
            self.bins_mut(stall)[bin].put(*item, *copies, items);
        }
    }

    /// What a stall has for up to so many copies of an item.
    pub(super) fn stock(&self, stall: usize, item: usize, most: u32) -> Stock {
        let wanted = &self.items[item];
        let mut stock = Stock::default();
        for (index, bin) in self.layout.bins[stall].iter().enumerate() {
            let takes = bin.takes(wanted.request);
            if takes == 0 || !suits(wanted, bin, self.items) {
                continue;
            }
            if bin.is_open() {
                stock.open = stock.open.saturating_add(takes).min(most);
            } else {
                stock.idle.push(Idle { takes, price: bin.price, bin: index });
            }
        }
        stock.buy_max = self.may_buy(stall);
        if stock.buy_max > 0 && stock.open < most {
            let price = |copies| {
                let offer = self.cheapest(stall, item, copies)?;
                let most = wanted.price_max.map(|max| max.0.saturating_mul(FINE));
                let is_over = |most: i64| fine(offer) > most.saturating_mul(copies.into());
                let price = offer.price_nanos_over(wanted.wanted.stay_s);
                Some(if most.is_some_and(is_over) { NEVER } else { price })
            };
            // Who may not pay for a machine alone may for one that others are on, though there is room for them elsewhere.
            let sizes = if wanted.price_max.is_some() { most } else { most - stock.open };
            stock.on_sale = (1..=sizes).map_while(price).collect();
        }
        stock
    }

    /// The cheapest machine on sale at a stall that takes so many copies.
    pub(super) fn cheapest(
        &self,
        stall: usize,
        item: usize,
        copies: u32,
    ) -> Option<&'a Arc<Offer>> {
        let item = &self.items[item];
        let request = item.request.times(copies);
        let offer = self.cheapest_for(stall, request, &item.wanted)?;
        let most = item.price_max.map(|max| MicroDollars(max.0.saturating_mul(copies.into())));
        let stay_s = item.wanted.stay_s;
        let wastes = |region: &&_| self.catalogue.has_hours_to_waste(region, stay_s);
        // Who stays for less than is paid for may find another one within a bound on what an hour costs.
        let within = most.filter(|most| offer.price_micros_per_hour > *most).and_then(|most| {
            self.stalls.all[stall].regions.iter().copied().find(wastes)?;
            let fits = |offer: &&Arc<Offer>| {
                offer.price_micros_per_hour <= most
                    && item.wanted.admits_to_buy(offer)
                    && request.fits(offer.capacity)
            };
            self.on_sale(stall).filter(fits).min_by_key(|offer| offer.price_nanos_over(stay_s))
        });
        Some(within.unwrap_or(offer))
    }

    /// What that comes to, for as long as it is needed.
    fn price_of_one(&self, stall: usize, item: usize, copies: u32) -> Option<i64> {
        let offer = self.cheapest(stall, item, copies)?;
        Some(offer.price_nanos_over(self.items[item].wanted.stay_s))
    }

    /// What a machine of a market must be for all of these items to run on it; none where nothing is.
    pub(super) fn wanted_by_all(
        &self,
        market: Market,
        mut items: impl Iterator<Item = usize>,
    ) -> Option<Wanted> {
        let first = &self.items[items.next()?].wanted;
        let mut wanted = first.and(first, market)?;
        for item in items {
            let other = &self.items[item].wanted;
            if !self.alike {
                wanted = wanted.and(other, market)?;
            } else if !other.admits_market(market) {
                return None;
            }
        }
        Some(wanted)
    }

    /// Everything that is on sale at a stall.
    pub(super) fn on_sale(&self, stall: usize) -> impl Iterator<Item = &'a Arc<Offer>> {
        let (catalogue, stall) = (self.catalogue, &self.stalls.all[stall]);
        let regions = stall.regions.iter();
        let offers = regions.flat_map(move |(provider, region)| catalogue.offers(provider, region));
        offers.filter(|offer| stall.sold.has(offer))
    }

    /// The cheapest machine on sale at a stall with so much room that is one of those that are wanted.
    pub(super) fn cheapest_for(
        &self,
        stall: usize,
        request: Resources,
        wanted: &Wanted,
    ) -> Option<&'a Arc<Offer>> {
        let (catalogue, here) = (self.catalogue, &self.stalls.all[stall]);
        let price = |offer: &Offer| offer.price_nanos_over(wanted.stay_s);
        let better = |a: &&Arc<Offer>, b: &&Arc<Offer>| {
            price(a).cmp(&price(b)).then_with(|| crate::catalogue::prefer(a, b))
        };
        let of_all = |wanted: &Wanted| {
            let regions = here.regions.iter();
            let offers = regions.filter_map(|(provider, region)| {
                catalogue.cheapest(provider, region, request, wanted)
            });
            offers.min_by(better)
        };
        match &here.sold {
            Sold::All => of_all(wanted),
            Sold::On(market) if !wanted.admits_market(*market) => None,
            Sold::On(market) => of_all(&wanted.on(*market)),
            Sold::Pool(_) | Sold::OtherPools(_) => {
                let fits = |offer: &&Arc<Offer>| {
                    wanted.admits_to_buy(offer) && request.fits(offer.capacity)
                };
                self.on_sale(stall).filter(fits).min_by(better)
            }
        }
    }

    /// Puts copies of an item at a stall, on what its cover takes for so many.
    pub(super) fn put(&mut self, stall: usize, item: usize, copies: u32, cover: &Cover) {
        let taken = cover.taken(copies as usize);
        let request = self.items[item].request;
        let mut left = copies;
        for size_bought in &taken.bought {
            let offer =
                self.cheapest(stall, item, *size_bought).expect("it was on sale a moment ago");
            let here = left.min(*size_bought);
            let mut bin = Bin::bought(offer);
            bin.put(item, here, self.items);
            left -= here;
            self.bins_mut(stall).push(bin);
        }
        let items = self.items;
        let bins = Arc::make_mut(&mut self.layout.bins[stall]);
        for index in taken.idle {
            let here = left.min(bins[index].takes(request));
            if here > 0 {
                bins[index].put(item, here, items);
                left -= here;
            }
        }
        // The cheapest first, and of those the fullest, so that what is left is in large pieces.
        let mut open: Vec<(MicroDollars, u32, usize)> = Vec::new();
        let mut last: Option<(*const Offer, MicroDollars)> = None;
        for (index, bin) in bins.iter().enumerate() {
            let room = bin.takes(request);
            if left > 0 && room > 0 && bin.is_open() && suits(&items[item], bin, items) {
                let offer = Arc::as_ptr(&bin.offer);
                let share = match last {
                    Some((same, share)) if same == offer => share,
                    _ => share_of_price(request, &bin.offer),
                };
                last = Some((offer, share));
                open.push((share, room, index));
            }
        }
        open.sort_unstable();
        for (_, room, index) in open {
            let here = left.min(room);
            if here > 0 {
                bins[index].put(item, here, items);
                left -= here;
            }
        }
        assert!(
            left == 0,
            "cover-has-room: {left} copies of item {item} are left at stall {stall}"
        );
    }

    /// Takes every copy of an item off again, those without a place too, and says how many.
    pub(super) fn lift(&mut self, item: usize) -> u32 {
        let items = self.items;
        let mut copies = std::mem::take(&mut self.layout.unplaced[item]);
        for bins in &mut self.layout.bins {
            if bins.iter().all(|bin| bin.load.iter().all(|(of, _)| *of != item)) {
                continue;
            }
            let bins = Arc::make_mut(bins);
            copies += bins.iter_mut().map(|bin| bin.take(item, items)).sum::<u32>();
            bins.retain(|bin| bin.machine.is_some() || !bin.load.is_empty());
        }
        copies
    }

    /// Empties a bin, and says what was on it.
    pub(super) fn empty(&mut self, stall: usize, bin: usize) -> Vec<(usize, u32)> {
        let found = &mut Arc::make_mut(&mut self.layout.bins[stall])[bin];
        let load = std::mem::take(&mut found.load);
        let sizes = load.iter().map(|(item, copies)| self.items[*item].request.times(*copies));
        found.free = found.free + sizes.sum();
        found.slots += load.iter().map(|(_, copies)| copies).sum::<u32>();
        if found.machine.is_none() {
            self.bins_mut(stall).remove(bin);
        }
        load
    }

    /// What all of it costs.
    pub(super) fn cost(&self) -> i64 {
        let of = |(stall, bins): (usize, &Arc<Vec<Bin>>)| -> i64 {
            let copies = |(item, copies): &(usize, u32)| {
                self.items[*item].at[stall].map_or(0, |at| at * i64::from(*copies))
            };
            bins.iter().map(|bin| bin.cost() + bin.load.iter().map(copies).sum::<i64>()).sum()
        };
        self.layout.bins.iter().enumerate().map(of).sum::<i64>() + self.penalties()
    }

    /// How good the layout is.
    pub(super) fn score(&self) -> Score {
        let ranks = self.order.iter().max().map_or(0, |most| most + 1);
        let mut unplaced = vec![0; ranks];
        for (rank, copies) in self.order.iter().zip(&self.layout.unplaced) {
            unplaced[*rank] += u64::from(*copies);
        }
        Score { unplaced, cost: self.cost() }
    }

    /// How many copies have no place.
    pub(super) fn unplaced(&self) -> u64 {
        self.layout.unplaced.iter().map(|copies| u64::from(*copies)).sum()
    }

    pub(super) fn packed(self) -> Packed {
        let cost = self.cost();
        let used = |(stall, bins): (usize, Arc<Vec<Bin>>)| {
            let bins = Arc::unwrap_or_clone(bins).into_iter().filter(|bin| !bin.load.is_empty());
            bins.map(move |bin| Used {
                stall,
                offer: bin.offer,
                machine: bin.machine,
                price: MicroDollars(bin.price / FINE),
                load: bin.load,
            })
        };
        let used = self.layout.bins.into_iter().enumerate().flat_map(used).collect();
        Packed { used, unplaced: self.layout.unplaced, cost }
    }
}
