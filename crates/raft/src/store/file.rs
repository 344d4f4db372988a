//! The log on disk: one redb table for entries, one for what there is one of. One transaction is one sync.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prost::Message as _;
use redb::{Database, TableDefinition, WriteTransaction};

use super::head::{self, Head};
use super::record::seal;
use crate::convert::Message;
use crate::types::{Entry, LogId, Vote};
use crate::{Disk, StoreError};

pub(super) const ENTRIES: TableDefinition<u64, &[u8]> = TableDefinition::new("entries");
pub(super) const SINGLES: TableDefinition<&str, &[u8]> = TableDefinition::new("singles");

/// The keys of `SINGLES`, and what else there is one of: see `open.rs`.
pub(super) const VOTE: &str = "vote";
pub(super) const COMMITTED: &str = "committed";
pub(super) const PURGED: &str = "purged";
pub(super) const HEAD: &str = "head";

/// One change of the log. Changes are written in the order in which they were asked for.
#[derive(Debug)]
pub(crate) enum Change {
    Append(Vec<Entry>),
    Vote(Vote),
    Committed(Option<LogId>),
    /// Remove entries after this index (all of them for none).
    TruncateAfter(Option<u64>),
    /// Remove entries up to and with this one.
    Purge(LogId),
}

/// The opened database.
pub(crate) struct LogFile {
    pub(super) database: Database,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) tail: Mutex<Tail>,
}

/// Where the next write goes on.
#[derive(Debug, Clone)]
pub(super) struct Tail {
    pub(super) head: Head,
    pub(super) singles: Singles,
    /// Whether the mark has been synced.
    pub(super) settled: bool,
}

/// What there is one of, as it lies in the table; empty where it is not there.
#[derive(Debug, Clone, Default)]
pub(super) struct Singles {
    pub(super) vote: Vec<u8>,
    pub(super) committed: Vec<u8>,
    pub(super) purged: Vec<u8>,
}

impl Singles {
    pub(super) fn checksum(&self) -> u32 {
        [&self.vote, &self.committed, &self.purged].into_iter().fold(0, |crc, bytes| {
            let crc = crc32c::crc32c_append(crc, &(bytes.len() as u64).to_le_bytes());
            crc32c::crc32c_append(crc, bytes)
        })
    }
}

impl LogFile {
    pub(super) fn tail(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes changes in order, in one durable transaction: all of them or none.
    pub(crate) fn write(&self, changes: &[Change]) -> Result<(), StoreError> {
        self.transact(changes).map_err(|error| match error {
            StoreError::Database(source) => StoreError::Write(source),
            other => other,
        })
    }

    fn transact(&self, changes: &[Change]) -> Result<(), StoreError> {
        let mut tail = self.tail().clone();
        let Tail { head, singles, .. } = &mut tail;
        let transaction = self.database.begin_write()?;
        {
            let mut entries = transaction.open_table(ENTRIES)?;
            for change in changes {
                match change {
                    Change::Append(appended) => {
                        for entry in appended {
                            let sealed = seal(&entry.to_pb().encode_to_vec());
                            entries.insert(entry.log_id.index, sealed.as_slice())?;
                            head.next = head.next.max(entry.log_id.index + 1);
                        }
                    }
                    Change::Vote(vote) => singles.vote = seal(&vote.to_pb().encode_to_vec()),
                    Change::Committed(Some(id)) => {
                        singles.committed = seal(&id.to_pb().encode_to_vec());
                    }
                    Change::Committed(None) => {}
                    Change::TruncateAfter(last) => {
                        let first = last.map_or(0, |last| last + 1);
                        entries.retain_in(first.., |_, _| false)?;
                        head.next = head.next.min(first);
                    }
                    Change::Purge(upto) => {
                        singles.purged = seal(&upto.to_pb().encode_to_vec());
                        entries.retain_in(..=upto.index, |_, _| false)?;
                        head.next = head.next.max(upto.index + 1);
                    }
                }
            }
            let mut table = transaction.open_table(SINGLES)?;
            let all =
                [(VOTE, &singles.vote), (COMMITTED, &singles.committed), (PURGED, &singles.purged)];
            for (key, sealed) in all.into_iter().filter(|(_, sealed)| !sealed.is_empty()) {
                table.insert(key, sealed.as_slice())?;
            }
        }
        let votes = changes.iter().any(|change| matches!(change, Change::Vote(_)));
        self.commit(transaction, tail, votes)
    }

    /// Ends a transaction: gives it its head, makes it durable, and marks it.
    pub(super) fn commit(
        &self,
        transaction: WriteTransaction,
        mut tail: Tail,
        settled: bool,
    ) -> Result<(), StoreError> {
        tail.head.number += 1;
        tail.head.singles = tail.singles.checksum();
        tail.settled = settled;
        let sealed = seal(&tail.head.bytes());
        transaction.open_table(SINGLES)?.insert(HEAD, sealed.as_slice())?;
        transaction.commit()?;
        head::mark(&*self.disk, &tail.head, settled)?;
        *self.tail() = tail;
        Ok(())
    }

    /// Syncs the mark, if it was not.
    pub(crate) fn settle(&self) -> Result<(), StoreError> {
        let mut tail = self.tail();
        if !tail.settled {
            head::mark(&*self.disk, &tail.head, true)?;
            tail.settled = true;
        }
        Ok(())
    }
}
