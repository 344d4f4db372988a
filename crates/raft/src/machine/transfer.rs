//! Snapshots on their way: what openraft hands around instead of their bytes.

use std::sync::Arc;

use kato_core::State;

use super::content::{Reader, pieces};
use super::snapshots::Snapshots;
use crate::StoreError;
use crate::disk::{Draft, Source};
use crate::types::SnapshotMeta;

/// A snapshot's content.
pub(crate) enum Content {
    /// A file of this member.
    Kept(Arc<dyn Source>),
    /// What a leader sent: whole and checked, but without a name yet.
    Received(Box<Received>),
}

/// A snapshot that has come from elsewhere.
pub(crate) struct Received {
    pub(super) draft: Box<dyn Draft>,
    pub(super) meta: SnapshotMeta,
    pub(super) state: State,
}

/// Takes a snapshot as it comes, to a draft on the disk and into a state. Dropped, nothing is left of it.
pub(crate) struct Receiver {
    draft: Box<dyn Draft>,
    reader: Reader,
    snapshots: Arc<Snapshots>,
}

impl Receiver {
    pub(crate) fn new(snapshots: Arc<Snapshots>) -> Result<Self, StoreError> {
        let draft = snapshots.draft()?;
        let reader = Reader::new("the snapshot from the leader".to_owned(), snapshots.knows);
        Ok(Self { draft, reader, snapshots })
    }

    /// Takes the next piece.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<(), StoreError> {
        self.reader.push(piece)?;
        self.draft.append(piece).map_err(|source| self.snapshots.unwritable(source))
    }

    /// All of it has come.
    pub(crate) fn finish(self) -> Result<Box<Received>, StoreError> {
        let (meta, state) = self.reader.finish()?;
        Ok(Box::new(Received { draft: self.draft, meta, state }))
    }

    /// Takes a file of another store.
    pub(super) async fn copy(mut self, source: &dyn Source) -> Result<Box<Received>, StoreError> {
        let path = self.snapshots.directory();
        let failed = |source| StoreError::Io {
            what: "cannot read the snapshot",
            path: path.clone(),
            source,
        };
        for piece in pieces(source).map_err(failed)? {
            let piece = piece.map_err(failed)?;
            self.push(&piece)?;
            tokio::task::yield_now().await;
        }
        self.finish()
    }
}
