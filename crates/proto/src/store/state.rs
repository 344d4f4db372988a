//! The whole state to and from its stored form.

use kato_core::{Revision, State, Timestamp};

use super::VERSION;
use crate::InvalidMessage;
use crate::store_v1 as pb;

pub(super) fn to_stored(state: &State) -> pb::State {
    pb::State {
        version: VERSION,
        revision: state.revision.0,
        time_unix_ms: state.time.0,
        datacenters: state.datacenters.values().map(Into::into).collect(),
    }
}

pub(super) fn from_stored(stored: pb::State) -> Result<State, InvalidMessage> {
    let mut state = State {
        revision: Revision(stored.revision),
        time: Timestamp(stored.time_unix_ms),
        ..State::default()
    };
    for datacenter in stored.datacenters {
        let datacenter: kato_core::Datacenter = datacenter.try_into()?;
        state.datacenters.insert(datacenter.name.clone(), datacenter);
    }
    Ok(state)
}
