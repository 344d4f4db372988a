//! Everything that happened in a run, with its true time: two runs of one seed must give the same text. Only its
//! fingerprint is kept, unless somebody wants to read it.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Write};
use std::io;
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
    /// Whose turn it is.
    host: Arc<str>,
    events: u64,
    fingerprint: u32,
    /// How often each of the lines that are counted was logged.
    logged: BTreeMap<String, u64>,
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

    /// It is a host's turn: what is logged from now on is its.
    pub(crate) fn turn(&self, host: &Arc<str>) {
        self.state().host = Arc::clone(host);
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

    /// How many logged lines have had this in them.
    pub(crate) fn count_of(&self, text: &str) -> u64 {
        let state = self.state();
        let with = state.logged.iter().filter(|(message, _)| message.contains(text));
        with.map(|(_, count)| count).sum()
    }

    /// How many events there were, and their checksum.
    pub(crate) fn fingerprint(&self) -> (u64, u32) {
        let state = self.state();
        (state.events, state.fingerprint)
    }
}

/// What the product logs becomes part of the trace.
impl io::Write for Trace {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let host = Arc::clone(&self.state().host);
        let line_text = String::from_utf8_lossy(line);
        self.note(&host, format_args!("logs {}", line_text.trim()));
        // Lines end in what differs from one to the next.
        let message = line_text.split('=').next().unwrap_or_default().to_owned();
        *self.state().logged.entry(message).or_default() += 1;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for State {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.fingerprint = crc32c::crc32c_append(self.fingerprint, text.as_bytes());
        Ok(())
    }
}
