//! Where the providers' regions are, so that a datacenter in a known region needs no coordinates in
//! its settings.
//!
//! EC2: the city that Amazon names for the region (for `us-west-2`, where it names only the state, a
//! city beside its sites), with `GeoNames` coordinates. Packet: a facility's code is an IATA code and a
//! number; the coordinates are that airport's. Either is some tens of kilometres from the machines at
//! most, which is below a millisecond.

use kato_core::{Coordinates, Country, ProviderName, RegionName};

use crate::table;

const REGIONS: &str = include_str!("../data/regions.csv");

/// A region whose place is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// `ec2`, `packet`.
    pub provider: &'static str,
    /// `eu-west-1`, `ewr1`.
    pub region: &'static str,
    /// The city that stands for it.
    pub place: &'static str,
    /// ISO 3166-1 code of its country.
    pub country: &'static str,
    /// Where that is.
    pub at: Coordinates,
}

/// Every region whose place is known, by provider and name.
pub fn known() -> impl Iterator<Item = Known> {
    table::body(REGIONS).lines().map(|line| {
        let [provider, region, place, country, latitude, longitude] = table::fields(line);
        let at = table::coordinates(line, latitude, longitude);
        Known { provider, region, place, country, at }
    })
}

/// Where a region is, if that is known.
pub fn coordinates(provider: &ProviderName, region: &RegionName) -> Option<Coordinates> {
    known()
        .find(|known| known.provider == provider.as_str() && known.region == region.as_str())
        .map(|known| known.at)
}

/// In which country a region is, if that is known.
pub fn country(provider: &ProviderName, region: &RegionName) -> Option<Country> {
    known()
        .find(|known| known.provider == provider.as_str() && known.region == region.as_str())
        .and_then(|known| known.country.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_its_names_are_names() {
        let all: Vec<_> = known().map(|known| (known.provider, known.region)).collect();
        assert!(all.is_sorted_by(|a, b| a < b));
        for (provider, region) in all {
            let provider = provider.parse::<ProviderName>().unwrap();
            let region = region.parse::<RegionName>().unwrap();
            assert!(coordinates(&provider, &region).is_some());
            assert!(country(&provider, &region).is_some());
        }
    }

    #[test]
    fn a_region_lies_where_its_name_says() {
        for (provider, region, near, km_max) in [
            ("ec2", "eu-west-1", "53.34,-6.27", 20.0),
            ("ec2", "ap-southeast-2", "-33.87,151.21", 20.0),
            ("packet", "ewr1", "40.69,-74.17", 20.0),
        ] {
            let at = coordinates(&provider.parse().unwrap(), &region.parse().unwrap()).unwrap();
            assert!(at.distance_km(near.parse().unwrap()) < km_max, "{region} is at {at}");
        }
        assert_eq!(coordinates(&"ec2".parse().unwrap(), &"nowhere-1".parse().unwrap()), None);
    }
}
