//! Where the leader is, and a kept connection to it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use openraft_rt::WatchReceiver as _;

use crate::Error;
use crate::network::{Client, Network};
use crate::types::{NodeId, Raft};

/// Finds the leader.
#[derive(Clone)]
pub(crate) struct Leader {
    raft: Raft,
    network: Network,
    clients: Arc<Mutex<BTreeMap<NodeId, Client>>>,
}

impl Leader {
    pub(crate) fn new(raft: Raft, network: Network) -> Self {
        Self { raft, network, clients: Arc::default() }
    }

    /// A client of the leader, or none if this member leads.
    pub(crate) fn client(&self) -> Result<Option<Client>, Error> {
        let metrics = self.raft.metrics();
        let (leader, member) = {
            let metrics = metrics.borrow_watched();
            if let Err(fatal) = &metrics.running_state {
                return Err(Error::Stopped(fatal.to_string()));
            }
            let leader = metrics.current_leader;
            let membership = metrics.membership_config.membership();
            (leader, leader.and_then(|leader| membership.get_node(&leader).cloned()))
        };
        match (leader, member) {
            (Some(leader), _) if leader == self.network.own => Ok(None),
            (Some(leader), Some(member)) => {
                let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
                let make = || self.network.client(leader, &member);
                Ok(Some(clients.entry(leader).or_insert_with(make).clone()))
            }
            _ => Err(Error::Unavailable("no coordinator leads at the moment".to_owned())),
        }
    }
}
