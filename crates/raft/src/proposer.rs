//! Brings commands into the log. All commands that wait become one entry, so that one sync of the disks serves
//! them all. A coordinator that does not lead hands its commands to the one that does.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use kato_core::{Applied, Batch, Command, Rejection, RejectionKind, Revision};
use kato_net::clock::Clock;
use kato_proto::{Field, InvalidMessage, mesh_v1 as pb, store};
use openraft::error::{ClientWriteError, RaftError};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use crate::Error;
use crate::leader::Leader;
use crate::types::{Outcomes, Raft, Record, TypeConfig};

/// Requests that may wait for the log.
const WAITING_MAX: usize = 4096;
/// Requests in one entry.
const REQUESTS_PER_ENTRY: usize = 1024;
/// The largest entry, in bytes.
pub(crate) const ENTRY_BYTES_MAX: usize = 1024 * 1024;
/// Entries on their way at once: while one is being synced, the next fills.
const ENTRIES_IN_FLIGHT: usize = 2;
/// Between two tries to find a leader.
const RETRY: Duration = Duration::from_millis(50);

/// Commands that are answered together.
struct Request {
    commands: Vec<Command>,
    answer: oneshot::Sender<Result<Outcomes, Error>>,
}

/// A handle to the queue.
#[derive(Clone)]
pub(crate) struct Proposer {
    queue: mpsc::Sender<Request>,
    leader: Leader,
}

impl Proposer {
    /// The handle, and the work that fills entries from the queue.
    pub(crate) fn new(
        raft: Raft,
        clock: Arc<dyn Clock>,
        leader: Leader,
    ) -> (Self, impl Future<Output = ()>) {
        let (queue, requests) = mpsc::channel(WAITING_MAX);
        (Self { queue, leader }, run(raft, clock, requests))
    }

    /// Proposes here or where the leader is, until `deadline`. Only failures that certainly changed nothing are
    /// tried again.
    pub(crate) async fn propose(
        &self,
        commands: Vec<Command>,
        deadline: Instant,
        shutdown: &CancellationToken,
    ) -> Result<Outcomes, Error> {
        loop {
            let tried = async {
                match self.leader.client()? {
                    None => self.queue_here(commands.clone()).await,
                    Some(client) => forward(client, &commands).await,
                }
            };
            let outcome = tokio::select! {
                biased;
                () = shutdown.cancelled() => return Err(Error::Stopped("shutting down".to_owned())),
                outcome = tokio::time::timeout_at(deadline, tried) => outcome,
            };
            match outcome {
                Err(_) => return Err(Error::Unknown),
                Ok(Err(error @ Error::Unavailable(_))) => {
                    if Instant::now() + RETRY >= deadline {
                        return Err(error);
                    }
                    tokio::time::sleep(RETRY).await;
                }
                Ok(decided) => return decided,
            }
        }
    }

    /// Proposes for another member, and only if this one leads.
    pub(crate) async fn propose_here(&self, commands: Vec<Command>) -> Result<Outcomes, Status> {
        self.queue_here(commands).await.map_err(|error| error.status())
    }

    async fn queue_here(&self, commands: Vec<Command>) -> Result<Outcomes, Error> {
        let (answer, decided) = oneshot::channel();
        self.queue.try_send(Request { commands, answer }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Error::Overloaded(WAITING_MAX),
            mpsc::error::TrySendError::Closed(_) => Error::Stopped("shutting down".to_owned()),
        })?;
        decided.await.unwrap_or(Err(Error::Unknown))
    }
}

/// Fills entries until the last handle is gone.
async fn run(raft: Raft, clock: Arc<dyn Clock>, mut requests: mpsc::Receiver<Request>) {
    let mut in_flight = FuturesUnordered::new();
    let mut waiting = Vec::new();
    loop {
        tokio::select! {
            biased;
            Some(()) = in_flight.next() => {}
            taken = requests.recv_many(&mut waiting, REQUESTS_PER_ENTRY),
                if in_flight.len() < ENTRIES_IN_FLIGHT =>
            {
                if taken == 0 {
                    return;
                }
                in_flight.push(write(raft.clone(), clock.wall(), std::mem::take(&mut waiting)));
            }
        }
    }
}

