//! All machines of all sites while items are put on them and taken off again.

use std::cmp::Ordering;
use std::sync::Arc;

use kato_core::{MicroDollars, Offer, Resources, SpotPolicy};

use super::bin::{Bin, suits};
use super::cover::{Cover, Idle, NEVER, Stock};
use super::spread::Spread;
use super::{CHUNK, FINE, Item, Packed, Used, share_of_price};
use crate::catalogue::Catalogue;
use crate::place::{ARCH, Room, Site};

/// Sites of which no more than so many copies may be together.
struct Group {
    number: usize,
    most: u32,
    spread: Spread,
    covers: Vec<(usize, Cover)>,
}

impl Group {
    fn new(number: usize, most: u32) -> Self {
        Self { number, most, spread: Spread::new(most), covers: Vec::new() }
    }
}

/// The machines of a site, in one order whatever order they came in: those first whose use costs least, and of those the ones
/// with the least room.
fn running(site: &Site) -> Vec<Bin> {
    let bin = |(machine, room): (usize, &Room)| Bin {
        offer: Arc::clone(&room.offer),
        machine: Some(machine),
        price: room.adds.0.saturating_mul(FINE),
        free: room.free,
        load: Vec::new(),
    };
    let mut bins: Vec<Bin> = site.machines.iter().enumerate().map(bin).collect();
    bins.sort_by(|a, b| {
        let same = Arc::ptr_eq(&a.offer, &b.offer);
        let by_offer = || if same { Ordering::Equal } else { a.offer.cmp(&b.offer) };
        (a.price, a.free).cmp(&(b.price, b.free)).then_with(by_offer)
    });
    bins
}

/// A machine's price in billionths of a dollar.
pub(super) fn fine(offer: &Offer) -> i64 {
    offer.price_micros_per_hour.0.saturating_mul(FINE)
}

/// What is where.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    /// By site. Shared with earlier layouts until it changes: most steps change a few sites.
    pub(super) bins: Vec<Arc<Vec<Bin>>>,
    /// By item.
    pub(super) unplaced: Vec<u32>,
}

/// The sites, and what is put on them.
pub(crate) struct Yard<'a> {
    pub(super) items: &'a [Item],
    sites: &'a [&'a Site],
    catalogue: &'a Catalogue,
    pub(super) layout: Layout,
    demand: Resources,
}

