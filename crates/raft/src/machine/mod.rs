//! The state machine: applies committed batches to [`State`], and keeps snapshots of it as files.

mod content;
mod frames;
mod snapshots;
#[cfg(test)]
mod tests;
mod transfer;

use std::io;
use std::sync::Arc;

use futures_util::{Stream, StreamExt};
use kato_core::State;
use kato_proto::store;
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend};
use tokio::sync::watch;

use crate::store::Extent;
use crate::types::{LogId, Outcomes, Record, Snapshot, SnapshotMeta, StoredMembership, TypeConfig};
use crate::{Disk, StoreError, Timing};
pub(crate) use content::{PIECE_BYTES, piece, read_records};
pub(crate) use snapshots::{Snapshots, files, read_snapshot};
pub(crate) use transfer::{Content, Receiver};

/// The state as one node has applied it. Cloning is cheap.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// The state.
    pub state: State,
    /// The last log entry in it.
    pub index: u64,
    /// Where that is, and who takes part by then.
    position: Position,
}

#[derive(Debug, Clone, Default)]
struct Position {
    last: Option<LogId>,
    membership: StoredMembership,
}

pub(crate) struct Machine {
    view: View,
    snapshots: Arc<Snapshots>,
    published: watch::Sender<View>,
}

impl Machine {
    /// Loads the newest snapshot, which must go together with the log without a gap.
    /// `knows` is the newest mesh version that this member knows.
    pub(crate) fn open(disk: Arc<dyn Disk>, log: Extent, knows: u32) -> Result<Self, StoreError> {
        let (snapshots, newest) = Snapshots::open(disk, log, knows)?;
        let mut machine = Self {
            view: View::default(),
            snapshots: Arc::new(snapshots),
            published: watch::Sender::new(View::default()),
        };
        if let Some((meta, state)) = newest {
            machine.restore(&meta, state);
        }
        Ok(machine)
    }

    /// The same machine for another openraft: from what was published last. The former one may still apply what it
    /// was given; both apply the same, and what is published never goes back.
    pub(crate) fn successor(&self) -> Self {
        Self {
            view: self.published.borrow().clone(),
            snapshots: Arc::clone(&self.snapshots),
            published: self.published.clone(),
        }
    }

    /// The timing that was agreed on, if this build knows it.
    pub(crate) fn agreed_timing(&self) -> Option<Timing> {
        Timing::for_rtt_ms(self.view.state.agreed?.timing.rtt_ms_max).ok()
    }

    fn publish(&self) {
        self.published.send_if_modified(|known| {
            let newer = self.view.position.last > known.position.last;
            if newer {
                *known = self.view.clone();
            }
            newer
        });
    }

    /// Its snapshots.
    pub(crate) fn snapshots(&self) -> Arc<Snapshots> {
        Arc::clone(&self.snapshots)
    }

    /// Follows the applied state.
    pub(crate) fn subscribe(&self) -> watch::Receiver<View> {
        self.published.subscribe()
    }

    pub(crate) fn restore(&mut self, meta: &SnapshotMeta, state: State) {
        let position =
            Position { last: meta.last_log_id, membership: meta.last_membership.clone() };
        self.view = View { state, index: index_of(position.last), position };
        self.publish();
    }

    /// What this build cannot read stops the node: skipping it would make this node's state another one
    /// (same-log-same-state).
    fn apply_record(&mut self, id: LogId, record: &Record) -> Result<Outcomes, StoreError> {
        let batch = store::decode_batch(&record.0, self.snapshots.knows)
            .map_err(|error| StoreError::unreadable(format!("log entry {}", id.index), error))?;
        Ok(self.view.state.apply(&batch))
    }
}

/// The number of an entry; entry 0 is the one that founds the mesh.
fn index_of(id: Option<LogId>) -> u64 {
    id.map_or(0, |id| id.index)
}

impl RaftStateMachine<TypeConfig> for Machine {
    type SnapshotData = Content;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        let Position { last, membership } = &self.view.position;
        Ok((*last, membership.clone()))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> io::Result<()>
    where
        Strm: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    {
        let mut answers = Vec::new();
        while let Some(next) = entries.next().await {
            let (entry, responder) = next?;
            let outcomes = match &entry.payload {
                EntryPayload::Blank => Outcomes::new(),
                EntryPayload::Normal(record) => self.apply_record(entry.log_id, record)?,
                EntryPayload::Membership(membership) => {
                    self.view.position.membership =
                        StoredMembership::new(Some(entry.log_id), membership.clone());
                    Outcomes::new()
                }
            };
            self.view.position.last = Some(entry.log_id);
            answers.extend(responder.map(|responder| (responder, outcomes)));
        }
        self.view.index = index_of(self.view.position.last);
        // Published before anybody hears of it: who was answered finds his own write.
        self.publish();
        for (responder, outcomes) in answers {
            responder.send(outcomes);
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder {
            meta: SnapshotMeta {
                last_log_id: self.view.position.last,
                last_membership: self.view.position.membership.clone(),
            },
            state: self.view.state.clone(),
            snapshots: Arc::clone(&self.snapshots),
        }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: Content) -> io::Result<()> {
        // An older one never replaces a newer state, nor does its file stay.
        if meta.last_log_id <= self.view.position.last {
            return Ok(());
        }
        let received = match snapshot {
            Content::Received(received) => received,
            Content::Kept(source) => Receiver::new(self.snapshots())?.copy(&*source).await?,
        };
        let state = self.snapshots.install(meta, *received)?;
        self.restore(meta, state);
        tracing::info!(entry = self.view.index, "installed a snapshot from the leader");
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        Ok(self.snapshots.current().await?)
    }
}

/// Writes one snapshot, from an O(1) copy of the state.
pub(crate) struct Builder {
    meta: SnapshotMeta,
    state: State,
    snapshots: Arc<Snapshots>,
}

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    type SnapshotData = Content;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        Ok(self.snapshots.build(&self.meta, &self.state).await?)
    }
}
