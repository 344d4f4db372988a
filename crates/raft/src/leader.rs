//! Where the leader is, and a kept connection to it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use openraft_rt::WatchReceiver as _;

use crate::Error;
use crate::engine::Engine;
use crate::network::Client;
use crate::types::NodeId;

/// Finds the leader.
#[derive(Clone)]
pub(crate) struct Leader {
    engine: Engine,
    clients: Arc<Mutex<Clients>>,
}

/// Kept connections, of one openraft.
#[derive(Default)]
struct Clients {
    number: u64,
    to: BTreeMap<NodeId, Client>,
}

impl Leader {
    pub(crate) fn new(engine: Engine) -> Self {
        Self { engine, clients: Arc::default() }
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
            (Some(leader), Some(member)) => {
                let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
                if clients.number != running.number {
                    *clients = Clients { number: running.number, to: BTreeMap::new() };
                }
                let make = || running.network.client(leader, &member);
                Ok(Some(clients.to.entry(leader).or_insert_with(make).clone()))
            }
            _ => Err(Error::Unavailable("no coordinator leads at the moment".to_owned())),
        }
    }
}
