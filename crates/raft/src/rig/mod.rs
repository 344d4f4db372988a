//! What a member's store survives: power cuts at every operation, failing and full disks, damage of every byte.
//!
//! One scripted history runs on a disk in memory. What was acknowledged in it, step by step, is what must be
//! there afterwards: exactly, or the store refuses to open and says why.

mod chance;
mod damage;
pub(crate) mod disk;
mod faults;
pub(crate) mod history;
mod power;
mod refusals;
