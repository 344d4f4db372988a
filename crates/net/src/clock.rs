//! The seam for time: the one place that reads the machine's clocks, so that a simulation can own the time
//! and let the clocks of two hosts drift apart.

use std::time::Duration;

use kato_core::Timestamp;
use rustix::time::{ClockId, Timespec, clock_gettime};

/// The clock that leases are measured on. `CLOCK_BOOTTIME` counts the time that the machine was suspended;
/// `CLOCK_MONOTONIC` does not, and a lease measured on it would outlive its end by the length of the
/// suspension, while the leader has long given the singleton to another machine.
#[cfg(any(target_os = "linux", target_os = "android"))]
const BOOT: ClockId = ClockId::Boottime;

/// Elsewhere (macOS, for development) the monotonic clock is the one that counts suspended time.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const BOOT: ClockId = ClockId::Monotonic;

/// What a node may know of time.
pub trait Clock: Send + Sync {
    /// The time since this machine booted, suspended time included. It never goes back, and the setting of
    /// the wall clock does not change it: leases and deadlines are measured on it.
    fn boot(&self) -> Duration;

    /// The time of day as this machine believes it, which may jump. For people, for certificates, and for
    /// stamps in the log; no decision about safety rests on it.
    fn wall(&self) -> Timestamp;
}

/// The machine's own clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn boot(&self) -> Duration {
        duration(clock_gettime(BOOT))
    }

    fn wall(&self) -> Timestamp {
        let since_1970 = duration(clock_gettime(ClockId::Realtime));
        Timestamp(u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX))
    }
}

/// The kernel's seconds and nanoseconds; a wall clock set to before 1970 reads as 1970.
fn duration(time: Timespec) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_clock_never_goes_back_and_the_wall_clock_is_of_this_century() {
        let clock = SystemClock;
        let first = clock.boot();
        assert!(first > Duration::ZERO);
        assert!(clock.boot() >= first);
        assert!(clock.wall() > Timestamp(1_735_689_600_000), "before 2025");
    }
}
