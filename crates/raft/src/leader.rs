//! Where the leader is, and a client of it.

use std::time::Duration;

use openraft_rt::WatchReceiver as _;
use tokio::time::Instant;

use crate::Error;
use crate::engine::Engine;
use crate::network::Client;
use crate::types::NodeId;

/// Between two tries to find a leader: the first pause, and the longest. One that was elected just now takes writes
/// within a round trip.
const RETRY: Duration = Duration::from_millis(5);
const RETRY_MAX: Duration = Duration::from_millis(50);

/// Pauses between tries, each longer than the one before.
pub(crate) struct Retry {
    pause: Duration,
    deadline: Instant,
}

impl Retry {
    pub(crate) fn until(deadline: Instant) -> Self {
        Self { pause: RETRY, deadline }
    }

    /// Waits for the next try; false if there is no time left for one.
    pub(crate) async fn wait(&mut self) -> bool {
        let next = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(RETRY_MAX);
        if next < self.deadline {
            tokio::time::sleep_until(next).await;
        }
        next < self.deadline
    }
}

/// Finds the leader.
#[derive(Clone)]
pub(crate) struct Leader {
    engine: Engine,
}

impl Leader {
    pub(crate) fn new(engine: Engine) -> Self {
        Self { engine }
    }

    /// Who leads, as far as this member knows.
    pub(crate) fn known(&self) -> Option<NodeId> {
        self.engine.running().ok()?.raft.metrics().borrow_watched().current_leader
    }

    /// Waits until this member knows that `leader` leads no more, or knows nothing any more.
    pub(crate) async fn replaced(&self, leader: Option<NodeId>) {
        let Ok(running) = self.engine.running() else { return };
        let mut metrics = running.raft.metrics();
        while metrics.borrow_and_update().current_leader == leader {
            if metrics.changed().await.is_err() {
                return;
            }
        }
    }

    /// A client of the leader, or none if this member leads.
    pub(crate) fn client(&self) -> Result<Option<Client>, Error> {
        let running = self.engine.running()?;
        let metrics = running.raft.metrics();
        let (leader, member) = {
            let metrics = metrics.borrow_watched();
            if let Err(fatal) = &metrics.running_state {
                return Err(self.engine.failed(running.number, fatal));
            }
            let leader = metrics.current_leader;
            let membership = metrics.membership_config.membership();
            (leader, leader.and_then(|leader| membership.get_node(&leader).cloned()))
        };
        match (leader, member) {
            (Some(leader), _) if leader == running.network.own => Ok(None),
            (Some(leader), Some(member)) => Ok(Some(running.network.client(leader, &member))),
            _ => Err(Error::Unavailable("no coordinator leads at the moment".to_owned())),
        }
    }
}
