//! The end of a connection that a process holds.

use std::io;
use std::pin::Pin;
use std::sync::PoisonError;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::pipe::{What, wake};
use super::{HostId, Network, Shared};

/// One end: the pipe that it reads, and the one that it writes.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    pub(super) reads: u64,
    pub(super) writes: u64,
    pub(super) owner: HostId,
    pub(super) peer: HostId,
}

/// An end in the hands of a process. When it is dropped the connection is closed; where the machine has lost its power
/// nobody hears of that.
pub(super) struct Stream {
    pub(super) network: Network,
    pub(super) end: End,
}

impl Stream {
    fn with<T>(&self, access: impl FnOnce(&mut Shared) -> T) -> T {
        access(&mut self.network.shared.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let End { reads, owner, .. } = self.end;
        self.with(|shared| {
            let Some(pipe) = shared.pipes.get_mut(&reads) else { return Poll::Ready(Ok(())) };
            let Some(read) = pipe.read(buf.remaining()) else {
                pipe.reader = Some(cx.waker().clone());
                return Poll::Pending;
            };
            let bytes = read?;
            buf.put_slice(&bytes);
            let sum = crc32c::crc32c(&bytes);
            let read = format_args!("reads {} bytes {sum:08x}", bytes.len());
            shared.trace.note(&shared.hosts[owner].name, read);
            Poll::Ready(Ok(()))
        })
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let writes = self.end.writes;
        self.with(|shared| {
            let Some(pipe) = shared.pipes.get_mut(&writes) else {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            };
            if let Some(kind) = pipe.broken {
                return Poll::Ready(Err(kind.into()));
            }
            let taken = buf.len().min(pipe.room());
            if taken == 0 && !buf.is_empty() {
                pipe.writer = Some(cx.waker().clone());
                return Poll::Pending;
            }
            shared.send(writes, What::Data(Bytes::copy_from_slice(&buf[..taken])));
            Poll::Ready(Ok(taken))
        })
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|shared| shared.close_writing(self.end.writes));
        Poll::Ready(Ok(()))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let end = self.end;
        self.with(|shared| shared.close(end));
    }
}

impl Shared {
    fn close_writing(&mut self, id: u64) {
        let open =
            self.pipes.get(&id).is_some_and(|pipe| !pipe.writer_gone && pipe.broken.is_none());
        if open {
            self.send(id, What::End);
        }
        if let Some(pipe) = self.pipes.get_mut(&id) {
            pipe.writer_gone = true;
        }
    }

    /// An end is gone.
    pub(super) fn close(&mut self, end: End) {
        if self.hosts[end.owner].powered {
            self.close_writing(end.writes);
        }
        if let Some(pipe) = self.pipes.get_mut(&end.writes) {
            pipe.writer_gone = true;
            pipe.writer = None;
        }
        if let Some(pipe) = self.pipes.get_mut(&end.reads) {
            pipe.reader_gone = true;
            pipe.reader = None;
            wake(&mut pipe.writer);
        }
        self.busy.extend([end.reads, end.writes]);
    }
}
