//! How far away the other coordinators are: the round trips of the last reports to them. Timings need to know what hardly
//! any exceeds; a single late answer must not change them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kato_core::DatacenterName;
use kato_proto::mesh_v1 as pb;

/// How many round trips are remembered: those of half a minute, or of a minute.
const SAMPLES_MAX: usize = 64;
/// Fewer say nothing.
const SAMPLES_MIN: usize = 20;
/// So many of a hundred round trips are within the bound.
const BOUND_PERCENT: usize = 90;

/// What is known of one distance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RoundTrip {
    /// Half of all round trips take no longer.
    pub(crate) median: Duration,
    /// Hardly any takes longer: the 90th percentile.
    pub(crate) bound: Duration,
}

impl RoundTrip {
    /// Reads one from the wire, if the name makes sense.
    pub(crate) fn from_wire(message: pb::RoundTrip) -> Option<(DatacenterName, Self)> {
        let (median, bound) = (message.median_us, message.bound_us);
        let [median, bound] = [median, bound].map(Duration::from_micros);
        Some((message.datacenter.parse().ok()?, Self { median, bound }))
    }
}

/// The distances from here. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct RoundTrips {
    to: Arc<Mutex<BTreeMap<DatacenterName, Samples>>>,
}

/// The last samples over one connection.
#[derive(Debug, Clone)]
struct Samples {
    /// When its first answer came. What was sent before has waited for the connection, and says nothing.
    since: Duration,
    /// The oldest first.
    last: VecDeque<Duration>,
}

impl Samples {
    fn add(&mut self, sample: Duration) {
        if self.last.len() == SAMPLES_MAX {
            self.last.pop_front();
        }
        self.last.push_back(sample);
    }

    fn round_trip(&self) -> Option<RoundTrip> {
        if self.last.len() < SAMPLES_MIN {
            return None;
        }
        let mut sorted: Vec<Duration> = self.last.iter().copied().collect();
        sorted.sort_unstable();
        // The nearest rank.
        let percentile = |percent: usize| sorted[(sorted.len() * percent).div_ceil(100) - 1];
        Some(RoundTrip { median: percentile(50), bound: percentile(BOUND_PERCENT) })
    }
}

impl RoundTrips {
    fn to(&self) -> MutexGuard<'_, BTreeMap<DatacenterName, Samples>> {
        self.to.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in when a report was sent and answered, on the boot clock.
    pub(crate) fn answered(&self, by: &DatacenterName, sent: Duration, now: Duration) {
        let mut known = self.to();
        let samples = known
            .entry(by.clone())
            .or_insert_with(|| Samples { since: now, last: VecDeque::new() });
        if sent >= samples.since {
            samples.add(now.saturating_sub(sent));
        }
    }

    /// Takes in that a report was not answered: what was known is out of date.
    pub(crate) fn unanswered(&self, by: &DatacenterName) {
        self.to().remove(by);
    }

    /// The distance to one, if it is known.
    pub(crate) fn get(&self, to: &DatacenterName) -> Option<RoundTrip> {
        self.to().get(to)?.round_trip()
    }

    /// For the others.
    pub(crate) fn to_wire(&self) -> Vec<pb::RoundTrip> {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let message = |(name, samples): (&DatacenterName, &Samples)| {
            let RoundTrip { median, bound } = samples.round_trip()?;
            Some(pb::RoundTrip {
                datacenter: name.to_string(),
                median_us: micros(median),
                bound_us: micros(bound),
            })
        };
        self.to().iter().filter_map(message).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distance_is_what_most_round_trips_of_the_last_minute_were() {
        let (known, dub) = (RoundTrips::default(), "dub".parse().unwrap());
        let ms = Duration::from_millis;
        let mut now = ms(1_000);
        let mut after = |took: &[u64]| {
            for took in took {
                let sent = now;
                now += ms(*took);
                known.answered(&dub, sent, now);
            }
            known.get(&dub).map(|found| (found.median.as_millis(), found.bound.as_millis()))
        };
        assert_eq!(after(&[300]), None, "it waited for the connection");
        for sent in [1_000, 1_100, 1_200] {
            known.answered(&dub, ms(sent), ms(1_301));
        }
        assert_eq!(after(&[80; 19]), None, "too few");
        assert_eq!(after(&[80]), Some((80, 80)));
        assert_eq!(after(&[80; 44]), Some((80, 80)));
        assert_eq!(after(&[900; 6]), Some((80, 80)), "a few late ones");
        assert_eq!(after(&[200]), Some((80, 200)));
        assert_eq!(after(&[120; 60]), Some((120, 120)));
        assert_eq!(after(&[80; 64]), Some((80, 80)));
        known.unanswered(&dub);
        assert_eq!(after(&[80; 20]), None, "connected anew");
        assert_eq!(after(&[80]), Some((80, 80)));
    }

    #[test]
    fn what_makes_no_sense_on_the_wire_is_left_out() {
        let message = |datacenter: &str| pb::RoundTrip {
            datacenter: datacenter.to_owned(),
            median_us: 1_500,
            bound_us: 2_000,
        };
        let (name, found) = RoundTrip::from_wire(message("dub")).unwrap();
        assert_eq!((name.as_str(), found.median), ("dub", Duration::from_micros(1_500)));
        assert_eq!(RoundTrip::from_wire(message("no name")), None);
    }
}
