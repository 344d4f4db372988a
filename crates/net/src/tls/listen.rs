//! Listening: many handshakes at once, each with a deadline, so that a peer that stalls, lies or speaks
//! something else costs itself its connection and nobody else anything.

use std::error::Error;
use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, RwLock};
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::io::Errno;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::{info, warn};

use super::failure::{HANDSHAKE_TIMEOUT, HandshakeError};
use super::{Session, current};
use crate::chain::{Refusal, claimed};
use crate::{BoxFuture, Connection, Listener, Peer};

/// The most handshakes at once; further peers wait in the kernel's queue. At 0.8 ms of CPU each and five
/// seconds at most, honest peers never come near it.
pub(super) const HANDSHAKES_MAX: usize = 256;

/// The most connections that a listener holds open, handshakes included: four times the machines that one
/// coordinator has been planned for. Further ones are closed at once.
pub(super) const CONNECTIONS_MAX: usize = 4096;

/// How long to wait after the kernel could not accept: most often it is out of file descriptors, and trying at
/// once would only burn the CPU that would free some.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why an address cannot be listened on. Callers of [`Transport::listen`](crate::Transport::listen) find it
/// inside the [`io::Error`].
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody listens there.
    #[error(
        "address {address} is in use: stop the process that listens there, or take another port"
    )]
    InUse {
        /// Where.
        address: String,
        /// What the kernel says.
        source: io::Error,
    },
    /// The address is not this machine's.
    #[error("address {address} is not one of this machine: take one that it has, or 0.0.0.0")]
    Foreign {
        /// Where.
        address: String,
        /// What the kernel says.
        source: io::Error,
    },
    /// The port is privileged.
    #[error("address {address} needs privileges: take a port above 1023")]
    Denied {
        /// Where.
        address: String,
        /// What the kernel says.
        source: io::Error,
    },
    /// Something else is wrong.
    #[error("cannot listen on {address}: write it such as \"127.0.0.1:7440\"")]
    Other {
        /// Where.
        address: String,
        /// What the kernel says.
        source: io::Error,
    },
}

impl ListenError {
    fn new(address: &str, source: io::Error) -> Self {
        let address = address.to_owned();
        match source.kind() {
            ErrorKind::AddrInUse => Self::InUse { address, source },
            ErrorKind::AddrNotAvailable => Self::Foreign { address, source },
            ErrorKind::PermissionDenied => Self::Denied { address, source },
            _ => Self::Other { address, source },
        }
    }
}

pub(super) struct TlsListener {
    tcp: TcpListener,
    address: SocketAddr,
    sessions: Arc<RwLock<Arc<Session>>>,
    /// Owned here rather than by the process's tasks: they end with the listener.
    handshakes: JoinSet<Option<Connection>>,
    connections: Arc<Semaphore>,
    /// After a failed accept: when to try again.
    paused_until: Option<Instant>,
}

impl TlsListener {
    pub(super) async fn bind(
        address: &str,
        sessions: Arc<RwLock<Arc<Session>>>,
    ) -> io::Result<Self> {
        let bound = TcpListener::bind(address).await;
        let tcp = bound
            .map_err(|source| io::Error::new(source.kind(), ListenError::new(address, source)))?;
        Ok(Self {
            address: tcp.local_addr()?,
            tcp,
            sessions,
            handshakes: JoinSet::new(),
            connections: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            paused_until: None,
        })
    }

    /// The same, with another limit of open connections.
    #[cfg(test)]
    pub(super) fn limited_to(mut self, connections: usize) -> Self {
        self.connections = Arc::new(Semaphore::new(connections));
        self
    }

