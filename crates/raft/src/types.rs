//! openraft's type parameters, and short names for what follows from them.

use std::fmt;

use bytes::Bytes;
use kato_core::{Applied, DatacenterName, Rejection};
use openraft::alias::{EntryOf, LogIdOf, SnapshotMetaOf, SnapshotOf, StoredMembershipOf, VoteOf};

/// A member's number. A number belongs to one log for ever: a coordinator whose disk was lost comes back
/// under a new one.
pub type NodeId = u64;

/// openraft's runtime: tokio, with random numbers that the simulator seeds.
pub(crate) type Runtime =
    openraft_rt::deterministic_rng::DeterministicRng<openraft_rt_tokio::TokioRuntime>;

openraft::declare_raft_types!(
    pub(crate) TypeConfig:
        D = Record,
        R = Outcomes,
        Node = Member,
        AsyncRuntime = Runtime,
);

pub(crate) type Raft = openraft::Raft<TypeConfig, crate::machine::Machine>;
pub(crate) type Entry = EntryOf<TypeConfig>;
pub(crate) type LogId = LogIdOf<TypeConfig>;
pub(crate) type Vote = VoteOf<TypeConfig>;
pub(crate) type Membership = openraft::Membership<NodeId, Member>;
pub(crate) type StoredMembership = StoredMembershipOf<TypeConfig>;
pub(crate) type SnapshotMeta = SnapshotMetaOf<TypeConfig>;
pub(crate) type Snapshot = SnapshotOf<TypeConfig, crate::machine::Content>;

/// Who stands behind a node number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The datacenter that it coordinates; its certificate must say the same.
    pub datacenter: DatacenterName,
    /// Host and port.
    pub address: String,
}

/// A batch of commands, encoded once by the proposer and copied from there on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record(pub(crate) Bytes);

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// What became of each command of a batch.
pub(crate) type Outcomes = Vec<Result<Applied, Rejection>>;
