//! Cells as the packing sees them, split where a workload tells providers, markets or pools apart, and what of a workload may be
//! together on them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use kato_core::{
    Level, Market, MicroDollars, Offer, Preferred, ProviderName, RegionName, Spread, Timestamp,
    WorkloadSpec,
};

use super::{Ask, Site};
use crate::catalogue::{Catalogue, Wanted};
use crate::pack::{self, FINE, Sold, Stall, Stalls};

/// The pools of a region that are told apart from all its others: those that are cheapest for a workload, at least and at most.
const POOLS_MIN: u32 = 4;
const POOLS_MAX: u32 = 16;

/// The stalls, and what each is.
pub(super) struct Split<'a> {
    pub(super) stalls: Stalls<'a>,
    /// By stall.
    pub(super) owners: Vec<Owner<'a>>,
}

/// What a stall is of.
pub(super) struct Owner<'a> {
    pub(super) site: usize,
    /// Whose machines they are, where that is told apart.
    provider: Option<&'a ProviderName>,
    lot: Lot<'a>,
}

/// Which machines of a provider are told apart from its others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Lot<'a> {
    /// None.
    All,
    OnDemand,
    Spot,
    /// Spot machines of a kind in a region.
    Pool(&'a ProviderName, &'a RegionName, &'a str),
    /// Those of all other kinds.
    OtherPools(&'a ProviderName, &'a RegionName),
}

/// What workloads tell apart.
#[derive(Debug, Clone, Copy, Default)]
struct Apart {
    providers: bool,
    markets: bool,
    pools: bool,
}

impl<'a> Split<'a> {
    pub(super) fn new(
        asks: &'a [Ask<'a>],
        sites: &[&'a Site],
        (catalogue, now): (&'a Catalogue, Timestamp),
    ) -> Self {
        let apart = Apart::by(asks);
        if !(apart.providers || apart.markets) {
            let owner = |site| Owner { site, provider: None, lot: Lot::All };
            let owners = (0..sites.len()).map(owner).collect();
            return Self { stalls: Stalls::whole(sites.iter().copied()), owners };
        }
        let pools =
            if apart.pools { pools(asks, sites, (catalogue, now)) } else { BTreeMap::new() };
        let mut split = Self { stalls: Stalls { all: vec![], buy_max: vec![] }, owners: vec![] };
        for (cell, site) in sites.iter().enumerate() {
            split.stalls.buy_max.push(site.machines_to_buy_max);
            let mut own: BTreeMap<(Option<&ProviderName>, Lot), Stall> = BTreeMap::new();
            let empty = || Stall { cell, machines: vec![], regions: vec![], sold: Sold::All };
            for region in &site.regions {
                for (lot, sold) in apart.lots(region, pools.get(region)) {
                    let key = (apart.provider(&region.0), lot);
                    let stall = own.entry(key).or_insert_with(empty);
                    stall.sold = sold;
                    stall.regions.push(region);
                }
            }
            for (index, machine) in site.machines.iter().enumerate() {
                let key = (apart.provider(&machine.offer.provider), apart.lot(&machine.offer));
                own.entry(key).or_insert_with(empty).machines.push((index, machine));
            }
            if own.is_empty() {
                own.insert((None, if apart.markets { Lot::OnDemand } else { Lot::All }), empty());
            }
            for ((provider, lot), stall) in own {
                split.stalls.all.push(stall);
                split.owners.push(Owner { site: cell, provider, lot });
            }
        }
        split
    }

    /// The stalls of a site, which are next to each other.
    pub(super) fn of(&self, site: usize) -> Range<usize> {
        let first = self.owners.partition_point(|owner| owner.site < site);
        let own = self.owners[first..].iter().take_while(|owner| owner.site == site);
        first..first + own.count()
    }

    /// What is worth more than a stall's provider.
    pub(super) fn preference(&self, workload: &WorkloadSpec, stall: usize) -> MicroDollars {
        let own = self.owners[stall].provider;
        let missed = workload.rules.preferences.iter().filter(
            |preference| matches!(&preference.what, Preferred::Provider(name) if own != Some(name)),
        );
        missed.map(|preference| preference.worth_micros_per_hour).sum()
    }

    /// How many copies of an ask may be together, each rule of it a level; and how many may be on spot the last one, if that has
    /// a limit.
    pub(super) fn levels(&self, ask: &Ask, order: &[usize], sites: &[&Site]) -> Vec<pack::Level> {
        let spreads = ask.workload.rules.spreads.iter();
        let mut levels: Vec<pack::Level> =
            spreads.map(|spread| self.level(spread, ask, order, sites)).collect();
        if keeps_on_demand(ask.workload) {
            let is_spot = |owner: &Owner| usize::from(owner.lot != Lot::OnDemand);
            let stays = order.iter().filter_map(|site| ask.standings.get(*site));
            let stays = stays.flat_map(|standing| &standing.copies);
            let on_spot = stays.filter(|(offer, _)| offer.market == Market::Spot);
            let on_spot: u32 = on_spot.map(|(_, copies)| copies).sum();
            let most = ask.workload.rules.on_spot_max(ask.workload.count);
            let group = self.owners.iter().map(is_spot).collect();
            let most = vec![u32::MAX, most.saturating_sub(on_spot)];
            levels.push(pack::Level { group, most, excess: None });
        }
        levels
    }

    fn level(&self, spread: &Spread, ask: &Ask, order: &[usize], sites: &[&Site]) -> pack::Level {
        let mut numbers: BTreeMap<String, usize> = BTreeMap::new();
        let mut group = Vec::with_capacity(self.owners.len());
        for stall in 0..self.owners.len() {
            let next = numbers.len();
            group.push(*numbers.entry(self.name(spread.over, stall, sites)).or_insert(next));
        }
        let mut most = vec![0; numbers.len()];
        for (name, number) in &numbers {
            most[*number] = most_in(spread, name, ask.workload.count);
        }
        for (index, site) in order.iter().enumerate() {
            for (offer, copies) in ask.standings.get(*site).iter().flat_map(|s| &s.copies) {
                // Nothing more can be together with what is under a name that no stall has.
                let number = match spread.over {
                    Level::Pool => {
                        let others = Lot::OtherPools(&offer.provider, &offer.region);
                        let others = || numbers.get(&others.name());
                        numbers.get(&pool_name(offer)).or_else(others)
                    }
                    over => numbers.get(&name(over, sites[index], Some(&offer.provider))),
                };
                if let Some(number) = number {
                    most[*number] = most[*number].saturating_sub(*copies);
                }
            }
        }
        let excess = spread.excess_micros_per_hour.map(|excess| excess.0.saturating_mul(FINE));
        pack::Level { group, most, excess }
    }

    /// What a stall is together under.
    pub(super) fn name(&self, over: Level, stall: usize, sites: &[&Site]) -> String {
        let Owner { site, provider, lot } = &self.owners[stall];
        if over == Level::Pool { lot.name() } else { name(over, sites[*site], *provider) }
    }
}

impl Apart {
    fn by(asks: &[Ask]) -> Self {
        let mut apart = Self::default();
        for rules in asks.iter().map(|ask| &ask.workload.rules) {
            let spreads = |level: Level| rules.spreads.iter().any(|spread| spread.over == level);
            let provider = |what: &Preferred| matches!(what, Preferred::Provider(_));
            apart.providers |= spreads(Level::Provider)
                || rules.preferences.iter().any(|preference| provider(&preference.what));
            apart.pools |= spreads(Level::Pool);
        }
        apart.markets = apart.pools || asks.iter().any(|ask| keeps_on_demand(ask.workload));
        apart
    }

