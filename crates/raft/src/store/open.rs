//! Opening the log: what is found must be what was acknowledged.
//!
//! Every page and every record is checked against its checksum, the entries against each other (no hole, each at
//! its index), and all of it against the [`Head`] of the last write, so that a table which lost a row, or a
//! database which went back, shows.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use kato_proto::store;
use redb::{Database, ReadableDatabase, ReadableTable, TableError};

use super::file::{COMMITTED, ENTRIES, HEAD, LogFile, PURGED, SINGLES, Singles, Tail, VOTE};
use super::head::{self, Head, MARK};
use super::memory::Memory;
use super::record::{check, seal, unseal};
use crate::convert::Message;
use crate::types::{Entry, NodeId};
use crate::welcome::WELCOME;
use crate::{Disk, StoreError};

/// Keys of the table of singles that are written once.
const FORMAT: &str = "format";
const MEMBER: &str = "member";

/// The format of both tables.
const FORMAT_VERSION: u32 = 2;
/// The database's page cache, in bytes. Entries are served from memory, so a small one is enough.
const CACHE_BYTES: usize = 8 * 1024 * 1024;

impl LogFile {
    /// Opens or makes the log of `member`, and reads back all of it. Every record is checked; damage is an
    /// error, never a shorter log.
    pub(crate) fn open(disk: Arc<dyn Disk>, member: NodeId) -> Result<(Self, Memory), StoreError> {
        // redb trusts the pages of a database that was closed in order until its integrity check, and panics on
        // some that are damaged.
        let opened = catch_unwind(AssertUnwindSafe(|| Self::open_database(disk, member)));
        opened.unwrap_or_else(|panic| {
            let said = panic.downcast_ref::<String>().map(String::as_str);
            let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default();
            Err(damaged("the log", format!("its database cannot be read: {said}")))
        })
    }