/// Writes one entry, and answers everybody whose commands are in it.
async fn write(raft: Raft, at: kato_core::Timestamp, requests: Vec<Request>) {
    let counts: Vec<usize> = requests.iter().map(|request| request.commands.len()).collect();
    let (mut commands, mut answers) = (Vec::new(), Vec::new());
    for request in requests {
        commands.extend(request.commands);
        answers.push(request.answer);
    }
    let record = store::encode_batch(&Batch { at, commands });
    let result = if record.len() > ENTRY_BYTES_MAX {
        Err(Error::TooLarge { bytes: record.len(), max: ENTRY_BYTES_MAX })
    } else {
        raft.client_write(Record(record)).await.map(|done| done.data).map_err(write_error)
    };
    let mut outcomes = result.map(Vec::into_iter);
    for (answer, count) in answers.into_iter().zip(counts) {
        let own = match &mut outcomes {
            Ok(outcomes) => Ok(outcomes.by_ref().take(count).collect()),
            Err(error) => Err(error.clone()),
        };
        // Whoever gave up waiting does not hear the answer; the commands are decided all the same.
        drop(answer.send(own));
    }
}

fn write_error(error: RaftError<TypeConfig, ClientWriteError<TypeConfig>>) -> Error {
    match error {
        RaftError::Fatal(fatal) => Error::Stopped(fatal.to_string()),
        RaftError::APIError(ClientWriteError::LogEntryDiscarded(_)) => Error::Unknown,
        RaftError::APIError(error) => Error::Unavailable(error.to_string()),
    }
}

async fn forward(
    mut client: crate::network::Client,
    commands: &[Command],
) -> Result<Outcomes, Error> {
    let request = pb::ProposeRequest {
        route: client.route(),
        commands: commands.iter().map(Into::into).collect(),
    };
    let answer =
        client.grpc.propose(request).await.map_err(|status| Error::from_status(&status))?;
    let outcomes = answer.into_inner().outcomes.into_iter().map(outcome);
    outcomes.collect::<Result<_, _>>().map_err(|_| Error::Unknown)
}

fn outcome(message: pb::Outcome) -> Result<Result<Applied, Rejection>, InvalidMessage> {
    use pb::outcome::Outcome;
    Ok(match message.outcome.field("outcome")? {
        Outcome::Applied(applied) => {
            Ok(Applied { revision: Revision(applied.revision), changed: applied.changed })
        }
        Outcome::Rejected(rejected) => {
            let kind = match rejected.kind() {
                pb::RejectionKind::NotFound => RejectionKind::NotFound,
                pb::RejectionKind::Conflict => RejectionKind::Conflict,
                pb::RejectionKind::Limit => RejectionKind::Limit,
                pb::RejectionKind::Invalid | pb::RejectionKind::Unspecified => {
                    RejectionKind::Invalid
                }
            };
            Err(Rejection::new(kind, rejected.message))
        }
    })
}

impl Error {
    /// For another member, which takes it apart with [`Error::from_status`].
    pub(crate) fn status(&self) -> Status {
        let code = match self {
            Self::Unavailable(_) | Self::Stopped(_) => Code::FailedPrecondition,
            Self::Unknown => Code::Aborted,
            Self::Overloaded(_) | Self::TooLarge { .. } => Code::ResourceExhausted,
        };
        Status::new(code, self.to_string())
    }

    /// What a call to another member says. A connection that broke leaves it open whether the call was heard; one
    /// that was never made does not.
    pub(crate) fn from_status(status: &Status) -> Self {
        if never_connected(status) {
            return Self::Unavailable(status.message().to_owned());
        }
        match status.code() {
            Code::FailedPrecondition | Code::PermissionDenied | Code::Unimplemented => {
                Self::Unavailable(status.message().to_owned())
            }
            Code::ResourceExhausted => Self::Overloaded(WAITING_MAX),
            _ => Self::Unknown,
        }
    }
}

fn never_connected(status: &Status) -> bool {
    let mut cause = status.source();
    while let Some(error) = cause {
        if error.is::<tonic::ConnectError>() {
            return true;
        }
        cause = error.source();
    }
    false
}
