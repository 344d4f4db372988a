//! Reading back what the log holds: every record is checked, and named where it is damaged.

use bytes::Bytes;
use kato_proto::store;
use redb::{ReadableDatabase, ReadableTable};

use super::file::{COMMITTED, ENTRIES, LogFile, PURGED, SINGLES, Singles, VOTE};
use super::memory::Memory;
use super::open::{damaged, database, unpanicked};
use super::record::unseal;
use crate::convert::Message;
use crate::disk::LOG;
use crate::types::Entry;
use crate::{Disk, StoreError};

impl LogFile {
    /// Everything, or an error.
    pub(super) fn read_all(&self) -> Result<(Memory, Singles), StoreError> {
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
        memory.vote = single(&singles.vote, || self.place("the vote"))?;
        memory.committed = single(&singles.committed, || self.place("the committed entry"))?;
        memory.purged = single(&singles.purged, || self.place("the purged entry"))?;
        let first = memory.purged.as_ref().map_or(0, |purged| purged.index + 1);
        for (expected, row) in (first..).zip(transaction.open_table(ENTRIES)?.iter()?) {
            let (index, sealed) = row?;
            let what = || self.place(&format!("log entry {}", index.value()));
            let entry = entry(index.value(), sealed.value(), what)?;
            if index.value() != expected {
                let reason = format!("entry {expected} should stand in its place");
                return Err(damaged(&what(), reason));
            }
            memory.push(entry);
        }
        Ok((memory, singles))
    }

    /// Every entry of a damaged log that can be read, and what is wrong with the others.
    pub(crate) fn salvage(disk: &dyn Disk) -> (Vec<Entry>, Vec<StoreError>) {
        let (mut entries, mut errors) = (Vec::new(), Vec::new());
        let path = disk.path(LOG);
        let read = unpanicked(&path, || {
            let database = database(disk)?;
            for row in database.begin_read()?.open_table(ENTRIES)?.iter()? {
                let (index, sealed) = row?;
                let what = || format!("{}, log entry {}", path.display(), index.value());
                match entry(index.value(), sealed.value(), what) {
                    Ok(entry) => entries.push(entry),
                    Err(error) => errors.push(error),
                }
            }
            Ok(())
        });
        errors.extend(read.err());
        (entries, errors)
    }
}

/// An entry, which must say the number that it is stored under.
fn entry(index: u64, sealed: &[u8], what: impl Fn() -> String) -> Result<Entry, StoreError> {
    let entry = message::<Entry>(&unseal(sealed, &what)?, &what)?;
    if entry.log_id.index == index {
        return Ok(entry);
    }
    Err(damaged(&what(), format!("it says that it is entry {}", entry.log_id.index)))
}

/// A number in `SINGLES`.
pub(super) fn number(
    singles: &impl ReadableTable<&'static str, &'static [u8]>,
    key: &str,
    what: impl Fn() -> String,
) -> Result<Option<u64>, StoreError> {
    let Some(sealed) = singles.get(key)? else { return Ok(None) };
    let bytes = unseal(sealed.value(), &what)?;
    let number = bytes.as_ref().try_into();
    let short = |_| damaged(&what(), format!("it has {} bytes, not 8", bytes.len()));
    Ok(Some(u64::from_le_bytes(number.map_err(short)?)))
}

/// A message of `SINGLES`; nothing where there was none.
fn single<M, P>(sealed: &[u8], what: impl Fn() -> String) -> Result<Option<M>, StoreError>
where
    M: Message<Pb = P>,
    P: prost::Message + Default,
{
    if sealed.is_empty() {
        return Ok(None);
    }
    message::<M>(&unseal(sealed, &what)?, &what).map(Some)
}

/// Decodes a message whose checksum was right.
fn message<M>(bytes: &Bytes, what: impl Fn() -> String) -> Result<M, StoreError>
where
    M: Message,
    M::Pb: prost::Message + Default,
{
    store::decode::<M::Pb>("record", bytes)
        .and_then(M::from_pb)
        .map_err(|error| StoreError::unreadable(what(), error))
}