impl<'a> Yard<'a> {
    pub(super) fn new(items: &'a [Item], sites: &'a [&'a Site], catalogue: &'a Catalogue) -> Self {
        let bins = sites.iter().map(|site| Arc::new(running(site)));
        let demand = items.iter().map(|item| item.request.times(item.copies)).sum();
        let layout = Layout { bins: bins.collect(), unplaced: vec![0; items.len()] };
        Self { items, sites, catalogue, layout, demand }
    }

    fn bins_mut(&mut self, site: usize) -> &mut Vec<Bin> {
        Arc::make_mut(&mut self.layout.bins[site])
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
        let costs = at.filter_map(|(site, at)| Some(fine(self.cheapest(site, item, 1)?) + (*at)?));
        let weight = i64::try_from(self.weight(item).max(1)).unwrap_or(i64::MAX);
        costs.min().unwrap_or(NEVER) / weight
    }

    /// How many machines may still be bought at a site.
    pub(super) fn may_buy(&self, site: usize) -> u32 {
        self.sites[site].machines_to_buy_max.saturating_sub(self.bought(site))
    }

    fn bought(&self, site: usize) -> u32 {
        let bought = self.layout.bins[site].iter().filter(|bin| bin.machine.is_none()).count();
        u32::try_from(bought).unwrap_or(u32::MAX)
    }

    /// Whether more machines are bought at a site than may be.
    pub(super) fn is_overbought(&self) -> bool {
        let mut sites = self.sites.iter().enumerate();
        sites.any(|(index, site)| self.bought(index) > site.machines_to_buy_max)
    }

    /// Whether a machine that is bought costs an item more than it may.
    pub(super) fn is_overpriced(&self) -> bool {
        let limited = self.items.iter().any(|item| item.price_max.is_some());
        let mut bins = self.layout.bins.iter().flat_map(|bins| bins.iter());
        limited && bins.any(|bin| bin.is_overpriced(self.items))
    }

    /// Buys one machine at a site for all that is on these, each given by site and number.
    pub(super) fn buy_for(&mut self, site: usize, spot: SpotPolicy, mut bins: Vec<(usize, usize)>) {
        let mut load: Vec<(usize, u32)> = Vec::new();
        // From behind, so that the numbers of the others stay as they are.
        bins.sort_unstable_by(|a, b| b.cmp(a));
        for (site, bin) in bins {
            load.extend(self.empty(site, bin));
        }
        self.buy_with(site, spot, &load);
    }

    /// Buys the cheapest machine at a site for these items, each with the number of its copies.
    pub(super) fn buy_with(&mut self, site: usize, spot: SpotPolicy, load: &[(usize, u32)]) {
        let sizes = load.iter().map(|(item, copies)| self.items[*item].request.times(*copies));
        let offer = self.cheapest_for(site, sizes.sum(), spot);
        let mut bin = Bin::bought(offer.expect("a machine for this was found a moment ago"));
        for (item, copies) in load {
            bin.put(*item, self.items[*item].request, *copies);
        }
        self.bins_mut(site).push(bin);
    }

    /// What it costs to put these items on an empty machine that runs, each given with the number of its copies; none
    /// where they do not fit or must not go.
    pub(super) fn cost_of_filling(
        &self,
        (site, bin): (usize, usize),
        load: &[(usize, u32)],
    ) -> Option<i64> {
        let bin = &self.layout.bins[site][bin];
        let (mut request, mut cost) = (Resources::NONE, bin.price);
        for (item, copies) in load {
            let item = &self.items[*item];
            request = request + item.request.times(*copies);
            cost += item.at[site]? * i64::from(*copies);
            if !suits(item, bin, self.items) {
                return None;
            }
        }
        request.fits(bin.free).then_some(cost)
    }

    /// Puts these items on a machine.
    pub(super) fn fill(&mut self, (site, bin): (usize, usize), load: &[(usize, u32)]) {
        for (item, copies) in load {
            let request = self.items[*item].request;
            self.bins_mut(site)[bin].put(*item, request, *copies);
        }
    }

    /// Places copies of an item where they cost least beside all that is placed; what fits nowhere is noted.
    pub(super) fn add(&mut self, item: usize, mut copies: u32) {
        while copies > 0 {
            let now = copies.min(CHUNK);
            let placed = self.add_chunk(item, now);
            copies -= placed;
            if placed < now {
                self.layout.unplaced[item] += copies;
                return;
            }
        }
    }

    fn add_chunk(&mut self, item: usize, copies: u32) -> u32 {
        let wanted = &self.items[item];
        let mut groups: Vec<Group> = Vec::new();
        for (site, at) in wanted.at.iter().enumerate() {
            let Some(at) = at else { continue };
            let number = wanted.group.get(site).copied().unwrap_or(site);
            let known = groups.iter().position(|group| group.number == number);
            let index = known.unwrap_or_else(|| {
                let most = wanted.most_in(number);
                let here = if most == u32::MAX { 0 } else { self.copies_in(item, number) };
                groups.push(Group::new(number, copies.min(most.saturating_sub(here))));
                groups.len() - 1
            });
            let most = groups[index].most;
            if most == 0 {
                continue;
            }
            let cover = Cover::new(self.stock(site, item, most), most);
            let cost = |(copies, price): (i64, &i64)| price.saturating_add(at * copies).min(NEVER);
            let costs: Vec<i64> = (0..).zip(&cover.price).map(cost).collect();
            groups[index].spread.add(&costs);
            groups[index].covers.push((site, cover));
        }
        let mut spread = Spread::new(copies);
        for group in &groups {
            spread.add(group.spread.costs());
        }
        let mut placed = 0;
        for (group, here) in groups.into_iter().zip(spread.most()) {
            let sites = group.spread.places(here);
            for ((site, cover), here) in group.covers.into_iter().zip(sites) {
                if here > 0 {
                    self.put(site, item, here, &cover);
                    placed += here;
                }
            }
        }
        placed
    }

    /// How many copies of an item are in a group of its sites.
    fn copies_in(&self, item: usize, group: usize) -> u32 {
        let sites = self.items[item].group.iter().enumerate();
        let here = sites.filter(|(_, of)| **of == group).map(|(site, _)| site);
        let loads = here.flat_map(|site| self.layout.bins[site].iter().flat_map(|bin| &bin.load));
        loads.filter(|(of, _)| *of == item).map(|(_, copies)| copies).sum()
    }

    /// What a site has for up to so many copies of an item.
    fn stock(&self, site: usize, item: usize, most: u32) -> Stock {
        let wanted = &self.items[item];
        let mut stock = Stock::default();
        for (index, bin) in self.layout.bins[site].iter().enumerate() {
            let takes = bin.free.holds(wanted.request);
            if takes == 0 || !suits(wanted, bin, self.items) {
                continue;
            }
            if bin.is_open() {
                stock.open = stock.open.saturating_add(takes).min(most);
            } else {
                stock.idle.push(Idle { takes, price: bin.price, bin: index });
            }
        }
        stock.buy_max = self.may_buy(site);
        if stock.buy_max > 0 && stock.open < most {
            let price = |copies| {
                let price = fine(self.cheapest(site, item, copies)?);
                let most = wanted.price_max.map(|max| max.0.saturating_mul(FINE));
                let dear = most.is_some_and(|most| price > most.saturating_mul(copies.into()));
                Some(if dear { NEVER } else { price })
            };
            stock.on_sale = (1..=most - stock.open).map_while(price).collect();
        }
        stock
    }

    /// The cheapest machine on sale at a site that takes so many copies.
    pub(super) fn cheapest(&self, site: usize, item: usize, copies: u32) -> Option<&'a Arc<Offer>> {
        let wanted = &self.items[item];
        self.cheapest_for(site, wanted.request.times(copies), wanted.spot)
    }

