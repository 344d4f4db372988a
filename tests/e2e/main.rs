//! End to end: real `kato` processes, mutual TLS, signals, and programs of other people. Each test is named for what is
//! promised. Where a machine lacks what one needs, it says `NOT RUN`; with `KATO_REQUIRE_ALL=1` it fails instead.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;
mod terms;

mod agent;
mod bad_units;
mod beside;
mod budget;
mod by_hand;
mod frozen;
mod grpcurl;
mod identity;
mod ip_locations;
mod leader;
mod logs;
mod loss;
mod methods;
mod partition;
mod past;
mod provider;
mod quorum;
mod refusals;
mod restart;
mod restore;
mod rollout;
mod session;
mod singleton;
mod stand_in;
