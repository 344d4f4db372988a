//! The latency model against measured round-trip times between EC2 regions: the figures that
//! `docs/placement.md` quotes, computed again.

use std::collections::BTreeMap;

use kato_core::{Coordinates, Timestamp};
use kato_placement::{Ask, Catalogue, Problem, Site, latency::estimate_us, place, regions};

use crate::support::{DUBLIN, NEW_YORK, demand, shared, site, workload};

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

/// What a decision says of the latency to New York, of users who are somewhere, where Dublin has measured so many
/// microseconds to it.
fn to_new_york(users: &str, measured_us: u32) -> u32 {
    let mut workload = workload();
    workload.demand = vec![demand(users, 1_000)];
    let measured = |name: &str| BTreeMap::from([(name.parse().unwrap(), measured_us)]);
    let sites = [
        Site { round_trips: measured("nyc"), ..site("dub", DUBLIN) },
        Site { round_trips: measured("dub"), ..site("nyc", NEW_YORK) },
    ];
    let asks = [Ask::new(&workload, 1)];
    let problem = Problem { asks: &asks, sites: &sites, budget: None, now: Timestamp(1) };
    let decision =
        place(&problem, &Catalogue::new(Vec::<kato_core::Offer>::new())).answers.remove(0).decision;
    let found = decision.candidates.iter().find(|found| found.datacenter.as_str() == "nyc");
    found.unwrap().latency_us.unwrap()
}

#[test]
fn what_was_measured_is_asked_where_users_are_near_who_measured_it() {
    let km = |a: &str, b: &str| {
        let at = |text: &str| text.parse::<Coordinates>().unwrap();
        at(a).distance_km(at(b))
    };
    let estimate = estimate_us(km(DUBLIN, NEW_YORK));
    assert_eq!(to_new_york(DUBLIN, 71_000), 71_000);
    assert_eq!(to_new_york(DUBLIN, 180_000), 180_000, "whatever it is");
    // Some way out of Dublin, and too far out.
    let (out, far) = ("52.7,-6.6", "51.9,-8.5");
    let way = estimate_us(km(out, DUBLIN)) - estimate_us(0.0);
    assert!(to_new_york(out, 71_000).abs_diff(71_000 + way) <= 1);
    assert_eq!(to_new_york(far, 71_000), estimate_us(km(far, NEW_YORK)));
    // Light needs 51 ms: coordinators that are nearer than that are on one host.
    assert_eq!(to_new_york(DUBLIN, 45_000), estimate);
    assert_eq!(to_new_york(DUBLIN, 2_300), estimate);
    // Those who are there themselves are not measured.
    assert_eq!(to_new_york(NEW_YORK, 71_000), estimate_us(0.0));
}