    /// The cheapest machine on sale at a site with so much room.
    pub(super) fn cheapest_for(
        &self,
        site: usize,
        request: Resources,
        spot: SpotPolicy,
    ) -> Option<&'a Arc<Offer>> {
        let catalogue = self.catalogue;
        let regions = self.sites[site].regions.iter();
        let offers = regions.filter_map(|(provider, region)| {
            catalogue.cheapest(provider, region, request, spot, ARCH)
        });
        offers.min_by(|a, b| crate::catalogue::prefer(a, b))
    }

    /// Puts copies of an item at a site, on what its cover takes for so many.
    fn put(&mut self, site: usize, item: usize, copies: u32, cover: &Cover) {
        let taken = cover.taken(copies as usize);
        let request = self.items[item].request;
        let mut left = copies;
        for size_bought in &taken.bought {
            let offer =
                self.cheapest(site, item, *size_bought).expect("it was on sale a moment ago");
            let here = left.min(*size_bought);
            let mut bin = Bin::bought(offer);
            bin.put(item, request, here);
            left -= here;
            self.bins_mut(site).push(bin);
        }
        let items = self.items;
        let bins = Arc::make_mut(&mut self.layout.bins[site]);
        for index in taken.idle {
            let here = left.min(bins[index].free.holds(request));
            if here > 0 {
                bins[index].put(item, request, here);
                left -= here;
            }
        }
        // The cheapest first, and of those the fullest, so that what is left is in large pieces.
        let mut open: Vec<(MicroDollars, u32, usize)> = Vec::new();
        let mut last: Option<(*const Offer, MicroDollars)> = None;
        for (index, bin) in bins.iter().enumerate() {
            let room = bin.free.holds(request);
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
                bins[index].put(item, request, here);
                left -= here;
            }
        }
        assert!(left == 0, "cover-has-room: {left} copies of item {item} are left at site {site}");
    }

    /// Takes every copy of an item off again, those without a place too, and says how many.
    pub(super) fn lift(&mut self, item: usize) -> u32 {
        let request = self.items[item].request;
        let mut copies = std::mem::take(&mut self.layout.unplaced[item]);
        for bins in &mut self.layout.bins {
            if bins.iter().all(|bin| bin.load.iter().all(|(of, _)| *of != item)) {
                continue;
            }
            let bins = Arc::make_mut(bins);
            copies += bins.iter_mut().map(|bin| bin.take(item, request)).sum::<u32>();
            bins.retain(|bin| bin.machine.is_some() || !bin.load.is_empty());
        }
        copies
    }

    /// Empties a bin, and says what was on it.
    pub(super) fn empty(&mut self, site: usize, bin: usize) -> Vec<(usize, u32)> {
        let found = &mut Arc::make_mut(&mut self.layout.bins[site])[bin];
        let load = std::mem::take(&mut found.load);
        let sizes = load.iter().map(|(item, copies)| self.items[*item].request.times(*copies));
        found.free = found.free + sizes.sum();
        if found.machine.is_none() {
            self.bins_mut(site).remove(bin);
        }
        load
    }

    /// What all of it costs.
    pub(super) fn cost(&self) -> i64 {
        let of = |(site, bins): (usize, &Arc<Vec<Bin>>)| -> i64 {
            let copies = |(item, copies): &(usize, u32)| {
                self.items[*item].at[site].map_or(0, |at| at * i64::from(*copies))
            };
            bins.iter().map(|bin| bin.cost() + bin.load.iter().map(copies).sum::<i64>()).sum()
        };
        self.layout.bins.iter().enumerate().map(of).sum()
    }

    /// How many copies have no place.
    pub(super) fn unplaced(&self) -> u64 {
        self.layout.unplaced.iter().map(|copies| u64::from(*copies)).sum()
    }

    pub(super) fn packed(self) -> Packed {
        let cost = self.cost();
        let used = |(site, bins): (usize, Arc<Vec<Bin>>)| {
            let bins = Arc::unwrap_or_clone(bins).into_iter().filter(|bin| !bin.load.is_empty());
            bins.map(move |bin| Used {
                site,
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
