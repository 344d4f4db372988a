//! A network of pipes, for tests in which an agent meets a coordinator in one process.

use std::io;

use kato_net::{BoxFuture, Expect, Identity, Io, Listener, Transport};
use tokio::io::DuplexStream;
use tokio::sync::mpsc;

/// Every connection is a pipe, the other end of which goes to the coordinator.
pub(crate) struct Pipes {
    pub(crate) identity: Identity,
    pub(crate) accepted: mpsc::UnboundedSender<io::Result<DuplexStream>>,
}

impl Transport for Pipes {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn connect<'a>(&'a self, _: &'a str, _: &'a Expect) -> BoxFuture<'a, io::Result<Box<dyn Io>>> {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let _ = self.accepted.send(Ok(far));
        Box::pin(async { Ok(Box::new(near) as Box<dyn Io>) })
    }

    fn listen<'a>(&'a self, _: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async { Err(io::ErrorKind::Unsupported.into()) })
    }
}
