//! What can be bought where, indexed so that the cheapest machine for a request is found without a
//! scan: a placement asks once for every region of every datacenter.

mod date;
mod parse;
mod shelf;
mod wanted;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use kato_core::{Market, MicroDollars, Offer, ProviderName, RegionName, Resources, Timestamp};

use shelf::Shelf;
pub use wanted::Wanted;
pub(crate) use wanted::longer;

/// The most rows that a catalogue's text may have.
pub const ROWS_MAX: usize = 1_000_000;

const BUILTIN: &str = include_str!("../data/offers.csv");

/// Offers by provider and region. A clone shares the index of every region, until one of the two gets other offers there.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    shelves: BTreeMap<ProviderName, BTreeMap<RegionName, Arc<Shelf>>>,
}

/// What a row is taken to say where its column is absent or empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defaults {
    /// For `Provider`.
    pub provider: ProviderName,
    /// For `PricedAt`.
    pub priced_at: Timestamp,
    /// For `Source`.
    pub source: String,
}

/// Why a text is not a catalogue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct CatalogueError {
    /// The line of the text, from 1.
    pub line: u64,
    /// The column by its name in the header; `row` where the whole row is wrong.
    pub column: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// The offers that a text in the form of [`Catalogue::parse_csv`] has: to read it and index it apart.
pub fn read_csv(text: &str, defaults: &Defaults) -> Result<Vec<Offer>, CatalogueError> {
    parse::offers(text, defaults, ROWS_MAX, Err)
}

impl Catalogue {
    /// A catalogue of `offers`. Offers of one provider, region, kind and market (as the zones of a
    /// region give them) become one, the cheapest.
    pub fn new(offers: impl IntoIterator<Item: Into<Arc<Offer>>>) -> Self {
        let mut regions: BTreeMap<ProviderName, BTreeMap<RegionName, Vec<Arc<Offer>>>> =
            BTreeMap::new();
        for offer in offers {
            let offer = offer.into();
            // Most offers join a region that is known: clone the names only where one is not.
            if let Some(shelf) =
                regions.get_mut(&offer.provider).and_then(|regions| regions.get_mut(&offer.region))
            {
                shelf.push(offer);
            } else {
                let regions = regions.entry(offer.provider.clone()).or_default();
                regions.insert(offer.region.clone(), vec![offer]);
            }
        }
        let shelves = regions.into_iter().map(|(provider, regions)| {
            let shelves =
                regions.into_iter().map(|(region, offers)| (region, Arc::new(Shelf::new(offers))));
            (provider, shelves.collect())
        });
        Self { shelves: shelves.collect() }
    }

    /// Reads a catalogue in the form of `SkyPilot`'s (columns are found by their header names), with
    /// our optional columns `Provider`, `PricedAt` (`YYYY-MM-DD`) and `Source`. A row is an on-demand
    /// offer where `Price` is given and a spot offer where `SpotPrice` is.
    pub fn parse_csv(text: &str, defaults: &Defaults) -> Result<Self, CatalogueError> {
        Ok(Self::new(read_csv(text, defaults)?))
    }

    /// Reads one without the rows that are not understood, and says what is wrong with each of those. Without a header that
    /// names the columns, and with too many rows, nothing of it is taken.
    pub fn parse_csv_in_part(
        text: &str,
        defaults: &Defaults,
    ) -> Result<(Self, Vec<CatalogueError>), CatalogueError> {
        let mut skipped = Vec::new();
        let skip = |error| {
            skipped.push(error);
            Ok(())
        };
        let catalogue = Self::new(parse::offers(text, defaults, ROWS_MAX, skip)?);
        Ok((catalogue, skipped))
    }

