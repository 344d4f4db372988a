//! What the crate promises, from outside: constraints, order, optimum, catalogue, latency.
//! One binary, because each would link the crate again.

// The whole binary is a test; the lint's exemption sees only what stands inside `#[test]`.
#![allow(clippy::unwrap_used)]

mod bound;
mod brute;
mod budgets;
mod catalogue;
mod constraints;
mod example;
mod latency;
mod optimum;
mod packing;
mod properties;
mod ranking;
mod support;
mod terms;
