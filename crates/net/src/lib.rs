//! Who a peer is, and how bytes reach it: identities, mutual TLS, dialing and listening.
//!
//! Everything above this crate names peers by [`Identity`] and asks a [`Transport`] for connections.
//! In production that is TCP with mutual TLS; the simulator puts its own network there.

mod chain;
mod channel;
pub mod clock;
mod date;
mod identity;
mod incoming;
mod pem;
pub mod pki;
pub mod task;
pub mod tls;
mod transport;

pub use chain::Refusal;
pub use channel::{CALL_BYTES_MAX, MESSAGE_BYTES_MAX, Timeouts, channel};
pub use identity::{Domain, Identity, IdentityError, Role};
pub use incoming::{Incoming, incoming};
pub use transport::{BoxFuture, Connection, Expect, Io, Listener, Peer, Transport};
