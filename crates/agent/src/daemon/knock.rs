//! When no lease comes any more: asks one coordinator after the other who serves this machine. A neighbour that hears
//! the one that should as little as this agent does stands in for it.

use std::sync::Arc;
use std::time::Duration;

use kato_net::Transport;
use kato_proto::mesh_v1 as pb;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::attach::{describe, vary};
use super::served::Coordinator;

/// The coordinator is taken for gone when no lease has come for this part of one, or for so long where none ever came.
const AWAY_PART: u32 = 4;
const AWAY_FIRST: Duration = Duration::from_secs(2);
/// How long a coordinator has to answer; it waits for news for half of that.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// The first and the longest pause between two rounds.
const PAUSE_FIRST: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(5);

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

/// Asks everybody, again and again.
async fn knock(shared: &Shared, transport: &Arc<dyn Transport>) {
    let mut pause = PAUSE_FIRST;
    loop {
        let known = shared.served.watch().borrow().clone();
        for coordinator in known.others() {
            let answer = tokio::time::timeout(ANSWER_MAX, ask(shared, transport, coordinator));
            if let Ok(Some(served)) = answer.await {
                shared.served.take(served);
            }
            if *shared.served.watch().borrow().by() != *known.by() {
                // It has a moment to grant a lease before the next round.
                pause = PAUSE_FIRST;
                break;
            }
        }
        tokio::time::sleep(vary(pause, shared)).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// What one coordinator says.
async fn ask(
    shared: &Shared,
    transport: &Arc<dyn Transport>,
    coordinator: &Coordinator,
) -> Option<pb::Served> {
    let mut client = coordinator.dial(transport, ANSWER_MAX);
    let term = shared.served.term();
    tracing::debug!(
        coordinator = coordinator.address,
        term,
        "no lease comes: who serves this machine?"
    );
    match client.knock(pb::KnockRequest { term }).await {
        Ok(answer) => answer.into_inner().served,
        Err(status) => {
            let reason = describe(&status);
            tracing::debug!(coordinator = coordinator.address, reason, "no answer to a knock");
            None
        }
    }
}
