//! Brings commands into the log. All commands that wait become one entry, so that one sync of the disks serves
//! them all. A coordinator that does not lead hands its commands to the one that does.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::error::Error as _;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use kato_core::{Applied, Batch, Command, Rejection, RejectionKind, Revision};
use kato_net::clock::Clock;
use kato_proto::{Field, InvalidMessage, mesh_v1 as pb, store};
use openraft::error::{ClientWriteError, RaftError};
use openraft_rt::WatchReceiver as _;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use crate::Error;
use crate::engine::Engine;
use crate::gate::Gate;
use crate::leader::{Leader, Retry};
use crate::types::{Outcomes, Record, TypeConfig};

/// Requests that may wait for the log.
const WAITING_MAX: usize = 4096;
/// Requests in one entry.
const REQUESTS_PER_ENTRY: usize = 1024;
/// The largest entry, in bytes.
pub(crate) const ENTRY_BYTES_MAX: usize = 1024 * 1024;
/// Entries on their way at once: while one is being synced, the next fills.
const ENTRIES_IN_FLIGHT: usize = 2;

/// Commands that are answered together.
struct Request {
    commands: Vec<Command>,
    /// What they take in an entry at the most, in bytes.
    bytes: usize,
    answer: oneshot::Sender<Result<Outcomes, Error>>,
}

/// A handle to the queue.
#[derive(Clone)]
pub(crate) struct Proposer {
    queue: mpsc::Sender<Request>,
    leader: Leader,
    gate: Gate,
}

impl Proposer {
    /// The handle, and the work that fills entries from the queue.
    pub(crate) fn new(
        engine: Engine,
        clock: Arc<dyn Clock>,
        leader: Leader,
        gate: Gate,
        shutdown: CancellationToken,
    ) -> (Self, impl Future<Output = Result<(), Infallible>>) {
        let (queue, requests) = mpsc::channel(WAITING_MAX);
        (Self { queue, leader, gate }, run(engine, clock, requests, shutdown))
    }

    /// Proposes here or where the leader is, until `deadline`. Only failures that certainly changed nothing are
    /// tried again.
    pub(crate) async fn propose(
        &self,
        commands: Vec<Command>,
        deadline: Instant,
        shutdown: &CancellationToken,
    ) -> Result<Outcomes, Error> {
        let bytes = size(&commands)?;
        let mut retry = Retry::until(deadline);
        loop {
            // Checked before each try only: what was handed over is waited for, because its fate is not known.
            if shutdown.is_cancelled() {
                return Err(Error::Stopped("shutting down".to_owned()));
            }
            self.gate.admit(&commands)?;
            let tried = async {
                match self.leader.client()? {
                    None => self.queue_here(commands.clone(), bytes).await,
                    Some(client) => forward(client, &commands).await,
                }
            };
            let outcome = tokio::time::timeout_at(deadline, tried).await;
            match outcome {
                Err(_) => return Err(Error::Unknown),
                Ok(Err(error @ Error::Unavailable(_))) => {
                    if !retry.wait().await {
                        return Err(error);
                    }
                }
                Ok(decided) => return decided,
            }
        }
    }

    /// Proposes for another member, and only if this one leads.
    pub(crate) async fn propose_here(&self, commands: Vec<Command>) -> Result<Outcomes, Status> {
        let queued = match self.gate.admit(&commands).and_then(|()| size(&commands)) {
            Ok(bytes) => self.queue_here(commands, bytes).await,
            Err(error) => Err(error),
        };
        queued.map_err(|error| error.status())
    }

    async fn queue_here(&self, commands: Vec<Command>, bytes: usize) -> Result<Outcomes, Error> {
        self.gate.admit_here()?;
        let (answer, decided) = oneshot::channel();
        self.queue.try_send(Request { commands, bytes, answer }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Error::Overloaded(WAITING_MAX),
            mpsc::error::TrySendError::Closed(_) => Error::Stopped("shutting down".to_owned()),
        })?;
        decided.await.unwrap_or(Err(Error::Unknown))
    }
}

/// What commands take in an entry of their own, which is at least what they add to one with others. Checked
/// before anybody else is involved: who asks for too much fails alone.
fn size(commands: &[Command]) -> Result<usize, Error> {
    let batch = Batch { at: kato_core::Timestamp(u64::MAX), commands: commands.to_vec() };
    match store::encode_batch(&batch).len() {
        bytes if bytes > ENTRY_BYTES_MAX => Err(Error::TooLarge { bytes, max: ENTRY_BYTES_MAX }),
        bytes => Ok(bytes),
    }
}

/// Fills entries until the last handle is gone or the shutdown comes; then takes no more requests, and ends
/// once those that it has are answered.
async fn run(
    engine: Engine,
    clock: Arc<dyn Clock>,
    mut requests: mpsc::Receiver<Request>,
    shutdown: CancellationToken,
) -> Result<(), Infallible> {
    let mut in_flight = FuturesUnordered::new();
    let (mut fresh, mut waiting) = (Vec::new(), VecDeque::new());
    let (mut closing, mut closed) = (false, false);
    loop {
        while in_flight.len() < ENTRIES_IN_FLIGHT {
            let entry = fill(&mut waiting);
            if entry.is_empty() {
                break;
            }
            in_flight.push(write(engine.clone(), clock.wall(), entry));
        }
        if closed && in_flight.is_empty() {
            return Ok(());
        }
        tokio::select! {
            biased;
            Some(()) = in_flight.next() => {}
            () = shutdown.cancelled(), if !closing => {
                closing = true;
                requests.close();
            }
            taken = requests.recv_many(&mut fresh, REQUESTS_PER_ENTRY),
                if !closed && in_flight.len() < ENTRIES_IN_FLIGHT =>
            {
                closed = taken == 0;
                waiting.extend(fresh.drain(..));
            }
        }
    }
}

