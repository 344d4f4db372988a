//! The replicated state: everything that the mesh agrees on, and nothing that changes by the second.

use std::fmt;

use imbl::OrdMap;

use crate::{
    Applied, Batch, Command, Datacenter, DatacenterName, Rejection, RejectionKind, Timestamp,
};

/// The most datacenters that one mesh may have.
pub const DATACENTERS_MAX: usize = 256;

/// Counts the changes of the state; each change has its own. Epochs of placements are revisions too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision(pub u64);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What the mesh agrees on. Cloning is cheap: the maps are persistent and share their nodes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// The last change.
    pub revision: Revision,
    /// The latest time stamp seen. Never goes back, whatever the leaders' clocks do.
    pub time: Timestamp,
    /// Every datacenter.
    pub datacenters: OrdMap<DatacenterName, Datacenter>,
}

impl State {
    /// Applies one log entry. The same entries in the same order give the same state on every node.
    pub fn apply(&mut self, batch: &Batch) -> Vec<Result<Applied, Rejection>> {
        self.time = self.time.max(batch.at);
        batch.commands.iter().map(|command| self.apply_one(command)).collect()
    }

    fn apply_one(&mut self, command: &Command) -> Result<Applied, Rejection> {
        let changed = match command {
            Command::RegisterDatacenter(datacenter) => self.register_datacenter(datacenter)?,
        };
        Ok(Applied { revision: self.revision, changed })
    }

    /// Takes the next revision for a change that is about to be made.
    fn advance(&mut self) -> Revision {
        self.revision = Revision(self.revision.0 + 1);
        self.revision
    }

    fn register_datacenter(&mut self, datacenter: &Datacenter) -> Result<bool, Rejection> {
        let known = self.datacenters.get(&datacenter.name);
        if known == Some(datacenter) {
            return Ok(false);
        }
        if known.is_none() && self.datacenters.len() >= DATACENTERS_MAX {
            return Err(Rejection::new(
                RejectionKind::Limit,
                format!("the mesh has {DATACENTERS_MAX} datacenters, the most it may have"),
            ));
        }
        self.advance();
        self.datacenters.insert(datacenter.name.clone(), datacenter.clone());
        Ok(true)
    }
}
