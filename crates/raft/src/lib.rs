//! The mesh's agreement. [`Mesh`] is all that the rest of Káto sees of Raft: start, propose, read, watch,
//! transfer, shut down. openraft is named in this crate alone, so that a change of it stays here
//! (docs/adr/0001-openraft.md).

#[cfg(test)]
mod alone;
mod convert;
mod disk;
mod engine;
mod error;
mod gate;
mod leader;
mod lost;
mod machine;
mod mesh;
mod network;
pub mod offline;
mod proposer;
mod reader;
mod restore;
mod retention;
#[cfg(any(test, feature = "rig"))]
pub mod rig;
mod service;
mod space;
mod store;
#[cfg(test)]
mod suite;
mod timing;
mod types;
mod welcome;

pub use disk::{DirDisk, Disk, Draft, Source};
pub use error::{Error, StoreError};
pub use machine::View;
pub use mesh::{Config, Leadership, Mesh};
pub use restore::{Backup, restore};
pub use space::DiskAlarm;
pub use store::Flush;
pub use timing::{Timing, TimingError};
pub use types::{Member, NodeId};

/// For the simulator's disks, which implement redb's storage.
pub use redb;
