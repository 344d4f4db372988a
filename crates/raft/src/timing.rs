//! Raft's timeouts, derived from the longest round trip between members.
//!
//! Elections need at least ten round trips (Ongaro, "Consensus: Bridging Theory and Practice", §9), and
//! openraft ends a heartbeat call after ¾ of its interval.

use std::time::Duration;

/// How long members wait for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
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

/// The longest round trip that makes sense on the Earth, in milliseconds: with this, a leader's loss costs
/// half a minute.
const RTT_MS_MAX: u64 = 1_000;
/// A disk's sync on a busy machine, in milliseconds. Every heartbeat may wait for one.
const SYNC_MS: u64 = 40;
/// The shortest heartbeat interval, in milliseconds.
const HEARTBEAT_MS_MIN: u64 = 100;
/// The shortest election timeout, in milliseconds.
const ELECTION_MS_MIN: u64 = 500;

impl Timing {
    /// The timing for members whose longest round trip is `rtt_ms_max`.
    pub fn for_rtt_ms(rtt_ms_max: u64) -> Result<Self, TimingError> {
        if rtt_ms_max > RTT_MS_MAX {
            return Err(TimingError(rtt_ms_max));
        }
        let heartbeat = ((rtt_ms_max + SYNC_MS) * 3 / 2).max(HEARTBEAT_MS_MIN);
        let election = (10 * rtt_ms_max).max(4 * heartbeat).max(ELECTION_MS_MIN);
        Ok(Self {
            heartbeat: Duration::from_millis(heartbeat),
            election_min: Duration::from_millis(election),
            election_max: Duration::from_millis(election * 7 / 5),
        })
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
        for rtt in [0, 1, 5, 80, 250, 1_000] {
            let timing = Timing::for_rtt_ms(rtt).unwrap();
            let rtt = Duration::from_millis(rtt);
            assert!(timing.heartbeat * 3 / 4 > rtt, "{timing:?}");
            assert!(timing.election_min >= 10 * rtt && timing.election_min >= 4 * timing.heartbeat);
            assert!(timing.election_max > timing.election_min);
        }
        assert_eq!(Timing::for_rtt_ms(1_001), Err(TimingError(1_001)));
        assert!(Timing::for_rtt_ms(1).unwrap().failover() < Duration::from_secs(2));
    }
}
