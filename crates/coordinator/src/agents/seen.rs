//! What an agent says about one instance.

use std::collections::BTreeMap;

use kato_core::{InstanceId, PortName, Revision, Timestamp};
use kato_proto::mesh_v1 as pb;
pub(crate) use kato_proto::mesh_v1::RunState;

/// One instance as its agent sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The epoch that runs.
    pub(crate) epoch: Revision,
    /// The generation that runs.
    pub(crate) generation: u64,
    /// What it does.
    pub(crate) state: RunState,
    /// Since when.
    pub(crate) since: Timestamp,
    /// How often it was started again.
    pub(crate) restarts: u32,
    /// Its host ports.
    pub(crate) ports: BTreeMap<PortName, u16>,
    /// In words.
    pub(crate) detail: String,
}

/// The longest detail that is passed on, in bytes.
const DETAIL_BYTES_MAX: usize = 512;

impl Seen {
    /// Reads a status; none if its names make no sense.
    pub(crate) fn from_wire(message: pb::InstanceStatus) -> Option<(InstanceId, Self)> {
        let id = message.instance.parse().ok()?;
        let state = message.state();
        let port =
            |(name, port): (String, u32)| Some((name.parse().ok()?, u16::try_from(port).ok()?));
        let mut detail = message.detail;
        detail.truncate(detail.floor_char_boundary(DETAIL_BYTES_MAX));
        let seen = Self {
            epoch: Revision(message.epoch),
            generation: message.generation,
            state,
            since: Timestamp(message.since_unix_ms),
            restarts: message.restarts,
            ports: message.ports.into_iter().filter_map(port).collect(),
            detail,
        };
        Some((id, seen))
    }

    /// The status as it is sent on.
    pub(crate) fn to_wire(&self, id: &InstanceId) -> pb::InstanceStatus {
        let ports = self.ports.iter().map(|(name, port)| (name.to_string(), u32::from(*port)));
        pb::InstanceStatus {
            instance: id.to_string(),
            epoch: self.epoch.0,
            generation: self.generation,
            state: self.state.into(),
            since_unix_ms: self.since.0,
            restarts: self.restarts,
            ports: ports.collect(),
            detail: self.detail.clone(),
        }
    }
}
