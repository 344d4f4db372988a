//! The log of a store that nobody runs.

use std::path::Path;
use std::sync::Arc;

use kato_proto::{Field, InvalidMessage, store, store_v1 as pb};
use openraft::EntryPayload;

use super::read_only::ReadOnly;
use crate::convert::Message;
use crate::store::{LogFile, Memory};
use crate::types::Entry;
use crate::{NodeId, StoreError};

/// What lies in a log.
#[derive(Debug)]
pub struct Log {
    /// What there is one of; nothing where the log cannot be opened.
    pub summary: Option<Summary>,
    /// Every entry that can be read, in order.
    pub records: Vec<LogRecord>,
    /// What is wrong with it: a coordinator would refuse to start on it.
    pub damage: Vec<StoreError>,
}

/// What there is one of in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Whose log.
    pub member: NodeId,
    /// The term of its vote, for whom it was, and whether that one became the leader.
    pub vote: Option<(u64, NodeId, bool)>,
    /// An entry that was known to be committed; there may be later ones.
    pub committed: Option<u64>,
    /// The last entry that was removed because a snapshot holds it.
    pub purged: Option<u64>,
}

/// One entry.
#[derive(Debug, Clone)]
pub struct LogRecord {
    /// Its number.
    pub index: u64,
    /// The term in which it was proposed.
    pub term: u64,
    /// Who proposed it.
    pub leader: NodeId,
    /// What it says.
    pub content: Content,
}

/// What an entry says.
#[derive(Debug, Clone)]
pub enum Content {
    /// A leader's first entry.
    Blank,
    /// Commands. Of a newer build there may be some that this one does not know.
    Batch(pb::Batch),
    /// Who takes part from here on.
    Members(pb::Membership),
}

/// Reads the log in a coordinator's directory. Where it is damaged, what can be read is read all the same.
pub fn log(directory: &Path) -> Result<Log, StoreError> {
    let disk = Arc::new(ReadOnly::existing(directory)?);
    match LogFile::open(disk.clone(), None) {
        Ok((file, memory)) => Ok(whole(file.member(), &memory)),
        Err(error @ StoreError::InUse) => Err(error),
        Err(error) => {
            let (records, mut damage) = LogFile::salvage(disk.as_ref());
            let texts: Vec<String> = damage.iter().map(ToString::to_string).collect();
            if !texts.contains(&error.to_string()) {
                damage.push(error);
            }
            let records = records.into_iter().filter_map(|entry| record(&entry).ok()).collect();
            Ok(Log { summary: None, records, damage })
        }
    }
}

fn whole(member: NodeId, memory: &Memory) -> Log {
    let (mut records, mut damage) = (Vec::new(), Vec::new());
    for entry in memory.range(..) {
        match record(&entry) {
            Ok(record) => records.push(record),
            Err(error) => {
                let what = format!("log entry {}", entry.log_id.index);
                damage.push(StoreError::unreadable(what, error));
            }
        }
    }
    let vote =
        memory.vote.map(|vote| (vote.leader_id.term, vote.leader_id.node_id, vote.committed));
    let summary = Summary {
        member,
        vote,
        committed: memory.committed.map(|id| id.index),
        purged: memory.purged.map(|id| id.index),
    };
    Log { summary: Some(summary), records, damage }
}

fn record(entry: &Entry) -> Result<LogRecord, InvalidMessage> {
    let content = match &entry.payload {
        EntryPayload::Blank => Content::Blank,
        EntryPayload::Normal(record) => {
            Content::Batch(store::decode("batch of commands", &record.0)?)
        }
        EntryPayload::Membership(_) => match entry.to_pb().payload.field("entry.payload")? {
            pb::entry::Payload::Membership(members) => Content::Members(members),
            _ => return Err(InvalidMessage::Missing("entry.membership")),
        },
    };
    let leader = entry.log_id.leader_id;
    Ok(LogRecord { index: entry.log_id.index, term: leader.term, leader: leader.node_id, content })
}
