//! What may be asked of the state, and what it answers.

use std::sync::Arc;

use crate::{
    CellId, DatacenterName, DatacenterSpec, Decision, InstanceId, MachineId, MachineSpec,
    MicroDollars, Offer, OrderId, Quote, Revision, Settings, Timestamp, Timing, WorkloadName,
    WorkloadSpec,
};

/// The commands of one log entry, in order, under one time stamp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// When the leader proposed them.
    pub at: Timestamp,
    /// The commands.
    pub commands: Vec<Command>,
}

/// One change of the state. Each is applied whole or refused whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// What the whole mesh must agree on before anything runs. Proposed once, by the first leader.
    Found(Settings),
    /// A coordinator describes its datacenter. The same description again changes nothing.
    RegisterDatacenter(DatacenterSpec),
    /// An agent describes its machine, at every start. A suspended machine stays suspended.
    JoinMachine(MachineSpec),
    /// Machines get no more leases. Their datacenter is suspected once all of its machines are.
    Suspend {
        /// Which.
        machines: Vec<MachineId>,
        /// What was seen.
        reason: String,
    },
    /// A machine gets leases again: its agent has reported what it holds, and stopped what it may not.
    Resume {
        /// Which.
        machine: MachineId,
        /// The incarnation that reported.
        incarnation: u64,
    },
    /// Every lease of suspended machines has ended. Their datacenter is lost once that is so of all of its
    /// machines. Each comes with the revision of the suspension that was waited for: another one has its own wait.
    DeclareLost(Vec<(MachineId, Revision)>),
    /// A workload is made or changed, and its instances that have no place are given one.
    PutWorkload(PutWorkload),
    /// A workload and its instances go.
    DeleteWorkload {
        /// Which.
        name: WorkloadName,
        /// The revision that it must have, if the user said so.
        expected: Option<Revision>,
    },
    /// Instances of one workload are given places, or others than they had.
    Place(Place),
    /// No place was found for an instance. It keeps the placement that it has, if any.
    Unplaceable {
        /// Which.
        instance: InstanceId,
        /// The epoch that it must have.
        epoch: Option<Revision>,
        /// Every datacenter, and why not.
        decision: Arc<Decision>,
    },
    /// A datacenter's coordinator has picked a machine for a placement.
    Bind {
        /// Which.
        instance: InstanceId,
        /// The epoch of its placement.
        epoch: Revision,
        /// The machine, in the placement's cell.
        machine: MachineId,
    },
    /// A datacenter's coordinator found no machine for a placement: the instance needs another place.
    Refuse {
        /// Which.
        instance: InstanceId,
        /// The epoch of its placement.
        epoch: Revision,
        /// How long the cell is not asked again, in milliseconds.
        retry_after_ms: u64,
    },
    /// An agent has carried out the assignments of a revision: whatever they did not list is stopped.
    Settled {
        /// Its machine.
        machine: MachineId,
        /// The revision.
        revision: Revision,
    },
    /// A machine is bought for an instance that stays where it is until the machine is there.
    OrderMachine {
        /// Whom it is for.
        instance: InstanceId,
        /// The epoch of its placement.
        epoch: Revision,
        /// Where the machine is wanted.
        cell: CellId,
        /// What is bought.
        offer: Arc<Offer>,
    },
    /// A provider is about to be asked. Committed first: the attempt's number is part of the token.
    AttemptOrder {
        /// Which.
        order: OrderId,
        /// The attempt's number, from 1; one more than the last.
        attempt: u32,
    },
    /// An order is given up; its instance needs another place.
    FailOrder {
        /// Which.
        order: OrderId,
        /// What the provider said.
        reason: String,
        /// How long the cell is not asked again for this instance, in milliseconds.
        retry_after_ms: u64,
    },
    /// A coordinator serves a datacenter's machines from here on: leases, assignments, statuses, the choice of the
    /// machine. A neighbour does while the own one is gone; orders wait for that.
    Delegate {
        /// Whose machines.
        datacenter: DatacenterName,
        /// The term of the delegation that this one replaces; 0 for the first.
        expected: Revision,
        /// The datacenter of the coordinator that serves them.
        to: DatacenterName,
    },
    /// No lease of the mesh before the restore can hold any more: leases are granted again.
    EndQuarantine {
        /// The quarantine that was waited for.
        since: Revision,
    },
    /// Every member knows this mesh version: from here on the log may hold its commands.
    RaiseVersion {
        /// The version.
        to: u32,
    },
    /// Everybody waits by another timing. A lease is not made longer than what is waited for, and whoever makes what is
    /// waited for shorter has seen the leases end that were longer.
    SetTiming {
        /// The revision of the timing that it replaces; 0 for the first.
        expected: Revision,
        /// What holds now.
        timing: Timing,
    },
    /// What the machines that the mesh buys may cost together. Nothing is ended where they cost more already, and nothing
    /// more is bought.
    SetBudget {
        /// The most, an hour; none: any amount.
        max: Option<MicroDollars>,
        /// The revision of the budget that it replaces (0: there must be none), if the user said so.
        expected: Option<Revision>,
    },
}

/// See [`Command::PutWorkload`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutWorkload {
    /// What the user wants.
    pub spec: Arc<WorkloadSpec>,
    /// The revision that the workload must have (0: it must not exist), if the user said so.
    pub expected: Option<Revision>,
    /// Places for instances that have none.
    pub targets: Vec<Target>,
    /// Why these.
    pub decision: Arc<Decision>,
}

/// See [`Command::Place`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Whose instances.
    pub workload: WorkloadName,
    /// The generation that the decision was made for.
    pub generation: u64,
    /// The places.
    pub targets: Vec<Target>,
    /// Why these.
    pub decision: Arc<Decision>,
    /// In words, for the history: "ewr is lost".
    pub cause: String,
}

/// One instance's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The instance's number.
    pub number: u32,
    /// The epoch that it must have; none if it must have no place.
    pub epoch: Option<Revision>,
    /// The cell.
    pub cell: CellId,
    /// What it costs there; a quote of a machine to buy is an order for it.
    pub quote: Quote,
    /// Where the quote is of a shared machine: an instance that this machine is on order for, already or by an earlier
    /// target.
    pub with: Option<InstanceId>,
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

    /// What the command names does not exist.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(RejectionKind::NotFound, message)
    }

    /// What the command rests on has changed.
    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(RejectionKind::Conflict, message)
    }

    /// A limit is reached.
    pub(crate) fn limit(message: impl Into<String>) -> Self {
        Self::new(RejectionKind::Limit, message)
    }

    /// The command contradicts itself or the state.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(RejectionKind::Invalid, message)
    }
}
