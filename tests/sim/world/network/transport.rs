//! The transport of a simulated process. Each side says who it is in one line, which the other believes: proving it is
//! tested with real certificates elsewhere.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use kato_net::{BoxFuture, Connection, Expect, Identity, Io, Listener, Peer, Transport};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::io::Stream;
use super::{HostId, Network};

/// The longest introduction, in bytes.
const LINE_MAX: usize = 200;

/// The network as one process sees it.
pub(crate) struct SimTransport {
    pub(crate) network: Network,
    pub(crate) host: HostId,
    pub(crate) identity: Identity,
}

impl Transport for SimTransport {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn connect<'a>(
        &'a self,
        address: &'a str,
        expect: &'a Expect,
    ) -> BoxFuture<'a, io::Result<Box<dyn Io>>> {
        Box::pin(async move {
            let mut stream = self.network.connect(self.host, address).await?;
            introduce(&mut stream, &self.identity).await?;
            let peer = hear(&mut stream).await?;
            if peer.domain != self.identity.domain || !expect.allows(&peer.role) {
                return Err(io::Error::other(format!("{address} is {peer}")));
            }
            Ok(Box::new(stream) as Box<dyn Io>)
        })
    }

    fn listen<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let port = address.rsplit(':').next().and_then(|port| port.parse().ok());
            let port = port.ok_or(io::ErrorKind::InvalidInput)?;
            self.network.listen(self.host, port)?;
            let (network, identity) = (self.network.clone(), self.identity.clone());
            let introducing = FuturesUnordered::new();
            let listener = SimListener { network, host: self.host, port, identity, introducing };
            Ok(Box::new(listener) as Box<dyn Listener>)
        })
    }
}

struct SimListener {
    network: Network,
    host: HostId,
    port: u16,
    identity: Identity,
    /// Callers that have not said who they are yet.
    introducing: FuturesUnordered<BoxFuture<'static, Option<Connection>>>,
}

/// A made-up address.
fn address(host: HostId, port: u16) -> SocketAddr {
    let number = u8::try_from(host).unwrap_or(u8::MAX);
    SocketAddr::from((Ipv4Addr::new(10, 0, 0, number), port))
}

impl Listener for SimListener {
    fn local_address(&self) -> SocketAddr {
        address(self.host, self.port)
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<Connection>> {
        Box::pin(async move {
            loop {
                tokio::select! {
                    biased;
                    Some(introduced) = self.introducing.next() => {
                        // A peer that vanishes while it introduces itself is no error of the listener.
                        if let Some(connection) = introduced {
                            return Ok(connection);
                        }
                    }
                    stream = self.network.accept(self.host, self.port) => {
                        self.introducing.push(Box::pin(welcome(stream, self.identity.clone())));
                    }
                }
            }
        })
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        self.network.deafen(self.host, self.port);
    }
}

async fn welcome(mut stream: Stream, own: Identity) -> Option<Connection> {
    let caller = stream.end.peer;
    let identity = hear(&mut stream).await.ok()?;
    introduce(&mut stream, &own).await.ok()?;
    let peer = Arc::new(Peer { identity, address: address(caller, 0) });
    Some(Connection { io: Box::new(stream), peer })
}

async fn introduce(stream: &mut Stream, identity: &Identity) -> io::Result<()> {
    stream.write_all(identity.to_string().as_bytes()).await
}

/// What one side says of itself is one message.
async fn hear(stream: &mut Stream) -> io::Result<Identity> {
    let mut line = [0; LINE_MAX];
    let read = stream.read(&mut line).await?;
    String::from_utf8_lossy(&line[..read]).parse().map_err(io::Error::other)
}
