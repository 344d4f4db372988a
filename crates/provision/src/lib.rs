//! Buying machines. A provider is asked for one machine under one token, and lists what it has: the rest
//! of Káto decides, repeats and counts.

mod provider;
pub mod sandbox;

pub use provider::{BoxFuture, Create, Provided, Provider, ProviderError, Token};
