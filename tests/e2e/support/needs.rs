//! What a machine may lack.

#[path = "../../not_run.rs"]
mod told;

pub(crate) use told::{not_run, target};
