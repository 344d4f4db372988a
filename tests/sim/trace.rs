//! Everything that happened in a run, with its true time: two runs of one seed must give the same text. Only its
//! fingerprint is kept, unless somebody wants to read it.

use std::fmt::{self, Display, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Collects events. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Trace {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    now: Duration,
    events: u64,
    fingerprint: u32,
    /// Whether events are printed as they come.
    shown: bool,
}

impl Trace {
    pub(crate) fn new(shown: bool) -> Self {
        Self { state: Arc::new(Mutex::new(State { shown, ..State::default() })) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Time passes.
    pub(crate) fn set(&self, now: Duration) {
        self.state().now = now;
    }

    /// The true time.
    pub(crate) fn now(&self) -> Duration {
        self.state().now
    }

    /// Notes an event of `host`.
    #[allow(clippy::print_stdout)]
    pub(crate) fn note(&self, host: &str, event: impl Display) {
        let mut state = self.state();
        let at = state.now.as_millis();
        state.events += 1;
        // Writing to a checksum cannot fail.
        let _ = writeln!(state, "{at:>8} {host} {event}");
        if state.shown {
            println!("{at:>8} {host} {event}");
        }
    }

    /// How many events there were, and their checksum.
    pub(crate) fn fingerprint(&self) -> (u64, u32) {
        let state = self.state();
        (state.events, state.fingerprint)
    }
}

impl Write for State {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.fingerprint = crc32c::crc32c_append(self.fingerprint, text.as_bytes());
        Ok(())
    }
}
