//! Opening the log: what is found must be what was acknowledged.
//!
//! Every page and every record is checked against its checksum, the entries against each other (no hole, each at
//! its index), and all of it against the [`Head`] of the last write, so that a table which lost a row, or a
//! database which went back, shows.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex};

use redb::{Database, ReadableDatabase, TableError};

use super::file::{ENTRIES, HEAD, LogFile, SINGLES, Singles, Tail};
use super::head::{self, Head, MARK};
use super::memory::Memory;
use super::read::number;
use super::record::{check, seal, unseal};
use crate::disk::LOG;
use crate::types::NodeId;
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
    /// Opens or makes the log of `member`, or opens whosever it is for none, and reads back all of it. Every record
    /// is checked; damage is an error, never a shorter log.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        member: Option<NodeId>,
    ) -> Result<(Self, Memory), StoreError> {
        let path = disk.path(LOG);
        unpanicked(&path, || Self::open_database(disk, member))
    }

    fn open_database(
        disk: Arc<dyn Disk>,
        member: Option<NodeId>,
    ) -> Result<(Self, Memory), StoreError> {
        let path = disk.path(LOG).display().to_string();
        let mut database = database(&*disk)?;
        if !database.check_integrity()? {
            return Err(damaged(&path, "its database failed its integrity check".to_owned()));
        }
        let singles = Singles::default();
        let (member_or_none, checksum) = (member.unwrap_or_default(), singles.checksum());
        let head = Head { member: member_or_none, number: 0, next: 0, singles: checksum };
        let tail = Tail { head, singles, settled: true };
        let file = Self { database, disk, tail: Mutex::new(tail) };
        let memory = match (file.identify(member)?, member) {
            (Some(head), _) => file.resume(&head)?,
            (None, Some(member)) => {
                file.claim(member)?;
                Memory::default()
            }
            (None, None) => return Err(damaged(&path, "nobody has written to it".to_owned())),
        };
        Ok((file, memory))
    }

    /// Checks that the store is `member`'s, and in a known format, and reads the head of its last write; none of a new
    /// store.
    fn identify(&self, member: Option<NodeId>) -> Result<Option<Head>, StoreError> {
        let transaction = self.database.begin_read()?;
        let singles = match transaction.open_table(SINGLES) {
            Err(TableError::TableDoesNotExist(_)) => return self.expect_nothing(),
            table => table?,
        };
        let Some(format) = number(&singles, FORMAT, || self.place("the format"))? else {
            return self.expect_nothing();
        };
        let found = u32::try_from(format).unwrap_or(u32::MAX);
        check(found, FORMAT_VERSION, FORMAT_VERSION, || self.place("the format"))?;
        let found = number(&singles, MEMBER, || self.place("the member"))?.unwrap_or_default();
        if let Some(configured) = member.filter(|member| *member != found) {
            return Err(StoreError::WrongMember { found, configured });
        }
        self.tail().head.member = found;
        let Some(sealed) = singles.get(HEAD)? else {
            return Err(damaged(
                &self.place("the head"),
                "it lacks the head of its last write".to_owned(),
            ));
        };
        let bytes = unseal(sealed.value(), || self.place("the head"))?;
        let head = Head::from_bytes(&bytes);
        let head =
            head.ok_or_else(|| damaged(&self.place("the head"), "it is short".to_owned()))?;
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
                Err(damaged(&self.log_path(), reason))
            }
        }
    }

    /// Whose log it is.
    pub(crate) fn member(&self) -> NodeId {
        self.tail().head.member
    }

    fn log_path(&self) -> String {
        self.disk.path(LOG).display().to_string()
    }

    /// Names a record of the log.
    pub(super) fn place(&self, what: &str) -> String {
        format!("{}, {what}", self.log_path())
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
            return Err(damaged(&self.log_path(), reason));
        }
        head::check(&*self.disk, head)?;
        head::mark(&*self.disk, head, true)?;
        *self.tail() = tail;
        Ok(memory)
    }
}

/// Opens the database, whatever is in it.
pub(super) fn database(disk: &dyn Disk) -> Result<Database, StoreError> {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    Ok(disk.open_log(&builder)?)
}

/// redb trusts the pages of a database that was closed in order until its integrity check, and panics on some that
/// are damaged.
pub(super) fn unpanicked<T>(
    path: &Path,
    read: impl FnOnce() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let read = catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default();
        let reason = format!("its database cannot be read: {said}");
        Err(damaged(&path.display().to_string(), reason))
    });
    read.map_err(|error| match error {
        StoreError::Database(source) => StoreError::Unreadable { path: path.to_owned(), source },
        other => other,
    })
}

pub(super) fn damaged(what: &str, reason: String) -> StoreError {
    StoreError::Damaged { what: what.to_owned(), reason }
}
