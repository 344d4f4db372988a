//! How long a coordinator waits before it believes the worst, derived from Raft's timeouts.

use std::time::Duration;

use kato_raft::Timing;

/// The largest relative error of a clock's rate that leases allow for, in percent (ρ of the design).
const CLOCK_DRIFT_PERCENT: u32 = 1;
/// Added to every wait for a lease to end: scheduling, and the kill itself.
const MARGIN: Duration = Duration::from_millis(500);

/// Waits, all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Patience {
    /// How long a machine's lease lasts. A leader's crash must stop no singleton: three failovers fit in.
    pub(crate) lease: Duration,
    /// Between two reports of a coordinator to the others.
    pub(crate) report: Duration,
    /// A coordinator that was not heard for this long is suspected.
    pub(crate) silence: Duration,
    /// A coordinator that nobody has heard for this long is gone, and a neighbour may stand in for it: sooner than it is
    /// suspected, so that its machines keep their leases.
    pub(crate) gone: Duration,
    /// A machine whose agent was not heard for this long, by a coordinator that is heard, is suspected.
    pub(crate) machine_silence: Duration,
}

impl From<Timing> for Patience {
    fn from(timing: Timing) -> Self {
        let failover = timing.failover();
        Self {
            lease: failover * 3,
            report: (failover / 5).min(Duration::from_secs(1)),
            silence: failover.max(Duration::from_secs(2)),
            gone: failover.max(Duration::from_secs(2)) / 2,
            machine_silence: failover.max(Duration::from_secs(2)) * 2,
        }
    }
}

/// How long the leader waits, on its own clock, from seeing a suspension committed until every lease granted before
/// has ended: L·(1+ρ)/(1−ρ) and a margin.
pub(crate) fn lease_is_over(lease: Duration) -> Duration {
    lease * (100 + CLOCK_DRIFT_PERCENT) / (100 - CLOCK_DRIFT_PERCENT) + MARGIN
}

/// The longest lease that any mesh ever grants.
pub(crate) fn longest_lease() -> Duration {
    Patience::from(Timing::longest()).lease
}

/// How long a machine's lease lasts under a timing, in milliseconds.
pub(crate) fn lease_ms(timing: Timing) -> u64 {
    u64::try_from(Patience::from(timing).lease.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_that_is_lost_moves_nobody() {
        let mut next = Timing::for_rtt_ms(1).ok();
        while let Some(timing) = next {
            let patience = Patience::from(timing);
            assert!(patience.report * 5 <= patience.silence, "{timing:?}");
            assert!(patience.report * 2 < patience.gone, "{timing:?}");
            next = timing.longer();
        }
    }

    #[test]
    fn the_longest_lease_is_that_of_the_longest_timing() {
        let mut timing = Timing::for_rtt_ms(1).unwrap();
        while let Some(longer) = timing.longer() {
            timing = longer;
        }
        assert_eq!(Patience::from(timing).lease, longest_lease());
        assert_eq!(lease_is_over(longest_lease()).as_millis(), 105_295);
    }

    /// The table in `docs/leases.md`.
    #[test]
    fn waits_follow_from_the_round_trip_time() {
        for (rtt_ms, lease_ms, silence_ms, machine_silence_ms, over_ms) in
            [(5, 5_400, 2_000, 4_000, 6_009), (200, 21_120, 7_040, 14_080, 22_046)]
        {
            let timing = Timing::for_rtt_ms(rtt_ms).unwrap();
            let patience = Patience::from(timing);
            let over = lease_is_over(patience.lease);
            let waits = [patience.lease, patience.silence, patience.machine_silence, over];
            let expected = [lease_ms, silence_ms, machine_silence_ms, over_ms];
            assert_eq!(waits.map(|wait| wait.as_millis()), expected, "{rtt_ms} ms");
        }
    }
}
