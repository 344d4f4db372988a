//! Everything that happened in a run, with its virtual time: two runs of one seed must give the same text.

use std::fmt::{Display, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// Collects events. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trace {
    text: Arc<Mutex<String>>,
}

impl Trace {
    /// Notes an event of `host`.
    pub(crate) fn note(&self, host: &str, event: impl Display) {
        let at = turmoil::sim_elapsed().unwrap_or_default().as_micros();
        let mut text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{at:>10} {host} {event}");
    }

    /// All events, a line each.
    pub(crate) fn text(&self) -> String {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
