//! What a workload's users would see of a datacenter: the weighted mean round-trip time, which is
//! priced, and the one that `MaxLatency=` bounds.

use kato_core::{DatacenterName, MicroDollars, WorkloadSpec};

use super::Site;
use crate::latency::{Point, estimate_us, is_possible, way_us};

/// Users who are no farther from a datacenter than this, in kilometres, reach others as its coordinator does.
const NEAR_KM: f64 = 100.0;

/// The places of demand, ready to be measured from.
pub(super) struct Demands<'a> {
    places: Vec<Place<'a>>,
    weights: u64,
    /// The share of the weights that the bound is for, in percent; none: every place, whatever its weight.
    percentile: Option<u32>,
}

/// A place of demand.
struct Place<'a> {
    at: Point,
    weight: u64,
    /// The nearest datacenter that others have measured how far it is, where it is, and how far that is, in kilometres.
    near: Option<(&'a DatacenterName, Point, f64)>,
}

/// Estimated round-trip times from the demand to one datacenter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Latency {
    /// The mean by weight.
    pub(super) mean_us: u32,
    /// The one that is bounded: the largest, or that within which the percentile of the demand is.
    pub(super) bounded_us: u32,
}

impl<'a> Demands<'a> {
    pub(super) fn new(workload: &WorkloadSpec, sites: &[&'a Site]) -> Self {
        // If nobody has a weight, everybody has the same.
        let weighted = workload.demand.iter().any(|demand| demand.weight_milli > 0);
        let weight = |milli: u32| if weighted { u64::from(milli) } else { 1 };
        let measured = sites.iter().filter(|site| !site.round_trips.is_empty());
        let measured: Vec<(&DatacenterName, Point)> =
            measured.map(|site| (&site.datacenter, Point::from(site.at))).collect();
        let place = |demand: &kato_core::Demand| {
            let at = Point::from(demand.at);
            let away = measured.iter().map(|(name, there)| (*name, *there, at.distance_km(*there)));
            let near = away.filter(|(.., km)| *km <= NEAR_KM).min_by(|a, b| a.2.total_cmp(&b.2));
            Place { at, weight: weight(demand.weight_milli), near }
        };
        let places: Vec<Place> = workload.demand.iter().map(place).collect();
        let weights = places.iter().map(|place| place.weight).sum();
        Self { places, weights, percentile: workload.rules.latency_percentile }
    }

    /// The times to a site; none without demand.
    pub(super) fn latency(&self, site: &Site) -> Option<Latency> {
        if self.places.is_empty() {
            return None;
        }
        let at = Point::from(site.at);
        let (mut sum, mut farthest_us) = (0, 0);
        let mut times: Vec<(u32, u64)> = Vec::new();
        for place in &self.places {
            let us = place
                .measured_us(site, at)
                .unwrap_or_else(|| estimate_us(place.at.distance_km(at)));
            sum += u64::from(us) * place.weight;
            farthest_us = farthest_us.max(us);
            if self.percentile.is_some() {
                times.push((us, place.weight));
            }
        }
        let mean = (sum + self.weights / 2) / self.weights;
        // A mean is no larger than the largest.
        let mean_us = u32::try_from(mean).unwrap_or(farthest_us);
        let bounded_us = self.percentile.map_or(farthest_us, |p| self.within(p, times));
        Some(Latency { mean_us, bounded_us })
    }

    /// The time within which so many percent of the demand are (nearest rank).
    fn within(&self, percentile: u32, mut times: Vec<(u32, u64)>) -> u32 {
        times.sort_unstable();
        let needed = u128::from(self.weights) * u128::from(percentile);
        let mut reached = 0;
        let within = times.iter().find(|(_, weight)| {
            reached += u128::from(*weight) * 100;
            reached >= needed
        });
        within.or(times.last()).map_or(0, |(us, _)| *us)
    }
}

impl Place<'_> {
    /// The time to a site that was measured from the datacenter near the place, and the way to that one; none where nobody
    /// measured it, and where light would need longer: then the coordinators are not where they say.
    fn measured_us(&self, site: &Site, at: Point) -> Option<u32> {
        let (name, there, km) = self.near.filter(|(name, ..)| **name != site.datacenter)?;
        let us = *site.round_trips.get(name)?;
        is_possible(us, there.distance_km(at)).then(|| us.saturating_add(way_us(km)))
    }
}

impl Latency {
    /// What the mean costs an hour at `price` for a millisecond, rounded to the nearest.
    pub(super) fn price(self, price: MicroDollars) -> MicroDollars {
        let thousandths = i128::from(self.mean_us) * i128::from(price.0);
        MicroDollars(i64::try_from((thousandths + 500).div_euclid(1_000)).unwrap_or(i64::MAX))
    }
}
