//! The transport of a simulated host: turmoil's network in place of TCP and TLS. Each side says who it is in
//! one line, which the other believes: proving it is tested with real certificates elsewhere.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use kato_net::{BoxFuture, Connection, Expect, Identity, Io, Listener, Peer, Transport};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufStream, ReadBuf};
use turmoil::net::{TcpListener, TcpStream};

use crate::trace::Trace;

/// The network as one host sees it.
pub(crate) struct SimTransport {
    pub(crate) identity: Identity,
    pub(crate) trace: Trace,
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
            let mut stream = BufStream::new(TcpStream::connect(address).await?);
            introduce(&mut stream, &self.identity).await?;
            let peer = hear(&mut stream).await?;
            if peer.domain != self.identity.domain || !expect.allows(&peer.role) {
                return Err(io::Error::other(format!("{address} is {peer}")));
            }
            let host = self.identity.role.to_string();
            Ok(Box::new(Traced { stream, host, trace: self.trace.clone() }) as Box<dyn Io>)
        })
    }

    fn listen<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let listener = TcpListener::bind(address).await?;
            let (identity, trace) = (self.identity.clone(), self.trace.clone());
            Ok(Box::new(SimListener { listener, identity, trace }) as Box<dyn Listener>)
        })
    }
}

struct SimListener {
    listener: TcpListener,
    identity: Identity,
    trace: Trace,
}

impl Listener for SimListener {
    fn local_address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap_or_else(|_| SocketAddr::from(([0, 0, 0, 0], 0)))
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<Connection>> {
        Box::pin(async move {
            loop {
                let (stream, address) = self.listener.accept().await?;
                let mut stream = BufStream::new(stream);
                // A peer that vanishes while it introduces itself is no error of the listener.
                let Ok(identity) = hear(&mut stream).await else { continue };
                if introduce(&mut stream, &self.identity).await.is_err() {
                    continue;
                }
                let peer = Arc::new(Peer { identity, address });
                let host = self.identity.role.to_string();
                let io = Box::new(Traced { stream, host, trace: self.trace.clone() });
                return Ok(Connection { io, peer });
            }
        })
    }
}

async fn introduce(stream: &mut BufStream<TcpStream>, identity: &Identity) -> io::Result<()> {
    stream.write_all(format!("{identity}\n").as_bytes()).await?;
    stream.flush().await
}

async fn hear(stream: &mut BufStream<TcpStream>) -> io::Result<Identity> {
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    line.trim_end().parse().map_err(io::Error::other)
}

/// Notes every read in the trace, so that runs which differ in one message differ in their trace.
struct Traced {
    stream: BufStream<TcpStream>,
    host: String,
    trace: Trace,
}

impl AsyncRead for Traced {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if polled.is_ready() {
            let read = &buf.filled()[before..];
            let text = format_args!("reads {} bytes {:08x}", read.len(), crc32c::crc32c(read));
            self.trace.note(&self.host, text);
        }
        polled
    }
}

impl AsyncWrite for Traced {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
