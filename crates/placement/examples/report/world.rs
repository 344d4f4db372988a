//! What the tables share: the catalogue, and datacenters in its regions.

use std::sync::Arc;

use kato_core::{
    Arch, Market, MicroDollars, Offer, ProviderName, RegionName, Resources, Timestamp,
};
use kato_placement::catalogue::Defaults;
use kato_placement::{Catalogue, Room, Site, regions};

use crate::Failure;
use crate::options::Options;

/// What was read before any table is made.
pub(crate) struct World {
    pub(crate) options: Options,
    /// The catalogue's text.
    pub(crate) text: String,
    pub(crate) defaults: Defaults,
    pub(crate) catalogue: Catalogue,
}

impl World {
    pub(crate) fn read(options: Options) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(&options.path)
            .map_err(|error| format!("cannot read {}: {error}", options.path))?;
        let defaults = Defaults {
            provider: "ec2".parse()?,
            priced_at: Timestamp(0),
            source: "csv".to_owned(),
        };
        let catalogue = Catalogue::parse_csv(&text, &defaults)?;
        Ok(Self { options, text, defaults, catalogue })
    }

    /// What problems are drawn with.
    pub(crate) fn seed(&self) -> u64 {
        self.options.seed.unwrap_or(1)
    }

    /// A datacenter of one cell in each region whose place is known, without machines, that may buy so many.
    pub(crate) fn sites(&self, machines_to_buy_max: u32) -> Vec<Site> {
        let site = |(provider, region): (&ProviderName, &RegionName)| {
            let at = regions::coordinates(provider, region)?;
            Some(Site {
                regions: vec![(provider.clone(), region.clone())],
                country: regions::country(provider, region),
                machines_to_buy_max,
                ..Site::new(region.as_str().parse().ok()?, "cell-1".parse().ok()?, at)
            })
        };
        self.catalogue.regions().filter_map(site).collect()
    }

    /// Machines of 8 to 64 processors as a site's region sells them, some of each in use: one half is paid for anyway.
    pub(crate) fn machines(
        &self,
        site: &Site,
        count: usize,
        chance: &mut fastrand::Rng,
    ) -> Vec<Room> {
        let (provider, region) = &site.regions[0];
        let suits = |offer: &&Arc<Offer>| {
            offer.arch == Arch::X86_64
                && offer.market == Market::OnDemand
                && (8_000..=64_000).contains(&offer.capacity.cpu_millis)
        };
        let offers: Vec<&Arc<Offer>> =
            self.catalogue.offers(provider, region).filter(suits).collect();
        let machine = |_| {
            let offer = Arc::clone(offers[chance.usize(..offers.len())]);
            let taken = Resources::new(chance.u64(0..4_000), chance.u64(0..8_192));
            let adds = if chance.bool() { MicroDollars::ZERO } else { offer.price_micros_per_hour };
            Room { free: offer.capacity.saturating_sub(taken), adds, ..Room::whole(offer) }
        };
        (0..count).map(machine).collect()
    }
}
