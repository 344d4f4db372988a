//! Accepted connections as tonic's server takes them. Each ends with its server: hyper by itself waits without an end for
//! whoever has connected and never says a word, and for whoever does not answer (hyper issue 4170).

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;

use crate::{BoxFuture, Connection, Io, Listener, Peer};

/// How long calls that are under way when their server is asked to stop may go on.
const DRAIN: Duration = Duration::from_secs(3);

/// The listener as the stream that tonic's `serve_with_incoming_shutdown` takes, together with the same `shutdown`.
/// Dropping it closes the listener.
pub fn incoming(
    listener: Box<dyn Listener>,
    shutdown: CancellationToken,
) -> impl Stream<Item = io::Result<Incoming>> + Send {
    futures_util::stream::unfold((listener, shutdown), |(mut listener, shutdown)| async {
        let accepted = listener.accept().await;
        let accepted = accepted.map(|connection| Incoming::new(connection, shutdown.clone()));
        Some((accepted, (listener, shutdown)))
    })
}

/// A connection that is served.
pub struct Incoming {
    io: Box<dyn Io>,
    peer: Arc<Peer>,
    /// When nothing is read from it any more; nothing once that has come.
    end: Option<BoxFuture<'static, ()>>,
}

impl Incoming {
    fn new(Connection { io, peer }: Connection, shutdown: CancellationToken) -> Self {
        let end = async move {
            shutdown.cancelled_owned().await;
            tokio::time::sleep(DRAIN).await;
        };
        Self { io, peer, end: Some(Box::pin(end)) }
    }
}

impl Connected for Incoming {
    type ConnectInfo = Arc<Peer>;

    fn connect_info(&self) -> Arc<Peer> {
        Arc::clone(&self.peer)
    }
}

impl AsyncRead for Incoming {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.end.as_mut().is_none_or(|end| end.as_mut().poll(cx).is_ready()) {
            self.end = None;
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut *self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Incoming {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.io).poll_shutdown(cx)
    }
}
