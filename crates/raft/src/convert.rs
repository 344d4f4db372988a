//! openraft's types to and from the messages of disk and network. Nothing of openraft's own layout leaves the
//! process.

use std::collections::{BTreeMap, BTreeSet};

use kato_proto::{Field, InvalidMessage, store_v1 as pb};
use openraft::EntryPayload;
use openraft::vote::leader_id_adv::LeaderId;

use crate::types::{
    Entry, LogId, Member, Membership, NodeId, Record, SnapshotMeta, StoredMembership, Vote,
};

/// What can be read from a message, and written as one.
pub(crate) trait Message: Sized {
    /// The message.
    type Pb;

    fn to_pb(&self) -> Self::Pb;

    fn from_pb(message: Self::Pb) -> Result<Self, InvalidMessage>;
}

impl Message for LeaderId<u64, NodeId> {
    type Pb = pb::LeaderId;

    fn to_pb(&self) -> pb::LeaderId {
        pb::LeaderId { term: self.term, node: self.node_id }
    }

    fn from_pb(message: pb::LeaderId) -> Result<Self, InvalidMessage> {
        Ok(Self { term: message.term, node_id: message.node })
    }
}

impl Message for LogId {
    type Pb = pb::LogId;

    fn to_pb(&self) -> pb::LogId {
        pb::LogId { leader: Some(self.leader_id.to_pb()), index: self.index }
    }

    fn from_pb(message: pb::LogId) -> Result<Self, InvalidMessage> {
        let leader = LeaderId::from_pb(message.leader.field("log_id.leader")?)?;
        Ok(Self::new(leader, message.index))
    }
}

impl Message for Vote {
    type Pb = pb::Vote;

    fn to_pb(&self) -> pb::Vote {
        pb::Vote { leader: Some(self.leader_id.to_pb()), committed: self.committed }
    }

    fn from_pb(message: pb::Vote) -> Result<Self, InvalidMessage> {
        let leader_id = LeaderId::from_pb(message.leader.field("vote.leader")?)?;
        Ok(Self { leader_id, committed: message.committed })
    }
}

impl Message for Entry {
    type Pb = pb::Entry;

    fn to_pb(&self) -> pb::Entry {
        use pb::entry::Payload;
        let payload = match &self.payload {
            EntryPayload::Blank => Payload::Blank(pb::Blank {}),
            EntryPayload::Normal(record) => Payload::Batch(record.0.clone()),
            EntryPayload::Membership(membership) => Payload::Membership(membership.to_pb()),
        };
        pb::Entry { id: Some(self.log_id.to_pb()), payload: Some(payload) }
    }

    fn from_pb(message: pb::Entry) -> Result<Self, InvalidMessage> {
        use pb::entry::Payload;
        let payload = match message.payload.field("entry.payload")? {
            Payload::Blank(_) => EntryPayload::Blank,
            Payload::Batch(bytes) => EntryPayload::Normal(Record(bytes)),
            Payload::Membership(membership) => {
                EntryPayload::Membership(Membership::from_pb(membership)?)
            }
        };
        Ok(Self { log_id: LogId::from_pb(message.id.field("entry.id")?)?, payload })
    }
}

impl Message for Membership {
    type Pb = pb::Membership;

    fn to_pb(&self) -> pb::Membership {
        let voters = |set: &BTreeSet<NodeId>| pb::Voters { nodes: set.iter().copied().collect() };
        let member = |member: &Member| pb::Member {
            datacenter: member.datacenter.to_string(),
            address: member.address.clone(),
        };
        pb::Membership {
            voters: self.get_joint_config().iter().map(voters).collect(),
            members: self.nodes().map(|(id, node)| (*id, member(node))).collect(),
        }
    }

    fn from_pb(message: pb::Membership) -> Result<Self, InvalidMessage> {
        let voters = message.voters.into_iter().map(|set| set.nodes.into_iter().collect());
        let member = |member: pb::Member| {
            let datacenter = member.datacenter.parse().field("member.datacenter")?;
            Ok(Member { datacenter, address: member.address })
        };
        let members = message
            .members
            .into_iter()
            .map(|(id, found)| Ok((id, member(found)?)))
            .collect::<Result<BTreeMap<_, _>, InvalidMessage>>()?;
        Self::new(voters.collect(), members).field("membership")
    }
}

impl Message for SnapshotMeta {
    type Pb = pb::SnapshotMeta;

    fn to_pb(&self) -> pb::SnapshotMeta {
        pb::SnapshotMeta {
            last: self.last_log_id.as_ref().map(Message::to_pb),
            membership_id: self.last_membership.log_id().as_ref().map(Message::to_pb),
            membership: Some(self.last_membership.membership().to_pb()),
        }
    }

    fn from_pb(message: pb::SnapshotMeta) -> Result<Self, InvalidMessage> {
        let membership_id = message.membership_id.map(LogId::from_pb).transpose()?;
        // A membership without a log id is the empty one, which `Membership::new` refuses.
        let membership = match (&membership_id, message.membership) {
            (Some(_), Some(membership)) => Membership::from_pb(membership)?,
            _ => Membership::default(),
        };
        Ok(Self {
            last_log_id: message.last.map(LogId::from_pb).transpose()?,
            last_membership: StoredMembership::new(membership_id, membership),
        })
    }
}