    /// The next good peer. Cancel-safe: handshakes live in their set.
    async fn next(&mut self) -> io::Result<Connection> {
        loop {
            let now = Instant::now();
            let pause = self.paused_until.filter(|until| *until > now);
            tokio::select! {
                biased;
                Some(done) = self.handshakes.join_next() => match done {
                    Ok(Some(connection)) => return Ok(connection),
                    Ok(None) => {}
                    Err(error) => warn!(error = &error as &dyn Error, "a handshake was dropped"),
                },
                () = sleep_until(pause.unwrap_or(now)), if pause.is_some() => {}
                accepted = self.tcp.accept(),
                    if pause.is_none() && self.handshakes.len() < HANDSHAKES_MAX =>
                {
                    match accepted {
                        Ok((tcp, address)) => self.greet(tcp, address),
                        Err(error) => self.pause_after(error)?,
                    }
                }
            }
        }
    }

    /// Starts the handshake with a peer.
    fn greet(&mut self, tcp: TcpStream, peer: SocketAddr) {
        let Ok(permit) = Arc::clone(&self.connections).try_acquire_owned() else {
            warn!(%peer, limit = CONNECTIONS_MAX, "too many connections are open, closed a new one");
            return;
        };
        let session = current(&self.sessions);
        self.handshakes.spawn(async move {
            match timeout(HANDSHAKE_TIMEOUT, secure(&session, tcp, peer)).await {
                Ok(Ok((io, peer))) => {
                    let io = Box::new(Counted { io, _permit: permit });
                    return Some(Connection { io, peer: Arc::new(peer) });
                }
                Ok(Err(error)) => report(peer, &error),
                Err(_) => report(peer, &HandshakeError::Slow),
            }
            None
        });
    }

    /// Nothing that a peer or a shortage causes ends the listener; a socket that is none does.
    fn pause_after(&mut self, error: io::Error) -> io::Result<()> {
        if is_broken(&error) {
            return Err(error);
        }
        let address = self.address;
        warn!(%address, error = &error as &dyn Error, "cannot accept a connection, trying again");
        self.paused_until = Some(Instant::now() + ACCEPT_PAUSE);
        Ok(())
    }
}

impl Listener for TlsListener {
    fn local_address(&self) -> SocketAddr {
        self.address
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<Connection>> {
        Box::pin(self.next())
    }
}

/// Whether the listening socket itself is unusable. All else that accept(2) lists is the fault of one peer or
/// passes: ECONNABORTED, EMFILE, ENFILE, ENOBUFS, ENOMEM, EPROTO, the errors of the network.
fn is_broken(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::BADF | Errno::INVAL | Errno::NOTSOCK | Errno::OPNOTSUPP))
}

/// The handshake with one peer, from the server's side.
pub(super) async fn secure(
    session: &Session,
    tcp: TcpStream,
    address: SocketAddr,
) -> Result<(TlsStream<TcpStream>, Peer), HandshakeError> {
    tcp.set_nodelay(true)?;
    let stream = TlsAcceptor::from(Arc::clone(&session.server)).accept(tcp).await?;
    // The verifier has judged the chain: what its leaf claims is proven.
    let leaf = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let identity = leaf.ok_or(Refusal::NoCertificate).and_then(claimed);
    let identity = identity.map_err(|refusal| HandshakeError::Refused(refusal.into()))?;
    Ok((stream, Peer { identity, address }))
}

fn report(peer: SocketAddr, error: &HandshakeError) {
    let shown = error as &dyn Error;
    match error {
        // Port scanners and load balancers' checks do this all day.
        HandshakeError::Broken(_) | HandshakeError::NotTls(_) => {
            info!(%peer, error = shown, "a connection failed before it was secure");
        }
        _ => warn!(%peer, error = shown, "a connection was refused"),
    }
}

/// A connection that counts until it is dropped.
struct Counted {
    io: TlsStream<TcpStream>,
    _permit: OwnedSemaphorePermit,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shortages_and_peers_do_not_end_a_listener() {
        for (errno, broken) in [
            (Errno::CONNABORTED, false),
            (Errno::MFILE, false),
            (Errno::NFILE, false),
            (Errno::NOBUFS, false),
            (Errno::NETDOWN, false),
            (Errno::BADF, true),
            (Errno::INVAL, true),
        ] {
            assert_eq!(is_broken(&io::Error::from(errno)), broken, "{errno}");
        }
    }
}