    /// The catalogue that the crate carries, for a start without a price feed: common EC2 types and
    /// Packet's plans. Each offer names its source and date; none of them is a live price.
    pub fn builtin() -> Self {
        // The table names all three in every row; these stand in for none of them.
        let provider = ProviderName::new("ec2").expect("builtin-catalogue-parses: its provider");
        let defaults = Defaults { provider, priced_at: Timestamp(0), source: String::new() };
        match Self::parse_csv(BUILTIN, &defaults) {
            Ok(catalogue) => catalogue,
            Err(error) => panic!("builtin-catalogue-parses: {error}"),
        }
    }

    /// Sells these in a region from now on, and nothing else there: for a feed that tells the prices of one region after the
    /// other. The index of that region alone is built anew.
    ///
    /// # Panics
    /// When one of them is not of that region.
    pub fn set_region(
        &mut self,
        provider: &ProviderName,
        region: &RegionName,
        offers: impl IntoIterator<Item: Into<Arc<Offer>>>,
    ) {
        let offers: Vec<Arc<Offer>> = offers.into_iter().map(Into::into).collect();
        for offer in &offers {
            let is_there = offer.provider == *provider && offer.region == *region;
            assert!(
                is_there,
                "offers-are-of-their-region: {offer:?} is not of {provider} {region}"
            );
        }
        let shelves = self.shelves.entry(provider.clone()).or_default();
        if offers.is_empty() {
            shelves.remove(region);
        } else {
            shelves.insert(region.clone(), Arc::new(Shelf::new(offers)));
        }
        self.shelves.retain(|_, shelves| !shelves.is_empty());
    }

    /// The cheapest machine in a region, for as long as it is needed, that `request` fits and that is one of those that are wanted.
    /// Ties go to on-demand, then to the kind that sorts first. Logarithmic in the region's sizes, unless more than processors,
    /// memory and market decide: then the region's offers are gone through by price.
    pub fn cheapest(
        &self,
        provider: &ProviderName,
        region: &RegionName,
        request: Resources,
        wanted: &Wanted,
    ) -> Option<&Arc<Offer>> {
        if !wanted.admits_provider(provider) {
            return None;
        }
        self.shelf(provider, region)?.cheapest(request, wanted)
    }

    /// Whether somebody who stays so long, in seconds, pays for more than that for some of a region's offers.
    pub(crate) fn has_hours_to_waste(
        &self,
        (provider, region): &(ProviderName, RegionName),
        stay_s: u64,
    ) -> bool {
        self.shelf(provider, region).is_some_and(|shelf| shelf.has_hours_to_waste(stay_s))
    }

    /// A region's offers, the cheapest first.
    pub fn offers(
        &self,
        provider: &ProviderName,
        region: &RegionName,
    ) -> impl Iterator<Item = &Arc<Offer>> {
        self.shelf(provider, region).into_iter().flat_map(Shelf::offers)
    }

    /// Every offer, by provider, region and price: to build a catalogue that holds others besides.
    pub fn all_offers(&self) -> impl Iterator<Item = &Arc<Offer>> {
        self.shelves.values().flat_map(BTreeMap::values).flat_map(|shelf| shelf.offers())
    }

    /// The regions that sell something, by provider and name.
    pub fn regions(&self) -> impl Iterator<Item = (&ProviderName, &RegionName)> {
        self.shelves
            .iter()
            .flat_map(|(provider, shelves)| shelves.keys().map(move |region| (provider, region)))
    }

    fn shelf(&self, provider: &ProviderName, region: &RegionName) -> Option<&Shelf> {
        self.shelves.get(provider)?.get(region).map(Arc::as_ref)
    }
}

/// The order in which offers are preferred: by price, on-demand before spot, then by kind; provider
/// and region decide between regions.
pub(crate) fn prefer(a: &Offer, b: &Offer) -> Ordering {
    fn rank(offer: &Offer) -> (MicroDollars, Market, &str, &ProviderName, &RegionName) {
        let Offer { price_micros_per_hour, market, kind, provider, region, .. } = offer;
        (*price_micros_per_hour, *market, kind, provider, region)
    }
    rank(a).cmp(&rank(b))
}
