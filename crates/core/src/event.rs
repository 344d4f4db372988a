//! What happened, for people: a bounded history in the state, equal on every node.

use std::fmt;

use crate::{Revision, Timestamp};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The revision that it made.
    pub revision: Revision,
    /// When it was committed.
    pub at: Timestamp,
    /// What kind of thing.
    pub kind: EventKind,
    /// What it happened to: `ewr`, `core-1.cell-1.ewr`, `web`, `web@1`.
    pub subject: String,
    /// The rest, in words.
    pub message: String,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident,)+) => {
        /// The kinds of events.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum EventKind {
            $($(#[$doc])* $name,)+
        }

        impl EventKind {
            /// Every kind, in the order of their stored numbers.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];
        }

        impl fmt::Display for EventKind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self {
                    $(Self::$name => stringify!($name),)+
                })
            }
        }
    };
}

// The order is the stored order: add at the end only.
kinds! {
    /// A coordinator described its datacenter.
    DatacenterRegistered,
    /// All its machines are suspended.
    DatacenterSuspected,
    /// Every lease in it has ended.
    DatacenterLost,
    /// A machine in it was resumed.
    DatacenterReturned,
    /// A machine joined, or its agent started anew.
    MachineJoined,
    /// A machine gets no more leases.
    MachineSuspended,
    /// A machine gets leases again.
    MachineResumed,
    /// A workload was made or changed.
    WorkloadApplied,
    /// A workload was deleted.
    WorkloadDeleted,
    /// An instance was given a cell.
    InstancePlaced,
    /// An instance was given another cell, or its place anew.
    InstanceMoved,
    /// An instance was given a machine in its cell.
    InstanceBound,
    /// No place was found for an instance.
    InstanceUnplaceable,
    /// A cell found no machine for an instance.
    InstanceRefused,
    /// A machine was ordered.
    OrderPlaced,
    /// An ordered machine joined.
    OrderFulfilled,
    /// An order was given up.
    OrderFailed,
    /// The first command of all.
    MeshFounded,
    /// Every lease of a suspended machine has ended.
    MachineLost,
    /// What was taken off a machine has stopped there.
    InstanceStopped,
    /// The mesh was raised to a newer version.
    VersionRaised,
    /// Everybody waits by another timing.
    TimingSet,
    /// Another coordinator serves a datacenter's machines.
    DatacenterDelegated,
    /// The mesh began anew from a backup.
    MeshRestored,
    /// No lease from before the restore can hold any more.
    QuarantineEnded,
    /// What may be spent is limited, or not any more.
    BudgetSet,
}
