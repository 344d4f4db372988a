//! Cells as the packing sees them, split by provider where a workload tells providers apart, and what of a workload may be
//! together on them.

use std::collections::BTreeMap;

use kato_core::{Level, MicroDollars, Preferred, ProviderName, Spread, WorkloadSpec};

use super::{Ask, Site};
use crate::pack::{self, FINE, Stall, Stalls};

/// The stalls, and what each is.
pub(super) struct Split<'a> {
    pub(super) stalls: Stalls<'a>,
    /// By stall: its site, and its provider if there are several.
    pub(super) owners: Vec<(usize, Option<&'a ProviderName>)>,
}

impl<'a> Split<'a> {
    pub(super) fn new(asks: &[Ask], sites: &[&'a Site]) -> Self {
        let apart = asks.iter().any(|ask| tells_providers_apart(ask.workload));
        if !apart {
            let owners = (0..sites.len()).map(|site| (site, None)).collect();
            return Self { stalls: Stalls::whole(sites.iter().copied()), owners };
        }
        let mut split = Self { stalls: Stalls { all: vec![], buy_max: vec![] }, owners: vec![] };
        for (cell, site) in sites.iter().enumerate() {
            split.stalls.buy_max.push(site.machines_to_buy_max);
            let mut own: BTreeMap<&ProviderName, Stall> = BTreeMap::new();
            let empty = || Stall { cell, machines: Vec::new(), regions: Vec::new() };
            for region in &site.regions {
                own.entry(&region.0).or_insert_with(empty).regions.push(region);
            }
            for (index, machine) in site.machines.iter().enumerate() {
                let stall = own.entry(&machine.offer.provider).or_insert_with(empty);
                stall.machines.push((index, machine));
            }
            if own.is_empty() {
                split.stalls.all.push(empty());
                split.owners.push((cell, None));
            }
            for (provider, stall) in own {
                split.stalls.all.push(stall);
                split.owners.push((cell, Some(provider)));
            }
        }
        split
    }

    /// The stalls of a site.
    pub(super) fn of(&self, site: usize) -> impl Iterator<Item = usize> {
        // The stalls of a site are next to each other.
        let first = self.owners.partition_point(|(owner, _)| *owner < site);
        let own = self.owners[first..].iter().take_while(move |(owner, _)| *owner == site);
        own.enumerate().map(move |(index, _)| first + index)
    }

    /// What is worth more than a stall's provider.
    pub(super) fn preference(&self, workload: &WorkloadSpec, stall: usize) -> MicroDollars {
        let (_, own) = self.owners[stall];
        let missed = workload.rules.preferences.iter().filter(
            |preference| matches!(&preference.what, Preferred::Provider(name) if own != Some(name)),
        );
        missed.map(|preference| preference.worth_micros_per_hour).sum()
    }

    /// How many copies of an ask may be together, each rule of it a level.
    pub(super) fn levels(&self, ask: &Ask, order: &[usize], sites: &[&Site]) -> Vec<pack::Level> {
        let spreads = ask.workload.rules.spreads.iter();
        spreads.map(|spread| self.level(spread, ask, order, sites)).collect()
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
            for (provider, copies) in ask.standings.get(*site).iter().flat_map(|s| &s.copies) {
                // Nothing more can be together with what is under a name that no stall has.
                if let Some(number) = numbers.get(&name(spread.over, sites[index], Some(provider)))
                {
                    most[*number] = most[*number].saturating_sub(*copies);
                }
            }
        }
        let excess = spread.excess_micros_per_hour.map(|excess| excess.0.saturating_mul(FINE));
        pack::Level { group, most, excess }
    }

    /// What a stall is together under.
    pub(super) fn name(&self, over: Level, stall: usize, sites: &[&Site]) -> String {
        let (site, provider) = self.owners[stall];
        name(over, sites[site], provider)
    }
}

/// What a copy at a site, on a machine of a provider, is together with others under.
pub(super) fn name(over: Level, site: &Site, provider: Option<&ProviderName>) -> String {
    match over {
        Level::Provider => provider.map(ToString::to_string).unwrap_or_default(),
        Level::Datacenter => site.datacenter.to_string(),
        Level::Zone => format!("{}.{}", site.zone.as_deref().unwrap_or_default(), site.datacenter),
        Level::Cell => format!("{}.{}", site.cell, site.datacenter),
    }
}

/// The most of `count` copies that may be together under a name. A target may leave out the datacenter of a zone.
pub(super) fn most_in(spread: &Spread, name: &str, count: u32) -> u32 {
    let short = name.rsplit_once('.').map_or(name, |(short, _)| short);
    let leaves_out = spread.over == Level::Zone && !spread.targets.contains_key(name);
    spread.most_in(if leaves_out { short } else { name }, count)
}

fn tells_providers_apart(workload: &WorkloadSpec) -> bool {
    let rules = &workload.rules;
    let provider = |what: &Preferred| matches!(what, Preferred::Provider(_));
    rules.spreads.iter().any(|spread| spread.over == Level::Provider)
        || rules.preferences.iter().any(|preference| provider(&preference.what))
}