/// Takes from the queue what fits into one entry, in order. Requests that nobody waits for any more are left
/// out: they have been reported as failed, and nothing was done for them.
fn fill(waiting: &mut VecDeque<Request>) -> Vec<Request> {
    let (mut bytes, mut entry) = (0, Vec::new());
    while let Some(next) = waiting.front() {
        bytes += next.bytes;
        if !entry.is_empty() && (bytes > ENTRY_BYTES_MAX || entry.len() == REQUESTS_PER_ENTRY) {
            break;
        }
        if next.answer.is_closed() {
            bytes -= next.bytes;
            waiting.pop_front();
        } else {
            entry.extend(waiting.pop_front());
        }
    }
    entry
}

/// Writes one entry, and answers everybody whose commands are in it.
async fn write(engine: Engine, at: kato_core::Timestamp, requests: Vec<Request>) {
    let counts: Vec<usize> = requests.iter().map(|request| request.commands.len()).collect();
    let (mut commands, mut answers) = (Vec::new(), Vec::new());
    for request in requests {
        commands.extend(request.commands);
        answers.push(request.answer);
    }
    let record = Record(store::encode_batch(&Batch { at, commands }));
    let mut outcomes = commit(&engine, record).await.map(Vec::into_iter);
    for (answer, count) in answers.into_iter().zip(counts) {
        let own = match &mut outcomes {
            Ok(outcomes) => Ok(outcomes.by_ref().take(count).collect()),
            Err(error) => Err(error.clone()),
        };
        // Whoever gave up waiting does not hear the answer; the commands are decided all the same.
        drop(answer.send(own));
    }
}

async fn commit(engine: &Engine, record: Record) -> Result<Outcomes, Error> {
    let running = engine.running()?;
    let stopped = running.raft.metrics().borrow_watched().running_state.as_ref().err().cloned();
    if let Some(fatal) = stopped {
        return Err(engine.failed(running.number, fatal));
    }
    running.raft.client_write(record).await.map(|done| done.data).map_err(write_error)
}

/// A node that stops while it holds an entry may have given it to others, who then commit it.
fn write_error(error: RaftError<TypeConfig, ClientWriteError<TypeConfig>>) -> Error {
    match error {
        RaftError::Fatal(_) | RaftError::APIError(ClientWriteError::LogEntryDiscarded(_)) => {
            Error::Unknown
        }
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
            // Who follows a log that is ahead of it has only to go on: trying again helps.
            Self::Unavailable(_) | Self::Stopped(_) | Self::NotYet { .. } => {
                Code::FailedPrecondition
            }
            Self::Unknown => Code::Aborted,
            // No other failure says this, so that the other side knows it again.
            Self::DiskFull(_) => Code::OutOfRange,
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
            Code::OutOfRange => Self::DiskFull(status.message().to_owned()),
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A command that takes about `bytes` in the log, and is refused by the state.
    fn large(bytes: usize) -> Vec<Command> {
        vec![Command::Suspend { machines: Vec::new(), reason: "x".repeat(bytes) }]
    }

    fn request(bytes: usize) -> (Request, oneshot::Receiver<Result<Outcomes, Error>>) {
        let (answer, decided) = oneshot::channel();
        let commands = large(bytes);
        (Request { bytes: size(&commands).unwrap(), commands, answer }, decided)
    }

    fn encoded(entry: &[Request]) -> usize {
        let commands = entry.iter().flat_map(|request| request.commands.clone()).collect();
        store::encode_batch(&Batch { at: kato_core::Timestamp(u64::MAX), commands }).len()
    }

    #[test]
    fn an_entry_takes_what_fits_in_order_and_leaves_the_rest() {
        let third = ENTRY_BYTES_MAX / 3 - 100;
        let (requests, answers): (VecDeque<_>, Vec<_>) = (0..10).map(|_| request(third)).unzip();
        let mut waiting = requests;
        let entries: Vec<_> = std::iter::repeat_with(|| fill(&mut waiting))
            .take_while(|entry| !entry.is_empty())
            .collect();
        let counts: Vec<usize> = entries.iter().map(Vec::len).collect();
        assert_eq!(counts, [3, 3, 3, 1]);
        assert!(entries.iter().all(|entry| encoded(entry) <= ENTRY_BYTES_MAX));
        drop(answers);
    }

    #[test]
    fn a_request_that_was_given_up_is_not_written() {
        let (first, gone) = request(10);
        let (second, waits) = request(10);
        drop(gone);
        let mut waiting = VecDeque::from([first, second]);
        assert_eq!(fill(&mut waiting).len(), 1);
        assert!(waiting.is_empty() && fill(&mut waiting).is_empty());
        drop(waits);
    }

    #[test]
    fn what_a_member_says_of_its_fate_survives_the_network() {
        let over = |error: Error| Error::from_status(&error.status());
        // Tried again elsewhere: it must be certain that nothing was done.
        assert!(matches!(over(Error::Unavailable(String::new())), Error::Unavailable(_)));
        assert!(matches!(over(Error::Stopped(String::new())), Error::Unavailable(_)));
        assert!(matches!(over(Error::Unknown), Error::Unknown));
        let full = over(Error::DiskFull("the disk of dub is almost full".to_owned()));
        assert_eq!(full.to_string(), "the disk of dub is almost full");
        assert!(matches!(over(Error::Overloaded(WAITING_MAX)), Error::Overloaded(_)));
        let fatal = openraft::error::Fatal::Stopped;
        assert!(matches!(write_error(RaftError::Fatal(fatal)), Error::Unknown));
    }
}
