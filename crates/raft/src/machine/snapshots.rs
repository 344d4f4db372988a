//! The snapshot files of a member: the newest two are kept, each whole or not there.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use kato_core::State;

use super::content::{self, ReadError};
use super::transfer::{Content, Received};
use crate::StoreError;
use crate::disk::{Disk, Draft, LOG, Source};
use crate::store::Extent;
use crate::types::{LogId, Snapshot, SnapshotMeta};

/// Snapshot files that are kept.
const KEPT: usize = 2;
/// What their names begin and end with; between is the last entry's number.
const PREFIX: &str = "snapshot-";
const SUFFIX: &str = ".kato";

pub(crate) struct Snapshots {
    disk: Arc<dyn Disk>,
    /// The newest mesh version that this member knows.
    pub(super) knows: u32,
    /// The newest one's file.
    newest: Mutex<Option<String>>,
}

/// What a snapshot file holds.
type Whole = (SnapshotMeta, State);

impl Snapshots {
    /// Finds the newest usable snapshot. A damaged one is passed over only if the log still holds everything that
    /// was in it, from the one before it on: a snapshot that a leader sent may be all that there is of its entries.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        log: Extent,
        knows: u32,
    ) -> Result<(Self, Option<Whole>), StoreError> {
        let snapshots = Self { disk, knows, newest: Mutex::new(None) };
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
                Err(error)
                    if index_in(&name) <= index(log.last) && !error.is_of_other_version() =>
                {
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
                what: format!("the set of snapshots in {}", snapshots.directory().display()),
                reason: format!("the log begins after entry {purged}, no snapshot reaches it"),
            }));
        }
        if let Some(committed) = index(log.committed)
            && Some(committed) > index(log.last).max(index(reached))
        {
            return Err(StoreError::Damaged {
                what: snapshots.disk.path(LOG).display().to_string(),
                reason: format!("entry {committed} was committed, log and snapshots end before it"),
            });
        }
        Ok((snapshots, newest))
    }

    /// Writes a snapshot of this state.
    pub(crate) async fn build(
        &self,
        meta: &SnapshotMeta,
        state: &State,
    ) -> Result<Snapshot, StoreError> {
        let mut draft = self.draft()?;
        let written = content::write(&mut *draft, meta, state).await;
        written.map_err(|source| self.unwritable(source))?;
        let name = self.keep(meta, draft)?;
        Ok(Snapshot { meta: meta.clone(), snapshot: Content::Kept(self.source(&name)?) })
    }

    /// Keeps a snapshot that came over the network.
    pub(super) fn install(
        &self,
        meta: &SnapshotMeta,
        received: Received,
    ) -> Result<State, StoreError> {
        if received.meta != *meta {
            return Err(StoreError::Damaged {
                what: "the snapshot from the leader".to_owned(),
                reason: format!("it says {}, the leader said {meta}", received.meta),
            });
        }
        self.keep(meta, received.draft)?;
        Ok(received.state)
    }

    /// The newest snapshot, once every checksum of it was right: it may have lain there for long.
    pub(super) async fn current(&self) -> Result<Option<Snapshot>, StoreError> {
        let Some(name) = self.newest().clone() else { return Ok(None) };
        let source = self.source(&name)?;
        let path = self.disk.path(&name).display().to_string();
        let verified = content::verify(&*source, path).await;
        let meta = verified.map_err(|error| self.unreadable(&name, error))?;
        Ok(Some(Snapshot { meta, snapshot: Content::Kept(source) }))
    }

    /// Begins a file.
    pub(super) fn draft(&self) -> Result<Box<dyn Draft>, StoreError> {
        self.disk.create().map_err(|source| self.unwritable(source))
    }

    pub(super) fn unwritable(&self, source: io::Error) -> StoreError {
        StoreError::Io { what: "cannot write a snapshot", path: self.directory(), source }
    }

    pub(super) fn directory(&self) -> PathBuf {
        self.disk.path("")
    }

    fn unreadable(&self, name: &str, error: ReadError) -> StoreError {
        error.of(self.disk.path(name))
    }

    fn newest(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a whole file its name, and removes those that are not kept any more.
    fn keep(&self, meta: &SnapshotMeta, draft: Box<dyn Draft>) -> Result<String, StoreError> {
        // Fixed width, so that names sort as numbers do.
        let index = meta.last_log_id.map_or(0, |id| id.index);
        let name = format!("{PREFIX}{index:020}{SUFFIX}");
        // Held throughout, so that of two at once neither removes what the other has just kept.
        let mut newest = self.newest();
        draft.keep(&name).map_err(|source| self.unwritable(source))?;
        // One that was built slowly may come after one that was installed meanwhile.
        *newest = newest.take().max(Some(name.clone()));
        let mut names = self.names()?;
        names.truncate(names.len().saturating_sub(KEPT));
        for old in names {
            self.disk.remove(&old).map_err(|source| StoreError::Io {
                what: "cannot remove an old snapshot",
                path: self.disk.path(&old),
                source,
            })?;
        }
        Ok(name)
    }

    fn names(&self) -> Result<Vec<String>, StoreError> {
        files(&*self.disk)
    }

    fn source(&self, name: &str) -> Result<Arc<dyn Source>, StoreError> {
        let opened = self.disk.open(name);
        opened.map_err(|error| self.unreadable(name, ReadError::Io(error)))
    }

    fn load(&self, name: &str) -> Result<Whole, StoreError> {
        read_snapshot(&*self.disk, name, self.knows)
    }
}

/// What a snapshot file holds, for whoever knows mesh versions up to `knows`.
pub(crate) fn read_snapshot(
    disk: &dyn Disk,
    name: &str,
    knows: u32,
) -> Result<(SnapshotMeta, State), StoreError> {
    let path = disk.path(name);
    let read = || content::read(&*disk.open(name)?, path.display().to_string(), knows);
    read().map_err(|error: ReadError| error.of(path.clone()))
}

/// The snapshots on a disk, the oldest first.
pub(crate) fn files(disk: &dyn Disk) -> Result<Vec<String>, StoreError> {
    let mut names = disk.list().map_err(|source| StoreError::Io {
        what: "cannot list the snapshots",
        path: disk.path(""),
        source,
    })?;
    names.retain(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX));
    names.sort();
    Ok(names)
}

/// The last entry's number in a snapshot, as its file's name says it.
fn index_in(name: &str) -> Option<u64> {
    name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.parse().ok()
}
