//! The durable log: openraft's storage trait over a memory that is read and a file that is written.

mod file;
mod head;
mod memory;
mod open;
mod read;
mod record;
mod writer;

use std::fmt::Debug;
use std::io;
use std::ops::RangeBounds;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use kato_core::Flaw;
use openraft::storage::{IOFlushed, RaftLogReader, RaftLogStorage};
use openraft::{LogState, OptionalSend};

use crate::types::{Entry, LogId, NodeId, TypeConfig, Vote};
use crate::{Disk, StoreError};
use file::Change;
pub(crate) use file::LogFile;
pub(crate) use memory::Memory;
#[cfg(test)]
pub(crate) use record::{VERSION, seal_as};
pub(crate) use record::{check, seal, unseal};
pub use writer::Flush;
use writer::{Done, Writer};

/// The log of one member. Clones share it.
#[derive(Clone)]
pub(crate) struct LogStore {
    shared: Arc<Shared>,
}

/// How far a log reaches, which its snapshots must fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Extent {
    /// The last entry that was removed because a snapshot holds it.
    pub(crate) purged: Option<LogId>,
    /// The last entry, or the last one removed.
    pub(crate) last: Option<LogId>,
    /// An entry that was known to be committed; there may be later ones.
    pub(crate) committed: Option<LogId>,
}

struct Shared {
    memory: Mutex<Memory>,
    writer: Writer,
}

impl LogStore {
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        member: NodeId,
        flush: Flush,
    ) -> Result<Self, StoreError> {
        let (file, memory) = LogFile::open(Arc::clone(&disk), Some(member))?;
        let writer = Writer::start(file, flush).map_err(|source| StoreError::Io {
            what: "cannot start the log's writer",
            path: disk.path(""),
            source,
        })?;
        Ok(Self { shared: Arc::new(Shared { memory: Mutex::new(memory), writer }) })
    }

    /// How far the log reaches.
    pub(crate) fn extent(&self) -> Extent {
        self.memory().extent()
    }

    /// Looks at the log without keeping it open.
    pub(crate) fn observer(&self) -> Observer {
        Observer(Arc::downgrade(&self.shared))
    }

    /// What the entries in memory take, in bytes, about.
    pub(crate) fn bytes(&self) -> usize {
        self.memory().bytes()
    }

    /// The first entry of the last ones that take at most `bytes` together.
    pub(crate) fn tail_within(&self, bytes: usize) -> Option<u64> {
        self.memory().tail_within(bytes)
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.shared.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a change visible at once and waits until it is durable.
    async fn change(&self, change: Change) -> io::Result<()> {
        self.memory().change(&change);
        self.shared.writer.write_and_wait(change).await
    }
}

/// Sees how far a log reaches, for as long as it is open.
#[derive(Clone)]
pub(crate) struct Observer(Weak<Shared>);

impl Observer {
    /// The vote, and the number of the last entry, of one moment.
    pub(crate) fn position(&self) -> Option<(Option<Vote>, Option<u64>)> {
        let log = LogStore { shared: self.0.upgrade()? };
        let memory = log.memory();
        Some((memory.vote, memory.last().map(|id| id.index)))
    }
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> io::Result<Vec<Entry>>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        Ok(self.memory().range(range))
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        Ok(self.memory().limited(start, end))
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.memory().vote)
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        let memory = self.memory();
        Ok(LogState { last_purged_log_id: memory.purged, last_log_id: memory.last() })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        if Flaw::UnsyncedVote.is_made() {
            self.memory().change(&Change::Vote(*vote));
            self.shared.writer.lazily(Change::Vote(*vote));
            return Ok(());
        }
        self.change(Change::Vote(*vote)).await
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        let change = Change::Committed(committed);
        self.memory().change(&change);
        self.shared.writer.lazily(change);
        Ok(())
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.memory().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let change = Change::Append(entries.into_iter().collect());
        self.memory().change(&change);
        self.shared.writer.write(change, Done::Raft(callback));
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        self.change(Change::TruncateAfter(last.map(|id| id.index))).await
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        self.change(Change::Purge(upto)).await
    }
}
