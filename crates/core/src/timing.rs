//! How long everybody waits for everybody, as the mesh has agreed on it.

use crate::{Revision, State};

/// What follows from the round trips between the members. Who computes it, and why, is told in `docs/leases.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// The longest round trip between two members that Raft's timeouts allow for, in milliseconds.
    pub rtt_ms_max: u64,
    /// How long a lease lasts that is granted now, in milliseconds.
    pub lease_ms: u64,
    /// How long any lease may last that still holds, in milliseconds: longer than `lease_ms` while leases from before
    /// they became shorter have not ended. Whoever waits for leases to end waits for this one.
    pub lease_ms_max: u64,
}

/// A timing, and since when it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreed {
    /// The timing.
    pub timing: Timing,
    /// The revision that it came with.
    pub since: Revision,
}

impl State {
    /// How long a lease lasts that is granted now, in milliseconds; none before the mesh is founded.
    #[must_use]
    pub fn lease_ms(&self) -> Option<u64> {
        let founded = self.settings.as_ref().map(|settings| settings.lease_ms);
        self.agreed.map(|agreed| agreed.timing.lease_ms).or(founded)
    }

    /// How long any lease may last that still holds, in milliseconds.
    #[must_use]
    pub fn lease_ms_max(&self) -> Option<u64> {
        let founded = self.settings.as_ref().map(|settings| settings.lease_ms);
        self.agreed.map(|agreed| agreed.timing.lease_ms_max).or(founded)
    }
}