    /// A provider, if it is told apart from others: a pool is of one.
    fn provider(self, provider: &ProviderName) -> Option<&ProviderName> {
        (self.providers || self.pools).then_some(provider)
    }

    /// What of a region is told apart, and what each sells of it.
    fn lots<'a>(
        self,
        (provider, region): &'a (ProviderName, RegionName),
        pools: Option<&BTreeSet<&'a str>>,
    ) -> Vec<(Lot<'a>, Sold)> {
        if !self.markets {
            return vec![(Lot::All, Sold::All)];
        }
        let mut lots = vec![(Lot::OnDemand, Sold::On(Market::OnDemand))];
        let Some(pools) = pools else {
            lots.push((Lot::Spot, Sold::On(Market::Spot)));
            return lots;
        };
        let pool =
            |kind: &&'a str| (Lot::Pool(provider, region, kind), Sold::Pool((*kind).to_owned()));
        lots.extend(pools.iter().map(pool));
        let kinds = pools.iter().map(|kind| (*kind).to_owned()).collect();
        lots.push((Lot::OtherPools(provider, region), Sold::OtherPools(Arc::new(kinds))));
        lots
    }

    /// Which of them a machine is of.
    fn lot(self, offer: &Offer) -> Lot<'_> {
        match offer.market {
            _ if !self.markets => Lot::All,
            Market::OnDemand => Lot::OnDemand,
            Market::Spot if self.pools => Lot::Pool(&offer.provider, &offer.region, &offer.kind),
            Market::Spot => Lot::Spot,
        }
    }
}

impl Lot<'_> {
    /// What its copies are together under as a pool; nothing where they are not.
    fn name(self) -> String {
        match self {
            Self::All | Self::OnDemand | Self::Spot => String::new(),
            Self::Pool(provider, region, kind) => format!("{kind} {region} {provider}"),
            Self::OtherPools(provider, region) => format!(" {region} {provider}"),
        }
    }
}

