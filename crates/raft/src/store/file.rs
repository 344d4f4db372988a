//! The log on disk: one redb table for entries, one for what there is one of. One transaction is one sync.

use bytes::Bytes;
use kato_proto::store;
use prost::Message as _;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use super::memory::Memory;
use super::record::{seal, unseal};
use crate::convert::Message;
use crate::types::{Entry, LogId, NodeId, Vote};
use crate::{Disk, StoreError};

const ENTRIES: TableDefinition<u64, &[u8]> = TableDefinition::new("entries");
const SINGLES: TableDefinition<&str, &[u8]> = TableDefinition::new("singles");

/// The keys of `SINGLES`.
const FORMAT: &str = "format";
const MEMBER: &str = "member";
const VOTE: &str = "vote";
const COMMITTED: &str = "committed";
const PURGED: &str = "purged";

/// The format of both tables.
const FORMAT_VERSION: u32 = 1;
/// The database's page cache, in bytes. Entries are served from memory, so a small one is enough.
const CACHE_BYTES: usize = 8 * 1024 * 1024;

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
#[derive(Debug)]
pub(crate) struct LogFile {
    database: Database,
}

impl LogFile {
    /// Opens or makes the log of `member`, and reads back all of it. Every record is checked; damage is an
    /// error, never a shorter log.
    pub(crate) fn open(disk: &dyn Disk, member: NodeId) -> Result<(Self, Memory), StoreError> {
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES);
        let file = Self { database: disk.open_log(&builder)? };
        let fresh = file.claim(member)?;
        let memory = if fresh { Memory::default() } else { file.read_all()? };
        Ok((file, memory))
    }

    /// Checks that the store is `member`'s and in a known format; marks a new one. Tells whether it is new.
    fn claim(&self, member: NodeId) -> Result<bool, StoreError> {
        let transaction = self.database.begin_write()?;
        let fresh;
        {
            let mut singles = transaction.open_table(SINGLES)?;
            transaction.open_table(ENTRIES)?;
            let format = number(&singles, FORMAT)?;
            fresh = format.is_none();
            match format {
                None => {
                    let sealed = |value: u64| seal(&value.to_le_bytes());
                    singles.insert(FORMAT, sealed(u64::from(FORMAT_VERSION)).as_slice())?;
                    singles.insert(MEMBER, sealed(member).as_slice())?;
                }
                Some(found) if found != u64::from(FORMAT_VERSION) => {
                    let found = u32::try_from(found).unwrap_or(u32::MAX);
                    return Err(StoreError::WrongFormat { found, known: FORMAT_VERSION });
                }
                Some(_) => {}
            }
            let found = number(&singles, MEMBER)?.unwrap_or_default();
            if found != member {
                return Err(StoreError::WrongMember { found, configured: member });
            }
        }
        transaction.commit()?;
        Ok(fresh)
    }

    fn read_all(&self) -> Result<Memory, StoreError> {
        let transaction = self.database.begin_read()?;
        let singles = transaction.open_table(SINGLES)?;
        let mut memory = Memory::default();
        memory.vote = single(&singles, VOTE)?;
        memory.committed = single(&singles, COMMITTED)?;
        memory.purged = single(&singles, PURGED)?;
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
        Ok(memory)
    }

    /// Writes changes in order, in one durable transaction: all of them or none.
    pub(crate) fn write(&self, changes: &[Change]) -> Result<(), StoreError> {
        let transaction = self.database.begin_write()?;
        {
            let mut entries = transaction.open_table(ENTRIES)?;
            let mut singles = transaction.open_table(SINGLES)?;
            let mut put = |key: &str, payload: Vec<u8>| {
                singles.insert(key, seal(&payload).as_slice()).map(|_| ())
            };
            for change in changes {
                match change {
                    Change::Append(appended) => {
                        for entry in appended {
                            let sealed = seal(&entry.to_pb().encode_to_vec());
                            entries.insert(entry.log_id.index, sealed.as_slice())?;
                        }
                    }
                    Change::Vote(vote) => put(VOTE, vote.to_pb().encode_to_vec())?,
                    Change::Committed(Some(id)) => put(COMMITTED, id.to_pb().encode_to_vec())?,
                    Change::Committed(None) => {}
                    Change::TruncateAfter(last) => {
                        let first = last.map_or(0, |last| last + 1);
                        entries.retain_in(first.., |_, _| false)?;
                    }
                    Change::Purge(upto) => {
                        put(PURGED, upto.to_pb().encode_to_vec())?;
                        entries.retain_in(..=upto.index, |_, _| false)?;
                    }
                }
            }
        }
        transaction.commit()?;
        Ok(())
    }
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

/// A message in `SINGLES`.
fn single<M, P>(
    singles: &impl ReadableTable<&'static str, &'static [u8]>,
    key: &str,
) -> Result<Option<M>, StoreError>
where
    M: Message<Pb = P>,
    P: prost::Message + Default,
{
    let Some(sealed) = singles.get(key)? else { return Ok(None) };
    let what = || format!("the {key}");
    read::<M>(&unseal(sealed.value(), what)?, what).map(Some)
}

/// Decodes a message whose checksum was right.
fn read<M>(bytes: &Bytes, what: impl Fn() -> String) -> Result<M, StoreError>
where
    M: Message,
    M::Pb: prost::Message + Default,
{
    store::decode::<M::Pb>("record", bytes)
        .and_then(M::from_pb)
        .map_err(|error| StoreError::Damaged { what: what(), reason: error.to_string() })
}
