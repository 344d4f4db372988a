//! Snapshot files: the newest two are kept, each whole or not there, each with a checksum.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use kato_core::State;
use kato_proto::{Field, InvalidMessage, store, store_v1 as pb};
use prost::Message as _;

use crate::convert::Message;
use crate::store::{Extent, seal, unseal};
use crate::types::{LogId, Snapshot, SnapshotMeta};
use crate::{Disk, StoreError};

/// Snapshot files that are kept.
const KEPT: usize = 2;
/// What their names begin and end with; between is the last entry's number.
const PREFIX: &str = "snapshot-";
const SUFFIX: &str = ".kato";

pub(super) struct Snapshots {
    disk: Arc<dyn Disk>,
    /// The newest one's file.
    newest: Mutex<Option<String>>,
}

/// What a snapshot file holds.
type Content = (SnapshotMeta, State);

impl Snapshots {
    /// Finds the newest usable snapshot. A damaged one is passed over only if the log still holds everything that
    /// was in it, from the one before it on: a snapshot that a leader sent may be all that there is of its entries.
    pub(super) fn open(
        disk: Arc<dyn Disk>,
        log: Extent,
    ) -> Result<(Self, Option<Content>), StoreError> {
        let snapshots = Self { disk, newest: Mutex::new(None) };
        let index = |id: Option<LogId>| id.map(|id| id.index);
        let mut damage = None;
        let mut newest = None;
        for name in snapshots.names()?.into_iter().rev() {
            match snapshots.load(&name) {
                Ok(content) => {
                    newest = Some(content);
                    *snapshots.newest() = Some(name);
                    break;
                }
                Err(error) if index_in(&name) <= index(log.last) => {
                    let shown = &error as &dyn std::error::Error;
                    tracing::warn!(error = shown, name, "damaged snapshot");
                    damage.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        let reached = newest.as_ref().and_then(|(meta, _)| meta.last_log_id);
        if reached < log.purged {
            let purged = index(log.purged).unwrap_or_default();
            return Err(damage.unwrap_or_else(|| StoreError::Damaged {
                what: "the set of snapshots".to_owned(),
                reason: format!("the log begins after entry {purged}, no snapshot reaches it"),
            }));
        }
        if let Some(committed) = index(log.committed)
            && Some(committed) > index(log.last).max(index(reached))
        {
            return Err(StoreError::Damaged {
                what: "the log".to_owned(),
                reason: format!("entry {committed} was committed, log and snapshots end before it"),
            });
        }
        Ok((snapshots, newest))
    }

    /// Writes a snapshot of this state.
    pub(super) fn build(&self, meta: &SnapshotMeta, state: &State) -> Result<Bytes, StoreError> {
        let message = pb::Snapshot { meta: Some(meta.to_pb()), state: Some(state.into()) };
        let file = Bytes::from(seal(&message.encode_to_vec()));
        self.keep(meta, &file)?;
        Ok(file)
    }

    /// Checks a snapshot that came over the network, and keeps it.
    pub(super) fn install(&self, meta: &SnapshotMeta, file: &Bytes) -> Result<State, StoreError> {
        let (found, state) = parse(file, || "the snapshot from the leader".to_owned())?;
        if found != *meta {
            return Err(StoreError::Damaged {
                what: "the snapshot from the leader".to_owned(),
                reason: format!("it says {found}, the leader said {meta}"),
            });
        }
        self.keep(meta, file)?;
        Ok(state)
    }

    /// The newest snapshot, read back from disk.
    pub(super) fn current(&self) -> Result<Option<Snapshot>, StoreError> {
        let Some(name) = self.newest().clone() else { return Ok(None) };
        let file = self.read(&name)?;
        let (meta, _) = parse(&file, || self.disk.path(&name).display().to_string())?;
        Ok(Some(Snapshot { meta, snapshot: file }))
    }

    fn newest(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, meta: &SnapshotMeta, file: &Bytes) -> Result<(), StoreError> {
        // Fixed width, so that names sort as numbers do.
        let index = meta.last_log_id.map_or(0, |id| id.index);
        let name = format!("{PREFIX}{index:020}{SUFFIX}");
        let fail = |what| {
            let path = self.disk.path(&name);
            move |source| StoreError::Io { what, path, source }
        };
        self.disk.write(&name, file).map_err(fail("cannot write the snapshot"))?;
        // One that was built slowly may come after one that was installed meanwhile.
        let mut newest = self.newest();
        *newest = newest.take().max(Some(name.clone()));
        drop(newest);
        let mut names = self.names()?;
        names.truncate(names.len().saturating_sub(KEPT));
        for old in names {
            self.disk.remove(&old).map_err(fail("cannot remove an old snapshot"))?;
        }
        Ok(())
    }

    fn names(&self) -> Result<Vec<String>, StoreError> {
        let mut names = self.disk.list().map_err(|source| StoreError::Io {
            what: "cannot list the snapshots",
            path: self.disk.path(""),
            source,
        })?;
        names.retain(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX));
        names.sort();
        Ok(names)
    }

    fn read(&self, name: &str) -> Result<Bytes, StoreError> {
        let path: PathBuf = self.disk.path(name);
        match self.disk.read(name) {
            Ok(bytes) => Ok(bytes.into()),
            Err(source) => Err(StoreError::Io { what: "cannot read the snapshot", path, source }),
        }
    }

    fn load(&self, name: &str) -> Result<Content, StoreError> {
        parse(&self.read(name)?, || self.disk.path(name).display().to_string())
    }
}

/// The last entry's number in a snapshot, as its file's name says it.
fn index_in(name: &str) -> Option<u64> {
    name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.parse().ok()
}

fn parse(file: &Bytes, what: impl Fn() -> String) -> Result<Content, StoreError> {
    let payload = unseal(file, &what)?;
    let content = || -> Result<Content, InvalidMessage> {
        let message = store::decode::<pb::Snapshot>("snapshot", &payload)?;
        let meta = SnapshotMeta::from_pb(message.meta.field("snapshot.meta")?)?;
        let state = message.state.field("snapshot.state")?.try_into()?;
        Ok((meta, state))
    };
    content().map_err(|error| StoreError::Damaged { what: what(), reason: error.to_string() })
}
