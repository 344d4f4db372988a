//! Decisions of the past, as a coordinator keeps them.

use std::sync::Arc;

use bytes::Bytes;
use kato_core::{CellId, Decision, InstanceId, Revision, Timestamp};
use prost::Message;

use super::decode;
use crate::{Field, InvalidMessage, store_v1 as pb};

/// One decision, and what it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastDecision {
    /// When it was committed.
    pub at: Timestamp,
    /// What was decided; none where something was deleted.
    pub decision: Option<Arc<Decision>>,
    /// What became of whom.
    pub fates: Vec<(InstanceId, Fate)>,
}

/// What became of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It was given a place.
    Placed(CellId, Revision),
    /// No place was found for it; it may keep the one that it had, at this epoch.
    NotPlaced(Option<Revision>),
    /// It lost the place that it had, and waits for another one.
    Waits,
    /// It is no more.
    Deleted,
}

impl PastDecision {
    /// What is kept.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let decision = self.decision.as_ref();
        let stored = |decision: &Arc<Decision>| pb::Decision::from(&**decision).encode_to_vec();
        pb::PastDecision {
            at_unix_ms: self.at.0,
            decision: decision.map(stored).unwrap_or_default().into(),
            fates: self.fates.iter().map(fate_to_stored).collect(),
        }
        .encode_to_vec()
    }
}

/// What was kept: when, and what became of one instance, if anything; the decision itself is read only then.
#[derive(Debug)]
pub struct Kept {
    /// When it was committed.
    pub at: Timestamp,
    stored: pb::PastDecision,
}

impl Kept {
    /// Reads what was kept.
    pub fn decode(bytes: Vec<u8>) -> Result<Self, InvalidMessage> {
        let stored: pb::PastDecision = decode("past decision", &Bytes::from(bytes))?;
        Ok(Self { at: Timestamp(stored.at_unix_ms), stored })
    }

    /// What became of an instance, if the decision was about it.
    pub fn fate_of(&self, instance: &str) -> Result<Option<Fate>, InvalidMessage> {
        let found = self.stored.fates.iter().find(|fate| fate.instance == instance);
        found.map(fate_from_stored).transpose()
    }

    /// What was decided; none where something was deleted.
    pub fn decision(&self) -> Result<Option<Decision>, InvalidMessage> {
        if self.stored.decision.is_empty() {
            return Ok(None);
        }
        let stored: pb::Decision = decode("decision", &self.stored.decision)?;
        stored.try_into().map(Some)
    }
}

fn fate_to_stored((instance, fate): &(InstanceId, Fate)) -> pb::Fate {
    let (cell, epoch) = match fate {
        Fate::Placed(cell, epoch) => (cell.to_string(), epoch.0),
        Fate::NotPlaced(epoch) => (String::new(), epoch.unwrap_or_default().0),
        Fate::Waits | Fate::Deleted => (String::new(), 0),
    };
    let (deleted, waits) = (*fate == Fate::Deleted, *fate == Fate::Waits);
    pb::Fate { instance: instance.to_string(), cell, epoch, deleted, waits }
}

fn fate_from_stored(stored: &pb::Fate) -> Result<Fate, InvalidMessage> {
    let epoch = Revision(stored.epoch);
    Ok(match stored.cell.as_str() {
        _ if stored.deleted => Fate::Deleted,
        _ if stored.waits => Fate::Waits,
        "" => Fate::NotPlaced((epoch != Revision(0)).then_some(epoch)),
        cell => Fate::Placed(cell.parse().field("fate.cell")?, epoch),
    })
}
