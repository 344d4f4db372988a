//! What runs units on a machine.
//!
//! In a sandbox cell an instance is a tree of ordinary processes under a *shim*: a small process of its own that
//! starts and restarts the unit's commands, keeps their output, and kills all of them by a deadline. The shim
//! outlives the agent, so that an agent can crash or be replaced without a unit noticing; and because it does, it
//! and not the agent guards the deadline of a singleton.
//!
//! - [`sandbox`] is the engine: it lives in the agent, starts shims, finds them again, and reports on them.
//! - [`shim`] is the process around one instance (`kato shim --directory DIR`).
//! - [`exec`] is the last step before a unit's command (`kato exec-unit …`).

pub mod daemon;
pub mod exec;
mod procfs;
mod record;
pub mod sandbox;
pub mod shim;
mod wire;
