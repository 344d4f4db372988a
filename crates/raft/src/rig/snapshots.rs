//! Snapshots of the size that a large mesh makes, by themselves: for benchmarks.

use std::sync::Arc;

use kato_core::State;
use kato_core::version::NEWEST;
use openraft::storage::{RaftSnapshotBuilder, RaftStateMachine};

use crate::machine::Machine;
use crate::store::Extent;
use crate::types::{LogId, SnapshotMeta};
use crate::{Disk, StoreError, View};

/// Writes a snapshot of a state into an empty store.
pub async fn write(disk: Arc<dyn Disk>, state: &State) -> std::io::Result<()> {
    let mut machine = Machine::open(disk, Extent::default(), NEWEST)?;
    let leader_id = openraft::vote::leader_id_adv::LeaderId { term: 1, node_id: 1 };
    let last = LogId::new(leader_id, state.revision.0);
    let meta = SnapshotMeta { last_log_id: Some(last), ..SnapshotMeta::default() };
    machine.restore(&meta, state.clone());
    machine.get_snapshot_builder().await.build_snapshot().await.map(drop)
}

/// Restores the newest snapshot of a store, as a start does.
pub fn restore(disk: Arc<dyn Disk>) -> Result<View, StoreError> {
    let machine = Machine::open(disk, Extent::default(), NEWEST)?;
    let view = machine.subscribe().borrow().clone();
    Ok(view)
}
