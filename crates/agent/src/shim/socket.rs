//! The shim's socket: who connects is told the status now and at each change, and may ask it to stop the unit or
//! to move its deadline.

use std::io;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::guard::{Guard, Interrupt, raise};
use crate::record::{self, MESSAGE_BYTES_MAX, Recorded, Reply, Request};
use crate::wire::Lines;

/// How many may be connected: an agent, its successor, and somebody who looks.
const CLIENTS_MAX: usize = 8;
/// How long a client may take to read.
const WRITE_DEADLINE: Duration = Duration::from_secs(5);

/// What the socket's clients see and reach.
#[derive(Debug, Clone)]
pub(super) struct Socket {
    pub(super) epoch: u64,
    pub(super) status: watch::Receiver<Recorded>,
    pub(super) guard: Guard,
    pub(super) interrupt: watch::Sender<Interrupt>,
    pub(super) shutdown: CancellationToken,
}

impl Socket {
    /// Serves until the shutdown, and then each client until it has heard the last status.
    pub(super) async fn serve(self, listener: UnixListener) -> io::Result<()> {
        let mut clients = FuturesUnordered::new();
        loop {
            let shutdown = self.shutdown.is_cancelled();
            if shutdown && clients.is_empty() {
                return Ok(());
            }
            tokio::select! {
                biased;
                () = self.shutdown.cancelled(), if !shutdown => {}
                // A client that hangs up or writes nonsense is its own concern.
                Some(_) = clients.next(), if !clients.is_empty() => {}
                accepted = listener.accept(), if !shutdown => {
                    let (stream, _) = accepted?;
                    // One more than there is room for is hung up on, and comes again.
                    if clients.len() < CLIENTS_MAX {
                        clients.push(self.clone().talk(stream));
                    }
                }
            }
        }
    }

    async fn talk(mut self, stream: UnixStream) -> io::Result<()> {
        let (reader, mut writer): (OwnedReadHalf, OwnedWriteHalf) = stream.into_split();
        let mut lines = Lines::new(reader, MESSAGE_BYTES_MAX);
        loop {
            let status = self.status.borrow_and_update().clone();
            let last = status.end.is_some();
            say(&mut writer, &Reply::Status { status }).await?;
            if last {
                return Ok(());
            }
            loop {
                let line = tokio::select! {
                    biased;
                    changed = self.status.changed() => match changed {
                        Ok(()) => break,
                        Err(_) => return Ok(()),
                    },
                    line = lines.next() => line?,
                };
                let Some(line) = line else { return Ok(()) };
                match serde_json::from_slice(&line)? {
                    Request::Status => break,
                    Request::Stop { epoch } if epoch >= self.epoch => {
                        raise(&self.interrupt, Interrupt::Stop);
                    }
                    Request::Stop { .. } => {}
                    Request::Extend { epoch, deadline_ms } => {
                        say(&mut writer, &self.extend(epoch, deadline_ms)).await?;
                    }
                }
            }
        }
    }

    fn extend(&self, epoch: u64, deadline_ms: u64) -> Reply {
        let extended = if epoch == self.epoch {
            self.guard.extend(Duration::from_millis(deadline_ms))
        } else {
            Err(format!("it runs under epoch {}, not {epoch}", self.epoch))
        };
        let millis = |deadline: Duration| u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
        match extended {
            Ok(deadline) => Reply::Extended { deadline_ms: Some(millis(deadline)), refused: None },
            Err(refused) => Reply::Extended { deadline_ms: None, refused: Some(refused) },
        }
    }
}

async fn say(writer: &mut OwnedWriteHalf, reply: &Reply) -> io::Result<()> {
    let line = record::line(reply)?;
    tokio::time::timeout(WRITE_DEADLINE, writer.write_all(&line)).await?
}
