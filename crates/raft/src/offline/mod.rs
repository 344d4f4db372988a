//! A store that nobody runs, read for people: nothing on the disk is changed, and what is damaged is named and does
//! not hide the rest.

mod log;
mod overlay;
mod read_only;
mod snapshot;
#[cfg(test)]
pub(crate) mod tests;

pub use log::{Content, Log, LogRecord, Summary, log};
pub(crate) use read_only::ReadOnly;
pub use snapshot::{SnapshotRecord, snapshot, snapshots};
