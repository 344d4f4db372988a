//! Linearizable reads from the local state: the leader says how far it must have been applied (ReadIndex;
//! Ongaro, "Consensus: Bridging Theory and Practice", §6.4), the reader waits until it has.

use std::time::Duration;

use kato_core::Flaw;
use kato_proto::mesh_v1 as pb;
use openraft::ReadPolicy;
use openraft::error::RaftError;
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::Status;

use crate::engine::Engine;
use crate::leader::Leader;
use crate::{Error, View};

/// Between two tries to find a leader.
const RETRY: Duration = Duration::from_millis(50);

/// Reads the applied state.
#[derive(Clone)]
pub(crate) struct Reader {
    engine: Engine,
    leader: Leader,
    views: watch::Receiver<View>,
}

impl Reader {
    pub(crate) fn new(engine: Engine, leader: Leader, views: watch::Receiver<View>) -> Self {
        Self { engine, leader, views }
    }

    /// A state that holds every write that was acknowledged before this call. Reads change nothing, so every
    /// failure is tried again until `deadline`.
    pub(crate) async fn read(&self, deadline: Instant) -> Result<View, Error> {
        loop {
            let error = match tokio::time::timeout_at(deadline, self.try_read()).await {
                Ok(Ok(view)) => return Ok(view),
                Ok(Err(error @ Error::Stopped(_))) => return Err(error),
                Ok(Err(error)) => error,
                Err(_) => Error::Unavailable("the leader did not answer in time".to_owned()),
            };
            if Instant::now() + RETRY >= deadline {
                return Err(error);
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn try_read(&self) -> Result<View, Error> {
        let index = match self.leader.client()? {
            None => self.index().await?,
            Some(mut client) => {
                let request = pb::ReadIndexRequest { route: client.route() };
                let answer = client.grpc.read_index(request).await;
                answer.map_err(|status| Error::from_status(&status))?.into_inner().index
            }
        };
        let mut views = self.views.clone();
        let reached = views.wait_for(|view| view.index >= index).await;
        reached.map(|view| view.clone()).map_err(|_| Error::Stopped("shutting down".to_owned()))
    }

    /// Answers another member's question, if this one leads.
    pub(crate) async fn index_here(&self) -> Result<u64, Status> {
        self.index().await.map_err(|error| error.status())
    }

    async fn index(&self) -> Result<u64, Error> {
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
