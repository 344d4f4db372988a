//! A mesh that begins anew from a backup: from a snapshot of the mesh before, or from the whole store of one of its
//! members, which nobody runs. The member that founds the mesh is given a store that begins with that state
//! ([`State::restore`]); the others start empty, and get it from there.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kato_core::State;
use kato_core::version::NEWEST;
use kato_proto::store;
use openraft::EntryPayload;
use openraft::storage::RaftLogStorage as _;
use openraft::vote::leader_id_adv::LeaderId;

use crate::machine::{Snapshots, read_snapshot};
use crate::offline::ReadOnly;
use crate::store::{Extent, LogFile, LogStore};
use crate::types::{LogId, Member, Membership, NodeId, SnapshotMeta, StoredMembership, Vote};
use crate::{DirDisk, Disk, Flush, StoreError};

/// The file that says that a restore has begun, and not ended.
const RESTORING: &str = "restoring";
/// The file that says that this store begins with a backup, and that the other founders have not been asked yet.
const RESTORED: &str = "restored";

/// Where the terms of an incarnation begin.
const TERM_SHIFT: u32 = 32;

/// The incarnation of the mesh that a term is of.
pub(crate) fn incarnation(term: u64) -> u64 {
    term >> TERM_SHIFT
}

/// What a mesh begins anew from.
#[derive(Debug, Clone)]
pub struct Backup {
    /// The state, as it was.
    pub state: State,
    /// The last log entry in it.
    pub entry: u64,
    /// The latest term that is known of.
    term: u64,
}

impl Backup {
    /// Reads a snapshot file, or the store of a coordinator that does not run: its newest snapshot, and all that its log
    /// has behind that. Some of it may never have been acknowledged; all that was acknowledged to it is there.
    pub fn read(path: &Path) -> Result<Self, StoreError> {
        if path.is_dir() { Self::of_store(path) } else { Self::of_snapshot(path) }
    }

    fn of_snapshot(path: &Path) -> Result<Self, StoreError> {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let disk = DirDisk::around(path);
        let (meta, state) = read_snapshot(&disk, name, NEWEST)?;
        let last = meta.last_log_id;
        let (entry, term) = last.map_or((0, 0), |last| (last.index, last.leader_id.term));
        Ok(Self { state, entry, term })
    }

    fn of_store(path: &Path) -> Result<Self, StoreError> {
        let disk = Arc::new(ReadOnly::existing(path)?);
        let (_, memory) = LogFile::open(Arc::clone(&disk) as Arc<dyn Disk>, None)?;
        let (_, newest) = Snapshots::open(disk, memory.extent(), NEWEST)?;
        let (mut last, mut state) =
            newest.map_or_else(Default::default, |(meta, state)| (meta.last_log_id, state));
        for entry in memory.range(..) {
            if Some(entry.log_id) <= last {
                continue;
            }
            if let EntryPayload::Normal(record) = &entry.payload {
                let batch = store::decode_batch(&record.0, NEWEST).map_err(|error| {
                    StoreError::unreadable(format!("log entry {}", entry.log_id.index), error)
                })?;
                state.apply(&batch);
            }
            last = Some(entry.log_id);
        }
        let entry = last.map_or(0, |last| last.index);
        let voted = memory.vote.map_or(0, |vote| vote.leader_id.term);
        Ok(Self { state, entry, term: voted.max(last.map_or(0, |last| last.leader_id.term)) })
    }
}

/// Makes an empty directory the store of `id`, the first of `founders`, beginning with a restored state.
pub async fn restore(
    directory: &Path,
    id: NodeId,
    founders: BTreeMap<NodeId, Member>,
    backup: &Backup,
) -> Result<(), StoreError> {
    let path = directory.to_owned();
    let failed = |what: &'static str| {
        let path = path.clone();
        move |source: io::Error| StoreError::Io { what, path, source }
    };
    let disk = DirDisk::open(directory).map_err(failed("cannot use the directory"))?;
    let mut files = std::fs::read_dir(directory).map_err(failed("cannot list the directory"))?;
    if files.next().is_some() {
        return Err(StoreError::NotEmpty { path });
    }
    let disk: Arc<dyn Disk> = Arc::new(disk);
    disk.write(RESTORING, b"begun and not ended\n").map_err(failed("cannot write to the store"))?;
    // A member of the mesh before that comes late must not overrule this one, however often that has elected.
    let term = (backup.term + 1).max(backup.state.revision.incarnation() << TERM_SHIFT);
    let leader = LeaderId { term, node_id: id };
    let mut log = LogStore::open(Arc::clone(&disk), id, Flush::Inline)?;
    let vote = Vote { leader_id: leader, committed: false };
    log.save_vote(&vote).await.map_err(failed("cannot write to the store"))?;
    let last = LogId::new(leader, backup.entry + 1);
    let voters = vec![founders.keys().copied().collect()];
    let membership = Membership::new(voters, founders)
        .map_err(|error| failed("cannot name the members")(io::Error::other(error)))?;
    let last_membership = StoredMembership::new(Some(last), membership);
    let meta = SnapshotMeta { last_log_id: Some(last), last_membership };
    let (snapshots, _) = Snapshots::open(Arc::clone(&disk), Extent::default(), NEWEST)?;
    snapshots.build(&meta, &backup.state).await?;
    disk.write(RESTORED, b"the other founders are to be asked\n")
        .map_err(failed("cannot write to the store"))?;
    disk.remove(RESTORING).map_err(failed("cannot write to the store"))
}

/// Whether this store begins with a backup, and the other founders have not been asked whether theirs are empty.
pub(crate) struct Restored {
    disk: Arc<dyn Disk>,
    pending: AtomicBool,
}

impl Restored {
    /// Refuses a store whose restore was not ended.
    pub(crate) fn open(disk: Arc<dyn Disk>) -> Result<Self, StoreError> {
        let there = |name: &str| match disk.read(name) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => {
                let path: PathBuf = disk.path(name);
                Err(StoreError::Io { what: "cannot read", path, source })
            }
        };
        if there(RESTORING)? {
            return Err(StoreError::HalfRestored { path: disk.path("") });
        }
        let pending = AtomicBool::new(there(RESTORED)?);
        Ok(Self { disk, pending })
    }

    pub(crate) fn is_pending(&self) -> bool {
        self.pending.load(Ordering::Acquire)
    }

    /// The others were asked.
    pub(crate) fn end(&self) -> io::Result<()> {
        self.disk.remove(RESTORED)?;
        self.pending.store(false, Ordering::Release);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
