//! The seam: how to reach a peer whose identity is known, and how to be reached.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::{Identity, Role};

/// A byte stream in both directions.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// The future of a boxed method.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Who must be at the other end of a connection that this side opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// This role and no other.
    Role(Role),
    /// The coordinator of whichever datacenter: what a command line knows is an address.
    AnyCoordinator,
}

impl Expect {
    /// Whether `role` is what was expected.
    pub fn allows(&self, role: &Role) -> bool {
        match self {
            Self::Role(expected) => expected == role,
            Self::AnyCoordinator => matches!(role, Role::Coordinator(_)),
        }
    }
}

impl From<Role> for Expect {
    fn from(role: Role) -> Self {
        Self::Role(role)
    }
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role(role) => role.fmt(f),
            Self::AnyCoordinator => f.write_str("any coordinator"),
        }
    }
}

/// Connects and listens. One value per process in production; one per simulated host in a simulation.
pub trait Transport: Send + Sync + 'static {
    /// The identity that this side shows.
    fn identity(&self) -> &Identity;

    /// Connects to `address` (host and port), and fails unless the peer proves to be whom `expect` says, of
    /// the same domain, and accepts this side's identity.
    fn connect<'a>(
        &'a self,
        address: &'a str,
        expect: &'a Expect,
    ) -> BoxFuture<'a, io::Result<Box<dyn Io>>>;

    /// Binds `address`; port 0 takes a free one.
    fn listen<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>>;
}

/// A bound address that peers connect to.
pub trait Listener: Send + 'static {
    /// The address, with the port that was taken.
    fn local_address(&self) -> SocketAddr;

    /// The next peer whose identity is proven. A peer that fails to prove one is logged and dropped, and never
    /// holds up those behind it. An error means that the listener is broken.
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Connection>>;
}

/// Who is at the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The proven identity.
    pub identity: Identity,
    /// Where it connected from.
    pub address: SocketAddr,
}

/// An accepted connection and who is at its other end.
pub struct Connection {
    /// The bytes.
    pub io: Box<dyn Io>,
    /// The peer.
    pub peer: Arc<Peer>,
}
