//! Raft's timeouts, derived from the longest round trip between members. There are few of them, so that they do not
//! change with every measurement.
//!
//! Elections need at least ten round trips (Ongaro, "Consensus: Bridging Theory and Practice", §9), and
//! openraft ends a heartbeat call after ¾ of its interval.

use std::time::Duration;

/// How long members wait for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// The longest round trip between two members that it allows for, in milliseconds.
    pub rtt_ms_max: u64,
    /// Between heartbeats; also the deadline of one.
    pub heartbeat: Duration,
    /// The shortest election timeout.
    pub election_min: Duration,
    /// The longest. Also how long a follower keeps faith in a silent leader before it counts its timeout.
    pub election_max: Duration,
}

/// Why a round-trip time is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a round trip of {0} ms between members is out of range: 0 to {RTT_MS_MAX} ms")]
pub struct TimingError(u64);

/// The round trips that timings are made for, in milliseconds. Members change theirs one after the other, and never by
/// more than one step: whoever keeps the shorter of two neighbours hears four heartbeats of a leader that keeps the longer
/// one, at the least, before he doubts it. The last is the longest round trip that makes sense on the Earth: with it, a
/// leader's loss costs half a minute.
const STEPS_MS: [u64; 11] = [25, 50, 75, 100, 150, 200, 300, 400, 600, 800, RTT_MS_MAX];
const RTT_MS_MAX: u64 = 1_000;
/// A disk's sync on a busy machine, in milliseconds. Every heartbeat may wait for one.
const SYNC_MS: u64 = 40;
/// The shortest heartbeat interval, in milliseconds.
const HEARTBEAT_MS_MIN: u64 = 100;
/// The shortest election timeout, in milliseconds.
const ELECTION_MS_MIN: u64 = 500;

impl Timing {
    /// The shortest timing for members whose longest round trip is `rtt_ms`.
    pub fn for_rtt_ms(rtt_ms: u64) -> Result<Self, TimingError> {
        let step = STEPS_MS.into_iter().find(|step| *step >= rtt_ms);
        step.map(Self::step).ok_or(TimingError(rtt_ms))
    }

    /// The longest of all.
    pub fn longest() -> Self {
        Self::step(RTT_MS_MAX)
    }

    /// The next longer one, if there is one.
    pub fn longer(self) -> Option<Self> {
        STEPS_MS.into_iter().find(|step| *step > self.rtt_ms_max).map(Self::step)
    }

    /// The next shorter one, if there is one.
    pub fn shorter(self) -> Option<Self> {
        STEPS_MS.into_iter().rfind(|step| *step < self.rtt_ms_max).map(Self::step)
    }

    fn step(rtt_ms_max: u64) -> Self {
        let heartbeat = ((rtt_ms_max + SYNC_MS) * 3 / 2).max(HEARTBEAT_MS_MIN);
        let election = (10 * rtt_ms_max).max(4 * heartbeat).max(ELECTION_MS_MIN);
        Self {
            rtt_ms_max,
            heartbeat: Duration::from_millis(heartbeat),
            election_min: Duration::from_millis(election),
            election_max: Duration::from_millis(election * 7 / 5),
        }
    }

    /// The longest time from a leader's crash to the next leader's first committed write, but for bad luck in
    /// elections: faith in the old leader, one election timeout, and four round trips' worth of heartbeats.
    pub fn failover(&self) -> Duration {
        self.election_max * 2 + self.heartbeat * 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timing_leaves_room_for_round_trips() {
        for rtt in [0, 1, 5, 26, 80, 250, 1_000] {
            let timing = Timing::for_rtt_ms(rtt).unwrap();
            assert!(
                timing.rtt_ms_max >= rtt && timing.shorter().is_none_or(|s| s.rtt_ms_max < rtt)
            );
            let rtt = Duration::from_millis(timing.rtt_ms_max);
            assert!(timing.heartbeat * 3 / 4 > rtt, "{timing:?}");
            assert!(timing.election_min >= 10 * rtt && timing.election_min >= 4 * timing.heartbeat);
            assert!(timing.election_max > timing.election_min);
        }
        assert_eq!(Timing::for_rtt_ms(1_001), Err(TimingError(1_001)));
        assert!(Timing::for_rtt_ms(1).unwrap().failover() < Duration::from_secs(2));
    }
    #[test]
    fn neighbours_keep_faith_in_each_others_leaders() {
        let mut timing = Timing::for_rtt_ms(0).unwrap();
        while let Some(longer) = timing.longer() {
            // A follower campaigns after this, at the earliest.
            let doubt = timing.election_max + timing.election_min;
            assert!(doubt >= longer.heartbeat * 4, "{timing:?} {longer:?}");
            assert_eq!(longer.shorter(), Some(timing));
            timing = longer;
        }
        assert_eq!(timing.rtt_ms_max, RTT_MS_MAX);
    }
}
