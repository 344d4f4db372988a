//! Linearizable reads from the local state: the leader says how far it must have been applied (ReadIndex;
//! Ongaro, "Consensus: Bridging Theory and Practice", §6.4), the reader waits until it has. One question to the
//! leader serves everybody who waits when it is asked, on a follower as on the leader.

use std::convert::Infallible;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use kato_core::Flaw;
use kato_proto::mesh_v1 as pb;
use openraft::ReadPolicy;
use openraft::error::RaftError;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::engine::Engine;
use crate::leader::{Leader, Retry};
use crate::{Error, View};

/// Readers that may wait for a round.
const WAITING_MAX: usize = 16_384;
/// Rounds on their way at once. With one alone, whoever comes just behind it would wait for two round trips.
const ROUNDS_IN_FLIGHT: usize = 2;

/// Somebody who waits to hear how far the state must have been applied.
type Waiting = oneshot::Sender<Result<u64, Error>>;

/// Reads the applied state.
#[derive(Clone)]
pub(crate) struct Reader {
    queue: mpsc::Sender<Waiting>,
    source: Source,
    views: watch::Receiver<View>,
}

impl Reader {
    /// The handle, and the work that asks for all who wait.
    pub(crate) fn new(
        engine: Engine,
        leader: Leader,
        views: watch::Receiver<View>,
        shutdown: CancellationToken,
    ) -> (Self, impl Future<Output = Result<(), Infallible>>) {
        let (queue, waiting) = mpsc::channel(WAITING_MAX);
        let source = Source { engine, leader, views: views.clone() };
        (Self { queue, source: source.clone(), views }, run(source, waiting, shutdown))
    }

    /// A state that holds every write that was acknowledged before this call. Reads change nothing, so every
    /// failure is tried again until `deadline`.
    pub(crate) async fn read(&self, deadline: Instant) -> Result<View, Error> {
        let mut retry = Retry::until(deadline);
        loop {
            let error = match tokio::time::timeout_at(deadline, self.try_read()).await {
                Ok(Ok(view)) => return Ok(view),
                Ok(Err(error @ (Error::Stopped(_) | Error::Overloaded(_)))) => return Err(error),
                Ok(Err(error)) => error,
                Err(_) => Error::Unavailable("the leader did not answer in time".to_owned()),
            };
            if !retry.wait().await {
                return Err(error);
            }
        }
    }

    async fn try_read(&self) -> Result<View, Error> {
        let stopped = || Error::Stopped("shutting down".to_owned());
        let (answer, index) = oneshot::channel();
        self.queue.try_send(answer).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Error::Overloaded(WAITING_MAX),
            mpsc::error::TrySendError::Closed(_) => stopped(),
        })?;
        let index = index.await.map_err(|_| stopped())??;
        let mut views = self.views.clone();
        let reached = views.wait_for(|view| view.index >= index).await;
        reached.map(|view| view.clone()).map_err(|_| stopped())
    }

    /// Answers another member's question, if this one leads.
    pub(crate) async fn index_here(&self) -> Result<u64, Status> {
        self.source.here().await.map_err(|error| error.status())
    }
}

/// Begins a round for all who wait, again and again, until the last handle is gone or the shutdown comes; then takes
/// no more readers, and ends once those that it has are answered.
async fn run(
    source: Source,
    mut readers: mpsc::Receiver<Waiting>,
    shutdown: CancellationToken,
) -> Result<(), Infallible> {
    let (mut rounds, mut fresh) = (FuturesUnordered::new(), Vec::new());
    let (mut closing, mut closed) = (false, false);
    loop {
        if closed && rounds.is_empty() {
            return Ok(());
        }
        tokio::select! {
            biased;
            Some(()) = rounds.next() => {}
            () = shutdown.cancelled(), if !closing => {
                closing = true;
                readers.close();
            }
            taken = readers.recv_many(&mut fresh, WAITING_MAX),
                if !closed && rounds.len() < ROUNDS_IN_FLIGHT =>
            {
                closed = taken == 0;
                // Who came by now is asked for; who comes later may have seen a later write acknowledged.
                let waiting: Vec<Waiting> = fresh.drain(..).filter(|w| !w.is_closed()).collect();
                if !waiting.is_empty() {
                    rounds.push(round(source.clone(), waiting));
                }
            }
        }
    }
}

async fn round(source: Source, waiting: Vec<Waiting>) {
    let index = source.index().await;
    for reader in waiting {
        // Whoever gave up waiting needs no answer.
        drop(reader.send(index.clone()));
    }
}

/// Where the index comes from.
#[derive(Clone)]
struct Source {
    engine: Engine,
    leader: Leader,
    views: watch::Receiver<View>,
}

impl Source {
    /// Asks whoever leads. A leader that was replaced is not waited for: it may never answer.
    async fn index(&self) -> Result<u64, Error> {
        let known = self.leader.known();
        let asking = tokio::time::timeout(self.engine.timing().election_max, self.ask());
        let late = |_| Error::Unavailable("the leader did not answer in time".to_owned());
        tokio::select! {
            biased;
            index = asking => index.map_err(late)?,
            () = self.leader.replaced(known) => {
                Err(Error::Unavailable("the leader has just changed".to_owned()))
            }
        }
    }

    async fn ask(&self) -> Result<u64, Error> {
        match self.leader.client()? {
            None => self.here().await,
            Some(mut client) => {
                let request = pb::ReadIndexRequest { route: client.route() };
                let answer = client.grpc.read_index(request).await;
                Ok(answer.map_err(|status| Error::from_status(&status))?.into_inner().index)
            }
        }
    }

    async fn here(&self) -> Result<u64, Error> {
        if Flaw::StaleLeaderRead.is_made() {
            return Ok(self.views.borrow().index);
        }
        let running = self.engine.running()?;
        let confirmed = running.raft.get_read_log_id(ReadPolicy::ReadIndex).await;
        confirmed.map(|(id, _)| id.index()).map_err(|error| match error {
            RaftError::Fatal(fatal) => self.engine.failed(running.number, fatal),
            RaftError::APIError(error) => Error::Unavailable(error.to_string()),
        })
    }
}