/// What a copy on a machine is together with others under as a pool.
fn pool_name(offer: &Offer) -> String {
    match offer.market {
        Market::OnDemand => String::new(),
        Market::Spot => Lot::Pool(&offer.provider, &offer.region, &offer.kind).name(),
    }
}

/// By region, the kinds of spot machines that are told apart, in all cells that buy there: those that run, those that copies are
/// on, and those that are cheapest for each workload with a limit on pools, for as many copies as may be in one.
fn pools<'a>(
    asks: &'a [Ask<'a>],
    sites: &[&'a Site],
    (catalogue, now): (&'a Catalogue, Timestamp),
) -> BTreeMap<(ProviderName, RegionName), BTreeSet<&'a str>> {
    let mut pools: BTreeMap<(ProviderName, RegionName), BTreeSet<&str>> = BTreeMap::new();
    for region in sites.iter().flat_map(|site| &site.regions) {
        pools.entry(region.clone()).or_default();
    }
    let running = sites.iter().flat_map(|site| &site.machines).map(|machine| &machine.offer);
    let standings = asks.iter().flat_map(|ask| &ask.standings);
    let staying = standings.flat_map(|standing| &standing.copies).map(|(offer, _)| offer);
    for offer in running.chain(staying).filter(|offer| offer.market == Market::Spot) {
        if let Some(kinds) = pools.get_mut(&(offer.provider.clone(), offer.region.clone())) {
            kinds.insert(&offer.kind);
        }
    }
    for ask in asks {
        let rule = ask.workload.rules.spreads.iter().find(|spread| spread.over == Level::Pool);
        let wanted = Wanted::by(ask.workload, now);
        let Some(rule) = rule.filter(|_| wanted.admits_market(Market::Spot)) else { continue };
        for ((provider, region), kinds) in &mut pools {
            kinds.extend(cheapest_pools(ask, rule, &wanted, catalogue.offers(provider, region)));
        }
    }
    pools
}

/// The kinds of spot machines that are cheapest for a workload by what a copy costs on them, as many as it may need beside those
/// that it is in.
fn cheapest_pools<'c>(
    ask: &Ask,
    rule: &Spread,
    wanted: &Wanted,
    offers: impl Iterator<Item = &'c Arc<Offer>>,
) -> Vec<&'c str> {
    let Ask { workload, standings, copies, .. } = ask;
    let most = rule.most_in("", workload.count).clamp(1, (*copies).max(1));
    let fits = |offer: &&Arc<Offer>| {
        offer.market == Market::Spot
            && wanted.admits_to_buy(offer)
            && workload.request.fits(offer.capacity)
    };
    let mut ranked: Vec<(i64, &str)> = offers
        .filter(fits)
        .map(|offer| {
            let takes = offer.capacity.holds(workload.request).clamp(1, most);
            (offer.price_nanos_over(wanted.stay_s) / i64::from(takes), offer.kind.as_str())
        })
        .collect();
    ranked.sort_unstable();
    let staying = standings.iter().map(|standing| standing.copies.len()).sum::<usize>();
    let needed = copies.div_ceil(most).clamp(POOLS_MIN, POOLS_MAX) as usize;
    ranked
        .into_iter()
        .take(needed + staying.min(POOLS_MAX as usize))
        .map(|(_, kind)| kind)
        .collect()
}

/// What a copy at a site, on a machine of a provider, is together with others under.
pub(super) fn name(over: Level, site: &Site, provider: Option<&ProviderName>) -> String {
    match over {
        Level::Provider => provider.map(ToString::to_string).unwrap_or_default(),
        Level::Datacenter => site.datacenter.to_string(),
        Level::Zone => format!("{}.{}", site.zone.as_deref().unwrap_or_default(), site.datacenter),
        Level::Cell => format!("{}.{}", site.cell, site.datacenter),
        // That is the machine's.
        Level::Pool => String::new(),
    }
}

/// The most of `count` copies that may be together under a name. A target may leave out the datacenter of a zone.
pub(super) fn most_in(spread: &Spread, name: &str, count: u32) -> u32 {
    if spread.over == Level::Pool && name.is_empty() {
        return u32::MAX;
    }
    let short = name.rsplit_once('.').map_or(name, |(short, _)| short);
    let leaves_out = spread.over == Level::Zone && !spread.targets.contains_key(name);
    spread.most_in(if leaves_out { short } else { name }, count)
}

/// Whether some of a workload's copies must be on demand.
fn keeps_on_demand(workload: &WorkloadSpec) -> bool {
    workload.rules.on_demand_min.is_some()
}
