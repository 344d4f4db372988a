//! The log as openraft reads it. All entries since the last snapshot are kept, so no read waits for the disk.

use std::collections::BTreeMap;
use std::ops::{Bound, RangeBounds};

use openraft::EntryPayload;
use prost::Message as _;

use super::Extent;
use super::file::Change;
use crate::convert::Message;
use crate::types::{Entry, LogId, Vote};

/// How many bytes of entries one read returns at the most: a message to a follower stays below gRPC's limit.
const READ_BYTES_MAX: usize = 1024 * 1024;

/// What the log holds, unsynced changes included.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) vote: Option<Vote>,
    pub(crate) committed: Option<LogId>,
    pub(crate) purged: Option<LogId>,
    entries: BTreeMap<u64, Entry>,
    /// What the entries take, about.
    bytes: usize,
}

impl Memory {
    /// Adds an entry, or replaces the one at its index.
    pub(crate) fn push(&mut self, entry: Entry) {
        self.bytes += weight(&entry);
        if let Some(replaced) = self.entries.insert(entry.log_id.index, entry) {
            self.bytes -= weight(&replaced);
        }
    }

    /// What the entries take, in bytes, about.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The first entry of the last ones that take at most `bytes` together.
    pub(crate) fn tail_within(&self, bytes: usize) -> Option<u64> {
        let mut left = bytes;
        let fits = |entry: &&Entry| {
            let fits = weight(entry) <= left;
            left = left.saturating_sub(weight(entry));
            fits
        };
        self.entries.values().rev().take_while(fits).last().map(|entry| entry.log_id.index)
    }

    /// How far it reaches.
    pub(crate) fn extent(&self) -> Extent {
        Extent { purged: self.purged, last: self.last(), committed: self.committed }
    }

    /// The last entry, or the last purged one.
    pub(crate) fn last(&self) -> Option<LogId> {
        self.entries.values().next_back().map(|entry| entry.log_id).or(self.purged)
    }

    /// Entries in a range, all of them.
    pub(crate) fn range(&self, range: impl RangeBounds<u64>) -> Vec<Entry> {
        // BTreeMap panics on a range that ends before it starts; openraft may ask for one.
        let start = match range.start_bound() {
            Bound::Included(index) => *index,
            Bound::Excluded(index) => index + 1,
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(index) => index + 1,
            Bound::Excluded(index) => *index,
            Bound::Unbounded => u64::MAX,
        };
        if start >= end {
            return Vec::new();
        }
        self.entries.range(start..end).map(|(_, entry)| entry.clone()).collect()
    }

    /// Entries in a range, the first ones that fit into a message; at least one if there is one.
    pub(crate) fn limited(&self, start: u64, end: u64) -> Vec<Entry> {
        let mut bytes = 0;
        let mut taken = Vec::new();
        for (_, entry) in self.entries.range(start..end.max(start)) {
            bytes += entry.to_pb().encoded_len();
            if !taken.is_empty() && bytes > READ_BYTES_MAX {
                break;
            }
            taken.push(entry.clone());
        }
        taken
    }

    /// Makes a change visible, before it is on disk.
    pub(crate) fn change(&mut self, change: &Change) {
        match change {
            Change::Append(entries) => entries.iter().cloned().for_each(|entry| self.push(entry)),
            Change::Vote(vote) => self.vote = Some(*vote),
            Change::Committed(id) => self.committed = *id,
            Change::TruncateAfter(last) => {
                let gone = self.entries.split_off(&last.map_or(0, |last| last + 1));
                self.bytes -= gone.values().map(weight).sum::<usize>();
            }
            Change::Purge(upto) => {
                let kept = self.entries.split_off(&(upto.index + 1));
                self.bytes -= self.entries.values().map(weight).sum::<usize>();
                self.entries = kept;
                self.purged = Some(*upto);
            }
        }
    }
}

/// What an entry takes in memory, in bytes, about.
fn weight(entry: &Entry) -> usize {
    let payload = match &entry.payload {
        EntryPayload::Normal(record) => record.0.len(),
        EntryPayload::Blank | EntryPayload::Membership(_) => 0,
    };
    size_of::<Entry>() + payload
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rig::history::{entry, id};

    #[test]
    fn the_weight_follows_every_change() {
        let mut memory = Memory::default();
        memory.change(&Change::Append((0..10).map(|index| entry(1, index, 1_000)).collect()));
        let ten = memory.bytes();
        assert!(ten > 5_000, "{ten}");
        assert_eq!(memory.tail_within(usize::MAX), Some(0));
        assert_eq!(memory.tail_within(0), None);
        assert!(memory.tail_within(ten / 2) > Some(3));
        memory.change(&Change::Append(vec![entry(2, 9, 1_000)]));
        assert_eq!(memory.bytes(), ten);
        memory.change(&Change::TruncateAfter(Some(4)));
        memory.change(&Change::Purge(id(1, 4)));
        assert_eq!(memory.bytes(), 0);
    }
}
