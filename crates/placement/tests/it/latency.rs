//! The latency model against measured round-trip times between EC2 regions: the figures that
//! `docs/placement.md` quotes, computed again.

use std::collections::BTreeMap;

use kato_core::Coordinates;
use kato_placement::{latency::estimate_us, regions};

use crate::support::shared;

/// The value below which `share` of `sorted` lies (nearest rank).
fn quantile(sorted: &[f64], share: f64) -> f64 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted[rank.max(1) - 1]
}

#[test]
fn the_error_is_the_one_that_is_documented() {
    let Some(text) = shared("skyplane-latency.csv") else { return };
    let places: BTreeMap<String, Coordinates> = regions::known()
        .filter(|known| known.provider == "ec2")
        .map(|known| (format!("aws:{}", known.region), known.at))
        .collect();
    let (mut absolute_ms, mut relative) = (Vec::new(), Vec::new());
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let (Some(from), Some(to)) = (places.get(fields[0]), places.get(fields[3])) else {
            continue;
        };
        let Ok(measured_ms) = fields[7].parse::<f64>() else { continue };
        let error = (f64::from(estimate_us(from.distance_km(*to))) / 1e3 - measured_ms).abs();
        absolute_ms.push(error);
        relative.push(error / measured_ms);
    }
    assert_eq!(absolute_ms.len(), 420, "21 regions, each to 20 others");
    let [absolute_ms, relative] = [absolute_ms, relative].map(|mut errors| {
        errors.sort_by(f64::total_cmp);
        [quantile(&errors, 0.5), quantile(&errors, 0.9)]
    });
    println!("absolute error, median and p90: {absolute_ms:.1?} ms");
    println!("relative error, median and p90: {relative:.3?}");
    assert!(absolute_ms[0] < 15.5 && absolute_ms[1] < 73.0, "{absolute_ms:?}");
    assert!(relative[0] < 0.125 && relative[1] < 0.345, "{relative:?}");
}
