//! The stream to the coordinator that serves this machine: opened, kept, opened again after a pause that grows and varies, so that a thousand
//! agents do not come back in one moment.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use kato_net::Transport;
use kato_proto::mesh_v1 as pb;
use kato_proto::mesh_v1::agent_message::Message as ToCoordinator;
use kato_proto::mesh_v1::agents_client::AgentsClient;
use kato_proto::mesh_v1::coordinator_message::Message as FromCoordinator;
use kato_units::engine::Statuses;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

use super::served::Coordinator;
use super::{Shared, logs, wire};

/// Messages that may wait for the coordinator.
const OUTBOX_MAX: usize = 64;
/// The first and the longest pause between two tries. A lease may be as short as five seconds: a coordinator that was
/// away for a few must be found again before that is over.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// How long connecting may take.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Between two requests for the lease; also the agent's sign of life.
const LEASE_EVERY: Duration = Duration::from_secs(1);
/// The shortest time between two statuses.
const STATUS_PACE: Duration = Duration::from_millis(50);

pub(super) async fn run(
    shared: Shared,
    transport: Arc<dyn Transport>,
    shutdown: CancellationToken,
) {
    let mut served = shared.served.watch();
    loop {
        let by = served.borrow_and_update().by().clone();
        let moved = served.wait_for(|now| *now.by() != by);
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            moved = moved => if moved.is_err() { return },
            () = keep_attached(&shared, &transport, &by) => {}
        }
    }
}

/// Attaches to one coordinator again and again.
async fn keep_attached(shared: &Shared, transport: &Arc<dyn Transport>, by: &Coordinator) {
    // Every list of assignments has the unit of every instance in it.
    let client = by.dial(transport, CONNECT_MAX);
    let coordinator = &by.address;
    let mut pause = PAUSE_FIRST;
    loop {
        let began = shared.clock.boot();
        let ended = attach(shared, client.clone()).await;
        let lasted = shared.clock.boot().saturating_sub(began);
        pause = if lasted > PAUSE_MAX { PAUSE_FIRST } else { (pause * 2).min(PAUSE_MAX) };
        let reason = ended.err().map(|status| describe(&status)).unwrap_or_default();
        tracing::info!(coordinator, reason, ?pause, "not attached");
        tokio::time::sleep(vary(pause, shared)).await;
    }
}

/// Between half of the pause and all of it, by the machine's name and the time: no generator is needed for that.
pub(super) fn vary(pause: Duration, shared: &Shared) -> Duration {
    let name = shared.machine.id.to_string();
    let sum: u32 = name.bytes().map(u32::from).sum();
    let moment = shared.clock.boot().subsec_micros();
    pause / 2 + (pause / 2_000) * ((sum * 31 + moment) % 1_000)
}

/// A status with what lies beneath it, for the log.
pub(super) fn describe(status: &Status) -> String {
    let mut text = status.message().to_owned();
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// One stream, from its opening to its end.
async fn attach(shared: &Shared, client: AgentsClient<Channel>) -> Result<(), Status> {
    let (outbox, messages) = mpsc::channel(OUTBOX_MAX);
    let hello = pb::Hello {
        machine: Some((&*shared.machine).into()),
        instances: statuses(shared, &shared.engine.current()),
    };
    say(&outbox, ToCoordinator::Hello(hello)).await;
    let messages = tokio_stream::wrappers::ReceiverStream::new(messages);
    let answer = client.clone().attach(messages).await?;
    tracing::info!("attached");
    let listening = listen(shared, &client, answer.into_inner());
    let asking = ask_for_leases(shared, &outbox);
    let telling = tell(shared, &outbox);
    tokio::select! {
        biased;
        ended = listening => ended,
        () = asking => Ok(()),
        () = telling => Ok(()),
    }
}

async fn say(outbox: &mpsc::Sender<pb::AgentMessage>, message: ToCoordinator) -> bool {
    outbox.send(pb::AgentMessage { message: Some(message) }).await.is_ok()
}

/// Takes in what the coordinator says.
async fn listen(
    shared: &Shared,
    client: &AgentsClient<Channel>,
    mut messages: Streaming<pb::CoordinatorMessage>,
) -> Result<(), Status> {
    let mut pushing: FuturesUnordered<Pin<Box<dyn Future<Output = ()> + Send>>> =
        FuturesUnordered::new();
    loop {
        let message = tokio::select! {
            biased;
            Some(()) = pushing.next() => continue,
            message = messages.message() => message?,
        };
        let Some(message) = message else { return Ok(()) };
        match message.message {
            Some(FromCoordinator::Assignments(assignments)) => take(shared, assignments),
            Some(FromCoordinator::Grant(grant)) => shared.grants.take(&grant),
            Some(FromCoordinator::Served(served)) => shared.served.take(served),
            Some(FromCoordinator::Log(request)) => {
                let (engine, client) = (Arc::clone(&shared.engine), client.clone());
                pushing.push(Box::pin(logs::push(engine, client, request)));
            }
            None => {}
        }
    }
}

/// Takes new assignments, unless later ones were seen, or they are from before the term of whoever serves this machine:
/// a coordinator that does not know of it yet may have sent them.
fn take(shared: &Shared, message: pb::Assignments) {
    let term = shared.served.term();
    if message.revision < term {
        return tracing::info!(message.revision, term, "assignments of an earlier term");
    }
    let wanted = match wire::wanted(message) {
        Ok(wanted) => wanted,
        Err(error) => return tracing::error!(%error, "assignments that make no sense"),
    };
    shared.wanted.send_if_modified(|known| {
        let newer = known.as_ref().is_none_or(|known| known.revision <= wanted.revision);
        if newer {
            *known = Some(Arc::new(wanted));
        }
        newer
    });
}

async fn ask_for_leases(shared: &Shared, outbox: &mpsc::Sender<pb::AgentMessage>) {
    loop {
        let request = shared.grants.request(shared.clock.boot());
        if !say(outbox, ToCoordinator::Lease(request)).await {
            return;
        }
        tokio::time::sleep(LEASE_EVERY).await;
    }
}

/// How every instance is: those of the engine, and those that it could not start.
fn statuses(shared: &Shared, current: &Statuses) -> Vec<pb::InstanceStatus> {
    shared.failures.over(current).values().map(wire::status).collect()
}

/// Says how every instance is, whenever one has changed or the assignments are carried out.
async fn tell(shared: &Shared, outbox: &mpsc::Sender<pb::AgentMessage>) {
    let mut engine = shared.engine.statuses();
    let mut failures = shared.failures.watch();
    let mut settled = shared.settled.subscribe();
    let mut said = None;
    loop {
        // In this order: what had stopped when it was settled has stopped in what is looked at after that. The other
        // way round one message could say that a list is settled, and that something else runs.
        let revision = *settled.borrow_and_update();
        let current = shared.engine.current();
        failures.mark_unchanged();
        let status = pb::Status { settled: revision, instances: statuses(shared, &current) };
        if said.as_ref() != Some(&status) {
            if !say(outbox, ToCoordinator::Status(status.clone())).await {
                return;
            }
            said = Some(status);
        }
        tokio::time::sleep(STATUS_PACE).await;
        let next = async { engine.next().await.is_some() };
        tokio::select! {
            biased;
            there = next => if !there { return },
            changed = failures.changed() => if changed.is_err() { return },
            changed = settled.changed() => if changed.is_err() { return },
        }
    }
}

#[cfg(test)]
mod tests;
