//! Telling how the instance is: to the file that outlives the shim, and to whoever is connected.

use std::path::PathBuf;

use kato_core::Timestamp;
use kato_net::clock::{Clock, SystemClock};
use kato_units::engine::RunState;
use tokio::sync::watch;

use super::output::Output;
use crate::record::{self, End, Recorded};

/// The status of the instance.
#[derive(Debug)]
pub(super) struct Publisher {
    path: PathBuf,
    status: watch::Sender<Recorded>,
    /// What of the unit is not enforced: part of every detail.
    remarks: Vec<String>,
}

impl Publisher {
    pub(super) fn new(path: PathBuf, first: Recorded) -> Self {
        Self { path, status: watch::Sender::new(first), remarks: Vec::new() }
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Recorded> {
        self.status.subscribe()
    }

    /// Adds something that is said for as long as the instance lives.
    pub(super) fn remark(&mut self, remark: String) {
        self.remarks.push(remark);
    }

    pub(super) fn state(&self) -> RunState {
        self.status.borrow().state
    }

    /// A new state, with what there is to say of it.
    pub(super) fn set(&self, state: RunState, detail: &str, output: &Output) {
        self.change(output, |status| {
            status.state = state;
            status.explain(&self.with_remarks(detail));
        });
    }

    pub(super) fn set_pid(&self, pid: Option<i32>, output: &Output) {
        self.change(output, |status| status.pid = pid.and_then(|pid| u32::try_from(pid).ok()));
    }

    pub(super) fn restarting(&self, detail: &str, output: &Output) {
        self.change(output, |status| {
            status.state = RunState::Restarting;
            status.restarts = status.restarts.saturating_add(1);
            status.explain(&self.with_remarks(detail));
        });
    }

    /// The last status there will be.
    pub(super) fn end(&self, state: RunState, end: End, detail: &str, output: &Output) {
        self.change(output, |status| {
            status.state = state;
            status.pid = None;
            status.end = Some(end);
            status.explain(detail);
        });
    }

    fn with_remarks(&self, detail: &str) -> String {
        let first = (!detail.is_empty()).then_some(detail);
        let all: Vec<&str> =
            first.into_iter().chain(self.remarks.iter().map(String::as_str)).collect();
        all.join("; ")
    }

    fn change(&self, output: &Output, change: impl FnOnce(&mut Recorded)) {
        let mut status = self.status.borrow().clone();
        let before = status.state;
        change(&mut status);
        if status.state != before {
            let Timestamp(now) = SystemClock.wall();
            status.since_ms = now;
        }
        // The file first: who sees the stream end looks there for the last word.
        if let Err(error) = record::write(&self.path, &status) {
            output.note(&format!("the status could not be written: {error}"));
        }
        self.status.send_replace(status);
    }
}
