//!
//! systemd ignores sections that begin with `X-`, so one file is valid for systemd and for Káto.
//! instance, or a list of findings that an operator can act on comes out.

mod file;
mod finding;
mod name;
mod suggest;
mod value;

pub use file::{ENTRIES_MAX, Entry, Section, UnitFile, decode};
pub use finding::{FINDINGS_MAX, Finding};
pub use name::{UnitName, UnitNameError};
