//! What may be asked of the state, and what it answers.

use crate::{Datacenter, Revision, Timestamp};

/// The commands of one log entry, in order, under one time stamp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// When the leader proposed them.
    pub at: Timestamp,
    /// The commands.
    pub commands: Vec<Command>,
}

/// One change of the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// A coordinator describes its datacenter. Describing it again with the same words changes nothing.
    RegisterDatacenter(Datacenter),
}

/// What became of a command that was applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    /// The revision that the command made, or the current one if it changed nothing.
    pub revision: Revision,
    /// Whether it changed anything.
    pub changed: bool,
}

/// Why a command was refused. The state is as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Rejection {
    /// Which kind of refusal, for programs.
    pub kind: RejectionKind,
    /// What, where and what would be right, for people.
    pub message: String,
}

/// The kinds of refusal that a caller may tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectionKind {
    /// What the command names does not exist.
    NotFound,
    /// What the command rests on has changed: read again, decide again.
    Conflict,
    /// A limit is reached.
    Limit,
    /// The command contradicts itself or the state.
    Invalid,
}

impl Rejection {
    /// A refusal of this kind with this message.
    pub fn new(kind: RejectionKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}
