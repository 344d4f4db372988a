//! What the log must be when it is opened again: which write was the last, and what it left.
//!
//! redb keeps its last two commits. Where the later one's pages are damaged, it cannot tell this from a write that
//! the power cut short, and goes back to the one before without a word; so it does where the one unprotected bit
//! flips that says which is later. An entry or a vote that was acknowledged would be gone. So every transaction
//! carries a [`Head`]: its number, and what the log then held. Once the transaction is durable, the same head goes
//! into a small file beside the database, the mark, before anybody hears that the write is done. A store whose
//! head is behind its mark was rolled back, and is refused.
//!
//! The mark of a vote is synced before the vote counts. Other marks are synced once the log has been idle for a
//! moment ([`super::writer`]) and when it is closed; until then only a power cut can lose them, a crash of the
//! process cannot. So one case is not noticed here: the power is cut within that moment *and* the medium damages the
//! very last commit, which had been synced. Neither is a directory that somebody put back as a whole from a copy. The
//! leader notices both ([`crate::lost`]).

use super::record::{seal, unseal};
use crate::disk::LOG;
use crate::types::NodeId;
use crate::{Disk, StoreError};

/// The file beside the log.
pub(super) const MARK: &str = "log.mark";
/// Each of the mark's two places is a sector of its own, so that a torn write leaves the other one whole.
const PLACE_BYTES: usize = 512;
/// A head's size in bytes.
const HEAD_BYTES: usize = 32;
/// A checksum, a version and a head.
const SEALED_BYTES: usize = HEAD_BYTES + 6;

/// The last write, and what the log was after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// Whose log.
    pub(super) member: NodeId,
    /// Counts the transactions, from 1.
    pub(super) number: u64,
    /// The index after the last entry's.
    pub(super) next: u64,
    /// A checksum of everything there is one of.
    pub(super) singles: u32,
}

impl Head {
    pub(super) fn bytes(&self) -> [u8; HEAD_BYTES] {
        let mut bytes = [0; HEAD_BYTES];
        bytes[..8].copy_from_slice(&self.member.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.number.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.next.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.singles.to_le_bytes());
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let number = |at: usize| Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
        let singles = u32::from_le_bytes(*bytes.get(24..)?.first_chunk()?);
        Some(Self { member: number(0)?, number: number(8)?, next: number(16)?, singles })
    }
}

/// Writes the mark of a head. Two places take turns.
pub(super) fn mark(disk: &dyn Disk, head: &Head, durable: bool) -> Result<(), StoreError> {
    let offset = if head.number.is_multiple_of(2) { 0 } else { PLACE_BYTES };
    disk.note(MARK, offset as u64, &seal(&head.bytes()), durable).map_err(|source| StoreError::Io {
        what: "cannot write the log's mark",
        path: disk.path(MARK),
        source,
    })
}

/// Whether there is a mark, whole or not.
pub(super) fn is_marked(disk: &dyn Disk) -> Result<bool, StoreError> {
    Ok(!read(disk)?.is_empty())
}

/// Compares a log's head with the mark: it must not be behind.
pub(super) fn check(disk: &dyn Disk, head: &Head) -> Result<(), StoreError> {
    let file = read(disk)?;
    let damaged = |what: String, reason: String| Err(StoreError::Damaged { what, reason });
    let what = || disk.path(MARK).display().to_string();
    let mut marks = [None, None];
    for (mark, at) in marks.iter_mut().zip([0, PLACE_BYTES]) {
        let Some(sealed) = file.get(at..at + SEALED_BYTES) else { continue };
        match unseal(sealed, what) {
            Ok(payload) => *mark = Head::from_bytes(&payload),
            Err(error) if error.is_of_other_version() => return Err(error),
            // A torn write; the other place is whole.
            Err(_) => {}
        }
    }
    let Some(last) = marks.into_iter().flatten().max_by_key(|head| head.number) else {
        // The first transaction claims the store; the power may go before its mark is there.
        if head.number <= 1 && file.iter().all(|byte| *byte == 0) {
            return Ok(());
        }
        return damaged(what(), "it holds no whole mark of the log's last write".to_owned());
    };
    if last.member != head.member {
        let reason = format!("it is of member {}, the log is of {}", last.member, head.member);
        return damaged(what(), reason);
    }
    if last.number > head.number || (last.number == head.number && last != *head) {
        let reason = format!(
            "write {} was acknowledged, the database has gone back to write {}",
            last.number, head.number
        );
        return damaged(disk.path(LOG).display().to_string(), reason);
    }
    Ok(())
}

fn read(disk: &dyn Disk) -> Result<Vec<u8>, StoreError> {
    match disk.read(MARK) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        other => other.map_err(|source| StoreError::Io {
            what: "cannot read the log's mark",
            path: disk.path(MARK),
            source,
        }),
    }
}
