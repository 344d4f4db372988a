//! What a member's store survives: power cuts at every operation, failing and full disks, damage of every byte.
//!
//! One scripted history runs on a disk in memory. What was acknowledged in it, step by step, is what must be
//! there afterwards: exactly, or the store refuses to open and says why. The simulator's machines have the same disk.

#[cfg(test)]
mod bits;
#[cfg(test)]
pub(crate) mod damage;
mod disk;
mod draft;
#[cfg(test)]
mod faults;
#[cfg(test)]
pub(crate) mod history;
#[cfg(test)]
mod power;
#[cfg(test)]
mod refusals;
pub mod sample;
pub mod snapshots;

pub use self::disk::{Content, Cut, Fault, Moment, RigDisk};
