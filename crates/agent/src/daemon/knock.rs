//! When no lease comes any more: asks the other coordinators who serves this machine, until one of them does. A neighbour
//! that hears the one that should as little as this agent does stands in for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use kato_net::Transport;
use kato_proto::mesh_v1 as pb;
use kato_proto::mesh_v1::agents_client::AgentsClient;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use super::Shared;
use super::attach::{describe, vary};
use super::served::Coordinator;

/// The coordinator is taken for gone when no lease has come for this part of one, or for so long where none ever came: so
/// soon that a neighbour stands in before the machine is suspended. A leader's loss may take a little longer, and is worth
/// a few questions.
const AWAY_PART: u32 = 4;
const AWAY_FIRST: Duration = Duration::from_secs(2);
/// How much sooner or later than others an agent knocks at first.
const JITTER: Duration = Duration::from_millis(200);
/// The next one is asked when the last has not answered for so long: it may be off.
const STAGGER: Duration = Duration::from_millis(400);
/// How long connecting may take, however far away one is; a connection that is late serves the next round.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// How long the last one that is asked has to answer.
const ANSWER_MAX: Duration = Duration::from_millis(2_500);
/// The first and the longest pause between two rounds.
const PAUSE_FIRST: Duration = Duration::from_millis(400);
const PAUSE_MAX: Duration = Duration::from_secs(10);

pub(super) async fn run(
    shared: Shared,
    transport: Arc<dyn Transport>,
    shutdown: CancellationToken,
) {
    let mut leases = shared.grants.leases();
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            () = away(&mut leases) => {}
        }
        let back = leases.changed();
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            there = back => if there.is_err() { return },
            () = knock(&shared, &transport) => {}
        }
    }
}

/// Returns once leases have not come for too long.
async fn away(leases: &mut watch::Receiver<Option<Duration>>) {
    loop {
        let lease = *leases.borrow_and_update();
        let long = lease.map_or(AWAY_FIRST, |lease| lease / AWAY_PART);
        if tokio::time::timeout(long, leases.changed()).await.is_err() {
            return;
        }
    }
}

/// Connections that are kept while nobody serves this machine, by their addresses.
type Doors = BTreeMap<String, AgentsClient<Channel>>;

/// Asks everybody, again and again.
async fn knock(shared: &Shared, transport: &Arc<dyn Transport>) {
    tokio::time::sleep(vary(JITTER, shared)).await;
    let mut doors = Doors::new();
    let mut pause = PAUSE_FIRST;
    loop {
        let known = shared.served.watch().borrow().clone();
        let mut served = shared.served.watch();
        let moved = served.wait_for(|now| now.by() != known.by());
        let asking = ask_all(shared, transport, known.others(), &mut doors);
        tokio::select! {
            biased;
            // It has a moment to grant a lease before the next round.
            _ = moved => pause = PAUSE_FIRST,
            () = asking => {}
        }
        tokio::time::sleep(vary(pause, shared)).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Asks one coordinator after the other, without waiting for those that are slow, and takes in what they say.
async fn ask_all(
    shared: &Shared,
    transport: &Arc<dyn Transport>,
    others: impl Iterator<Item = &Coordinator>,
    doors: &mut Doors,
) {
    let mut asked = FuturesUnordered::new();
    let take = |served: Option<pb::Served>| {
        if let Some(served) = served {
            shared.served.take(served);
        }
    };
    for other in others {
        let door = doors.entry(other.address.clone());
        let client = door.or_insert_with(|| other.dial(transport, CONNECT_MAX)).clone();
        asked.push(ask(client, other, shared.served.term()));
        if let Ok(Some(served)) = tokio::time::timeout(STAGGER, asked.next()).await {
            take(served);
        }
    }
    let rest = async {
        while let Some(served) = asked.next().await {
            take(served);
        }
    };
    // Those that are off must not hold up the next round.
    drop(tokio::time::timeout(ANSWER_MAX, rest).await);
}

/// What one coordinator says.
async fn ask(
    mut client: AgentsClient<Channel>,
    coordinator: &Coordinator,
    term: u64,
) -> Option<pb::Served> {
    let address = &coordinator.address;
    tracing::debug!(address, term, "no lease comes: who serves this machine?");
    match client.knock(pb::KnockRequest { term }).await {
        Ok(answer) => answer.into_inner().served,
        Err(status) => {
            tracing::debug!(address, reason = describe(&status), "no answer");
            None
        }
    }
}

#[cfg(test)]
mod tests;
