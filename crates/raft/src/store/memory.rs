//! The log as openraft reads it. All entries since the last snapshot are kept, so no read waits for the disk.

use std::collections::BTreeMap;
use std::ops::{Bound, RangeBounds};

use prost::Message as _;

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
}

impl Memory {
    /// Adds an entry, or replaces the one at its index.
    pub(crate) fn push(&mut self, entry: Entry) {
        self.entries.insert(entry.log_id.index, entry);
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
                self.entries.split_off(&last.map_or(0, |last| last + 1));
            }
            Change::Purge(upto) => {
                self.entries = self.entries.split_off(&(upto.index + 1));
                self.purged = Some(*upto);
            }
        }
    }
}
