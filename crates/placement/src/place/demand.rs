//! What a workload's users would see of a datacenter: the weighted mean round-trip time, which is
//! priced, and the one that `MaxLatency=` bounds.

use kato_core::{Coordinates, MicroDollars, WorkloadSpec};

use crate::latency::{Point, estimate_us};

/// The places of demand, ready to be measured from.
pub(super) struct Demands {
    /// Each place with its weight.
    places: Vec<(Point, u64)>,
    weights: u64,
    /// The share of the weights that the bound is for, in percent; none: every place, whatever its weight.
    percentile: Option<u32>,
}

/// Estimated round-trip times from the demand to one datacenter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Latency {
    /// The mean by weight.
    pub(super) mean_us: u32,
    /// The one that is bounded: the largest, or that within which the percentile of the demand is.
    pub(super) bounded_us: u32,
}

impl Demands {
    pub(super) fn new(workload: &WorkloadSpec) -> Self {
        // If nobody has a weight, everybody has the same.
        let weighted = workload.demand.iter().any(|demand| demand.weight_milli > 0);
        let weight = |milli: u32| if weighted { u64::from(milli) } else { 1 };
        let places: Vec<(Point, u64)> = workload
            .demand
            .iter()
            .map(|demand| (Point::from(demand.at), weight(demand.weight_milli)))
            .collect();
        let weights = places.iter().map(|(_, weight)| weight).sum();
        Self { places, weights, percentile: workload.rules.latency_percentile }
    }

    /// The times to `at`; none without demand.
    pub(super) fn latency(&self, at: Coordinates) -> Option<Latency> {
        if self.places.is_empty() {
            return None;
        }
        let at = Point::from(at);
        let (mut sum, mut farthest_us) = (0, 0);
        let mut times: Vec<(u32, u64)> = Vec::new();
        for (place, weight) in &self.places {
            let us = estimate_us(place.distance_km(at));
            sum += u64::from(us) * weight;
            farthest_us = farthest_us.max(us);
            if self.percentile.is_some() {
                times.push((us, *weight));
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

impl Latency {
    /// What the mean costs an hour at `price` for a millisecond, rounded to the nearest.
    pub(super) fn price(self, price: MicroDollars) -> MicroDollars {
        let thousandths = i128::from(self.mean_us) * i128::from(price.0);
        MicroDollars(i64::try_from((thousandths + 500).div_euclid(1_000)).unwrap_or(i64::MAX))
    }
}
