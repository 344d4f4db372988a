//! Clocks of simulated machines. Their rates differ by up to 1 %, their times of day by seconds; all timers of a
//! machine follow its clock, because its whole runtime does.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kato_core::Timestamp;
use kato_net::clock::Clock;
use tokio::time::Instant;

/// When every simulation begins: 2026-01-01T00:00:00Z.
const BEGIN_UNIX_MS: u64 = 1_767_225_600_000;

/// One machine's clock. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct MachineClock {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// How fast it runs: 10,000 is 1 % too fast.
    rate_ppm: i64,
    /// How far its time of day is ahead.
    ahead_ms: i64,
    /// What has passed by this clock, in nanoseconds.
    elapsed_ns: u64,
    /// The running process: an instant of its runtime, and what had passed by then.
    process: Option<(Instant, Duration)>,
}

impl MachineClock {
    /// A clock that runs `rate_ppm` too fast, and whose time of day is ahead.
    pub(super) fn new(rate_ppm: i64, ahead_ms: i64) -> Self {
        let state = State { rate_ppm, ahead_ms, elapsed_ns: 0, process: None };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets true time pass.
    pub(super) fn pass(&self, time: Duration) {
        let mut state = self.state();
        let true_ns = i128::try_from(time.as_nanos()).unwrap_or_default();
        let own_ns = true_ns * (1_000_000 + i128::from(state.rate_ppm)) / 1_000_000;
        state.elapsed_ns += u64::try_from(own_ns).unwrap_or_default();
    }

    /// What has passed, in whole milliseconds: tokio's timers have no finer grain.
    pub(super) fn elapsed(&self) -> Duration {
        Duration::from_millis(self.state().elapsed_ns / 1_000_000)
    }

    /// A process starts, at this instant of its runtime.
    pub(super) fn start(&self, at: Instant) {
        let elapsed = self.elapsed();
        self.state().process = Some((at, elapsed));
    }

    /// The instant of the running process' runtime at which `elapsed` will have passed.
    pub(super) fn instant(&self, elapsed: Duration) -> Option<Instant> {
        let (at, before) = self.state().process?;
        Some(at + elapsed.saturating_sub(before))
    }

    /// Sets the time of day forward or back.
    pub(crate) fn step(&self, ms: i64) {
        self.state().ahead_ms += ms;
    }
}

impl Clock for MachineClock {
    fn boot(&self) -> Duration {
        let state = self.state();
        let passed = Duration::from_millis(state.elapsed_ns / 1_000_000);
        // The process that asks is somewhere within a tick. Outside of every process there is only the tick.
        let inside = state.process.filter(|_| tokio::runtime::Handle::try_current().is_ok());
        inside.map_or(passed, |(at, before)| before + at.elapsed())
    }

    fn wall(&self) -> Timestamp {
        let ahead_ms = self.state().ahead_ms;
        let passed_ms = u64::try_from(self.boot().as_millis()).unwrap_or(u64::MAX);
        Timestamp((BEGIN_UNIX_MS + passed_ms).saturating_add_signed(ahead_ms))
    }
}
