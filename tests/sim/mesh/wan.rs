//! How far datacenters are from each other: round trips that were measured between regions of EC2, or, where the
//! measurements are not at hand, estimates from the distance.

use std::path::Path;
use std::time::Duration;

use kato_core::Coordinates;
use kato_placement::{latency, regions};

/// Measured round trips, beside the checkout.
const MEASURED: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/skyplane-latency.csv");

/// In so many of a hundred meshes the datacenters are neighbours: where round trips are short so are all waits, and more
/// happens.
const NEIGHBOURS_PERCENT: u32 = 75;

/// A region in which a datacenter may be.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) region: String,
    pub(crate) at: Coordinates,
}

/// Places and the round trips between them.
pub(crate) struct Wan {
    measured: Option<String>,
}

impl Wan {
    pub(crate) fn load() -> Self {
        Self { measured: std::fs::read_to_string(Path::new(MEASURED)).ok() }
    }

    /// Some regions in which machines are sold: mostly neighbours, or anywhere in the world.
    pub(crate) fn places(
        &self,
        chance: &mut fastrand::Rng,
        count: usize,
        sold_in: impl Fn(&str) -> bool,
    ) -> Vec<Place> {
        let ec2 = regions::known().filter(|known| known.provider == "ec2" && sold_in(known.region));
        let mut places: Vec<Place> =
            ec2.map(|known| Place { region: known.region.to_owned(), at: known.at }).collect();
        chance.shuffle(&mut places);
        if chance.u32(..100) < NEIGHBOURS_PERCENT {
            let first = places[0].clone();
            places[1..].sort_by_cached_key(|place| self.round_trip(&first, place));
        }
        places.truncate(count);
        places
    }

    /// The round trip between two places.
    pub(crate) fn round_trip(&self, a: &Place, b: &Place) -> Duration {
        let measured = self.measured.as_deref().and_then(|text| find(text, a, b));
        let km = a.at.distance_km(b.at);
        measured.unwrap_or_else(|| Duration::from_micros(latency::estimate_us(km).into()))
    }
}

/// `src_region,src_tier,src_instance_class,dst_region,…,min_rtt,avg_rtt,max_rtt,mdev_rtt`, in milliseconds.
fn find(text: &str, a: &Place, b: &Place) -> Option<Duration> {
    let (from, to) = (format!("aws:{}", a.region), format!("aws:{}", b.region));
    let rows = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let mut between = rows.filter(|row| row.first() == Some(&&*from) && row.get(3) == Some(&&*to));
    let average = between.next()?.get(7)?.parse::<f64>().ok()?;
    Some(Duration::from_secs_f64(average / 1_000.0))
}
