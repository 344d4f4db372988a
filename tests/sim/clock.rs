//! Time in the simulation: it passes when turmoil says so.

use std::time::Duration;

use kato_core::Timestamp;
use kato_net::clock::Clock;

/// When every simulation begins: 2026-01-01T00:00:00Z.
const BEGIN_UNIX_MS: u64 = 1_767_225_600_000;

/// The clock of a simulated host.
pub(crate) struct SimClock;

impl Clock for SimClock {
    fn boot(&self) -> Duration {
        turmoil::sim_elapsed().unwrap_or_default()
    }

    fn wall(&self) -> Timestamp {
        let elapsed = u64::try_from(self.boot().as_millis()).unwrap_or(u64::MAX);
        Timestamp(BEGIN_UNIX_MS + elapsed)
    }
}
