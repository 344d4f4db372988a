//! One datacenter's coordinator: takes part in the mesh, answers clients, agents and other coordinators, and makes
//! its own part of the committed wishes true.

pub mod access;
mod admission;
mod agents;
mod brake;
mod config;
mod conflict;
mod context;
mod distances;
mod history;
mod ip_locations;
mod node;
mod peers;
mod planner;
mod pulse;
mod reconcile;
mod reports;
mod round_trips;
#[cfg(test)]
mod sample;
mod services;
mod status;
mod timing;
mod view;
mod what_if;

pub use config::{Config, ConfigError, KeyPair, SandboxConfig, Tls};
pub use context::World;
pub use history::{History, HistoryError};
pub use ip_locations::IpLocationsError;
pub use node::{Coordinator, StartError};
