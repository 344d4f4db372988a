//! The reconcilers' decisions, on states that are made the way they are made in production: by commands.

mod binding;
mod conflicting;
mod delegating;
mod failing_over;
mod fixture;
mod ordering;
mod placing;
mod rebalancing;
mod remembering;
mod restoring;
mod resuming;
mod surviving;
mod what_if;
