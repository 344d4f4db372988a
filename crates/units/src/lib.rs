//! Unit files: the workload format of Káto, which is systemd's own with an `[X-Kato]` section added.
//!
//! systemd ignores sections that begin with `X-`, so one file is valid for systemd and for Káto.
//! Nothing here reads a file, a clock or an environment: text goes in; a workload, the commands of an
//! instance, or a list of findings that an operator can act on comes out.

pub mod engine;
mod file;
mod finding;
mod name;
mod service;
mod suggest;
pub mod support;
mod value;
mod workload;

pub use file::{ENTRIES_MAX, Entry, Section, UnitFile, decode};
pub use finding::{FINDINGS_MAX, Finding};
pub use name::{UnitName, UnitNameError};
pub use service::{
    Directories, Exec, Kind, Privileges, Restart, Service, Signal, Specifiers, StartLimit,
    SuccessExitStatus, WorkingDirectory, quote,
};
pub use workload::{Located, Parsed, parse_workload, port_variable};
