//! How far datacenters are from each other, as their coordinators measure it: what placement asks instead of the map where
//! users are near one of them.
//!
//! A decision must not change because a round trip took a millisecond longer: a distance stays what it was until it is
//! clearly another one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kato_core::DatacenterName;

use crate::reports::Report;

/// A distance is another one once it differs by more than both.
const DIFFERS_PERCENT: u32 = 20;
const DIFFERS_US: u32 = 2_000;

/// The distances, either way, in microseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Distances(BTreeMap<DatacenterName, BTreeMap<DatacenterName, u32>>);

impl Distances {
    /// Those to a datacenter, by where from.
    pub(crate) fn from(&self, name: &DatacenterName) -> BTreeMap<DatacenterName, u32> {
        self.0.get(name).cloned().unwrap_or_default()
    }

    /// Notes a distance, unless it is hardly another one than is known.
    pub(crate) fn note(&mut self, one: &DatacenterName, other: &DatacenterName, us: u32) {
        let known = self.0.get(one).and_then(|to| to.get(other)).copied();
        let is_same = |known: u32| {
            let by = known.abs_diff(us);
            by <= DIFFERS_US || u64::from(by) * 100 <= u64::from(known) * u64::from(DIFFERS_PERCENT)
        };
        if known.is_some_and(is_same) {
            return;
        }
        for (from, to) in [(one, other), (other, one)] {
            self.0.entry(from.clone()).or_default().insert(to.clone(), us);
        }
    }
}

/// Keeps the distances of the last reports. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Surveyor {
    known: Arc<Mutex<Arc<Distances>>>,
}

impl Surveyor {
    /// The distances that these reports say: of both ways the shorter one, since what makes a round trip longer is not the way.
    pub(crate) fn look(&self, reports: &BTreeMap<DatacenterName, Arc<Report>>) -> Arc<Distances> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut distances = (**known).clone();
        let micros = |time: Duration| u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
        for (from, report) in reports {
            for (to, there) in report.round_trips.iter().filter(|(to, _)| *to != from) {
                let back = reports.get(to).and_then(|report| report.round_trips.get(from));
                let least = back.map_or(there.median, |back| back.median.min(there.median));
                distances.note(from, to, micros(least));
            }
        }
        if distances != **known {
            *known = Arc::new(distances);
        }
        Arc::clone(&known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::round_trips::RoundTrip;

    fn name(text: &str) -> DatacenterName {
        text.parse().unwrap()
    }

    /// What one says of another.
    fn report(to: &str, ms: u64) -> Arc<Report> {
        let median = Duration::from_millis(ms);
        let round_trips = BTreeMap::from([(name(to), RoundTrip { median, bound: median })]);
        Arc::new(Report { round_trips, ..Report::default() })
    }

    #[test]
    fn a_distance_stays_until_it_is_clearly_another_one() {
        let surveyor = Surveyor::default();
        let look = |there: u64, back: u64| {
            let reports = BTreeMap::from([
                (name("dub"), report("ewr", there)),
                (name("ewr"), report("dub", back)),
            ]);
            let found = surveyor.look(&reports);
            let (one, other) = (found.from(&name("ewr")), found.from(&name("dub")));
            assert_eq!(one[&name("dub")], other[&name("ewr")]);
            one[&name("dub")] / 1_000
        };
        assert_eq!(look(90, 80), 80);
        for hardly_another in [(96, 300), (64, 64), (80, 80)] {
            assert_eq!(look(hardly_another.0, hardly_another.1), 80);
        }
        assert_eq!(look(97, 300), 97);
        // Who is not heard any more is where it was.
        let one = BTreeMap::from([(name("dub"), report("sin", 170))]);
        let found = surveyor.look(&one).from(&name("dub"));
        assert_eq!((found[&name("ewr")], found[&name("sin")]), (97_000, 170_000));
        assert_eq!(surveyor.look(&BTreeMap::new()).from(&name("fra")), BTreeMap::new());
    }
}