    fn open_database(disk: Arc<dyn Disk>, member: NodeId) -> Result<(Self, Memory), StoreError> {
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES);
        let mut database = disk.open_log(&builder)?;
        if !database.check_integrity()? {
            return Err(damaged("the log", "its database failed its integrity check".to_owned()));
        }
        let head = Head { member, number: 0, next: 0, singles: Singles::default().checksum() };
        let tail = Tail { head, singles: Singles::default(), settled: true };
        let file = Self { database, disk, tail: Mutex::new(tail) };
        let memory = match file.identify(member)? {
            None => {
                file.claim(member)?;
                Memory::default()
            }
            Some(head) => file.resume(&head)?,
        };
        Ok((file, memory))
    }

    /// Checks that the store is `member`'s, and in a known format, and reads the head of its last write; none of a new
    /// store.
    fn identify(&self, member: NodeId) -> Result<Option<Head>, StoreError> {
        let transaction = self.database.begin_read()?;
        let singles = match transaction.open_table(SINGLES) {
            Err(TableError::TableDoesNotExist(_)) => return self.expect_nothing(),
            table => table?,
        };
        let Some(format) = number(&singles, FORMAT)? else { return self.expect_nothing() };
        let found = u32::try_from(format).unwrap_or(u32::MAX);
        check(found, FORMAT_VERSION, FORMAT_VERSION, || "the log".to_owned())?;
        let found = number(&singles, MEMBER)?.unwrap_or_default();
        if found != member {
            return Err(StoreError::WrongMember { found, configured: member });
        }
        let Some(sealed) = singles.get(HEAD)? else {
            return Err(damaged("the log", "it lacks the head of its last write".to_owned()));
        };
        let bytes = unseal(sealed.value(), || "the log's head".to_owned())?;
        let head = Head::from_bytes(&bytes);
        let head = head.ok_or_else(|| damaged("the log's head", "it is short".to_owned()))?;
        Ok(Some(head))
    }

    /// An empty database is a new one only if nothing beside it says that there was more.
    fn expect_nothing(&self) -> Result<Option<Head>, StoreError> {
        let listed = self.disk.list().map_err(|source| StoreError::Io {
            what: "cannot list the store",
            path: self.disk.path(""),
            source,
        })?;
        let others =
            listed.into_iter().find(|name| name.starts_with("snapshot-") || name == WELCOME);
        let witness = if head::is_marked(&*self.disk)? { Some(MARK.to_owned()) } else { others };
        match witness {
            None => Ok(None),
            Some(name) => {
                let reason = format!("it is empty, but {name} shows that it was written");
                Err(damaged("the log", reason))
            }
        }
    }

    /// Makes a new store `member`'s.
    fn claim(&self, member: NodeId) -> Result<(), StoreError> {
        let transaction = self.database.begin_write()?;
        {
            let mut singles = transaction.open_table(SINGLES)?;
            transaction.open_table(ENTRIES)?;
            let sealed = |value: u64| seal(&value.to_le_bytes());
            singles.insert(FORMAT, sealed(u64::from(FORMAT_VERSION)).as_slice())?;
            singles.insert(MEMBER, sealed(member).as_slice())?;
        }
        let tail = self.tail().clone();
        self.commit(transaction, tail, true)
    }

    /// Reads a store back, and holds it against the head of its last write and against the mark.
    fn resume(&self, head: &Head) -> Result<Memory, StoreError> {
        let (memory, singles) = self.read_all()?;
        let next = memory.last().map_or(0, |last| last.index + 1);
        let mut tail = self.tail().clone();
        tail.head = Head { next, singles: singles.checksum(), ..tail.head };
        tail.singles = singles;
        tail.head.number = head.number;
        if tail.head != *head {
            let reason = format!(
                "it ends before entry {next}, its last write left entries before {}{}",
                head.next,
                if tail.head.singles == head.singles { "" } else { " and other votes" }
            );
            return Err(damaged("the log", reason));
        }
        head::check(&*self.disk, head)?;
        head::mark(&*self.disk, head, true)?;
        *self.tail() = tail;
        Ok(memory)
    }

    fn read_all(&self) -> Result<(Memory, Singles), StoreError> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(SINGLES)?;
        let stored =
            |key| Ok::<_, StoreError>(table.get(key)?.map(|sealed| sealed.value().to_vec()));
        let singles = Singles {
            vote: stored(VOTE)?.unwrap_or_default(),
            committed: stored(COMMITTED)?.unwrap_or_default(),
            purged: stored(PURGED)?.unwrap_or_default(),
        };
        let mut memory = Memory::default();
        memory.vote = single(&singles.vote, VOTE)?;
        memory.committed = single(&singles.committed, COMMITTED)?;
        memory.purged = single(&singles.purged, PURGED)?;
        let first = memory.purged.as_ref().map_or(0, |purged| purged.index + 1);
        for (expected, record) in (first..).zip(transaction.open_table(ENTRIES)?.iter()?) {
            let (index, sealed) = record?;
            let what = || format!("log entry {}", index.value());
            let bytes = unseal(sealed.value(), what)?;
            let entry = read::<Entry>(&bytes, what)?;
            if index.value() != expected || entry.log_id.index != expected {
                let reason = format!("entry {expected} should stand in its place");
                return Err(StoreError::Damaged { what: what(), reason });
            }
            memory.push(entry);
        }
        Ok((memory, singles))
    }
}

fn damaged(what: &str, reason: String) -> StoreError {
    StoreError::Damaged { what: what.to_owned(), reason }
}

/// A number in `SINGLES`.
fn number(
    singles: &impl ReadableTable<&'static str, &'static [u8]>,
    key: &str,
) -> Result<Option<u64>, StoreError> {
    let Some(sealed) = singles.get(key)? else { return Ok(None) };
    let bytes = unseal(sealed.value(), || key.to_owned())?;
    let number = bytes.as_ref().try_into().map_err(|_| StoreError::Damaged {
        what: key.to_owned(),
        reason: format!("it has {} bytes, not 8", bytes.len()),
    })?;
    Ok(Some(u64::from_le_bytes(number)))
}

/// A message of `SINGLES`; nothing where there was none.
fn single<M, P>(sealed: &[u8], key: &str) -> Result<Option<M>, StoreError>
where
    M: Message<Pb = P>,
    P: prost::Message + Default,
{
    if sealed.is_empty() {
        return Ok(None);
    }
    let what = || format!("the {key}");
    read::<M>(&unseal(sealed, what)?, what).map(Some)
}

/// Decodes a message whose checksum was right.
fn read<M>(bytes: &Bytes, what: impl Fn() -> String) -> Result<M, StoreError>
where
    M: Message,
    M::Pb: prost::Message + Default,
{
    store::decode::<M::Pb>("record", bytes)
        .and_then(M::from_pb)
        .map_err(|error| StoreError::unreadable(what(), error))
}
