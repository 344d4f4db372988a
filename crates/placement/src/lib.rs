//! Where the copies of a workload run: `place` turns a problem into a decision with a reason for
//! every datacenter.
//!
//! Pure, so that every decision can be repeated from what it saw: no clock, no randomness, no I/O.
//! Texts and numbers come in; the catalogue, the gazetteer and the region table are data that the
//! crate carries or is given. Floating-point numbers appear inside the latency estimate only; what
//! goes out is integers. `docs/placement.md` explains the model.

pub mod catalogue;
pub mod gazetteer;
pub mod latency;
pub mod pack;
mod place;
pub mod regions;
mod table;

pub use catalogue::Catalogue;
pub use place::{Answer, Ask, Chosen, Host, Problem, Room, Site, Solution, Standing, place};
