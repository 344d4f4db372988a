//! openraft as it runs now. Its timeouts cannot change while it runs: for a new timing it is opened anew, over the same
//! log and from the state that was applied last, while everything in front of it stays.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kato_net::{Timeouts, Transport};
use openraft::{SnapshotPolicy, StepDownPolicy};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::lost::Acknowledged;
use crate::machine::Machine;
use crate::mesh::Config;
use crate::network::Network;
use crate::store::LogStore;
use crate::types::{Raft, Runtime};
use crate::{Error, StoreError, Timing};

/// Entries kept behind the newest snapshot, so that a member that was away for a moment needs no snapshot.
const ENTRIES_KEPT: u64 = 1_000;

/// This member's part in consensus. Clones share it.
#[derive(Clone)]
pub(crate) struct Engine {
    config: Arc<Config>,
    transport: Arc<dyn Transport>,
    acknowledged: Acknowledged,
    /// What openraft is opened over; nothing once this member has stopped.
    parts: Arc<Mutex<Option<Parts>>>,
    /// Nothing between two of them.
    running: watch::Sender<Option<Running>>,
    timing: watch::Sender<Timing>,
}

/// What outlives one openraft.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) log: LogStore,
    /// Never handed over itself: each openraft gets a successor of it.
    pub(crate) machine: Arc<Machine>,
}

/// One openraft.
#[derive(Clone)]
pub(crate) struct Running {
    /// The how many-th it is.
    pub(crate) number: u64,
    pub(crate) raft: Raft,
    pub(crate) network: Network,
}

impl Engine {
    /// Opens it for the first time.
    pub(crate) async fn open(
        config: Arc<Config>,
        transport: Arc<dyn Transport>,
        parts: Parts,
    ) -> Result<Self, StoreError> {
        // What was agreed on last, as far as the snapshot knows: nearer to the others' than what is configured.
        let timing = parts.machine.agreed_timing().unwrap_or(config.timing);
        let engine = Self {
            config,
            transport,
            acknowledged: Acknowledged::default(),
            parts: Arc::new(Mutex::new(Some(parts.clone()))),
            running: watch::Sender::new(None),
            timing: watch::Sender::new(timing),
        };
        let first = engine.start(0, timing, parts).await?;
        engine.running.send_replace(Some(first));
        Ok(engine)
    }

    /// As it runs now.
    pub(crate) fn running(&self) -> Result<Running, Error> {
        let changing = || Error::Unavailable("this coordinator takes a new timing".to_owned());
        self.running.borrow().clone().ok_or_else(changing)
    }

    /// The timing that it keeps, or kept last.
    pub(crate) fn timing(&self) -> Timing {
        *self.timing.borrow()
    }

    /// What a failure of one openraft means: nothing, once it has been replaced.
    pub(crate) fn failed(&self, number: u64, error: impl std::fmt::Display) -> Error {
        if self.is_running(number) {
            Error::Stopped(error.to_string())
        } else {
            Error::Unavailable("this coordinator takes a new timing".to_owned())
        }
    }

    /// Does `work` with each openraft in turn, until the shutdown or until it ends by itself.
    pub(crate) async fn attend<F>(
        &self,
        shutdown: CancellationToken,
        mut work: impl FnMut(Running) -> F,
    ) -> Result<(), Error>
    where
        F: Future<Output = Result<(), Error>>,
    {
        let mut changes = self.running.subscribe();
        loop {
            let now = changes.borrow_and_update().clone();
            let number = now.as_ref().map(|running| running.number);
            let work = async {
                match now {
                    Some(running) => work(running).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                _ = changes.changed() => {}
                ended = work => if number.is_some_and(|number| self.is_running(number)) {
                    // It may have seen the end of openraft before the reason for it.
                    return if shutdown.is_cancelled() { Ok(()) } else { ended };
                },
            }
        }
    }

    /// Opens it anew with another timing. Meanwhile this member is silent, for as long as its log takes to be read
    /// from memory.
    pub(crate) async fn retime(&self, timing: Timing) -> Result<(), Error> {
        let before = self.running()?;
        let Some(parts) = self.parts().clone() else {
            return Err(Error::Stopped("shutting down".to_owned()));
        };
        self.running.send_replace(None);
        // A task of openraft that panicked has said so; the store survives it.
        drop(before.raft.shutdown().await);
        let next = self.start(before.number + 1, timing, parts).await;
        let next = next.map_err(|error| Error::Stopped(crate::error::chain(&error)))?;
        if self.parts().is_none() {
            drop(next.raft.shutdown().await);
        }
        self.timing.send_replace(timing);
        self.running.send_replace(Some(next));
        Ok(())
    }

    /// Stops taking part, and lets go of the store.
    pub(crate) async fn shutdown(&self) {
        self.parts().take();
        let running = self.running.borrow().clone();
        if let Some(running) = running {
            drop(running.raft.shutdown().await);
        }
    }

    async fn start(
        &self,
        number: u64,
        timing: Timing,
        parts: Parts,
    ) -> Result<Running, StoreError> {
        let timeouts = Timeouts { connect: timing.election_min, keepalive: timing.heartbeat * 3 };
        let transport = Arc::clone(&self.transport);
        let network = Network::new(self.config.id, transport, timeouts, self.acknowledged.clone());
        let config = raft_config(timing, self.config.snapshot_every)?;
        let machine = parts.machine.successor();
        let start = Raft::new(self.config.id, config, network.clone(), parts.log, machine);
        // openraft draws its random numbers from a seed that its tasks inherit from here.
        let raft = Runtime::scope(self.config.seed.wrapping_add(number), start)
            .await
            .map_err(|error| StoreError::Raft(error.to_string()))?;
        Ok(Running { number, raft, network })
    }

    fn is_running(&self, number: u64) -> bool {
        self.running.borrow().as_ref().is_some_and(|running| running.number == number)
    }

    fn parts(&self) -> MutexGuard<'_, Option<Parts>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Every field of openraft's configuration that matters is set here; its defaults suit one datacenter.
fn raft_config(timing: Timing, snapshot_every: u64) -> Result<Arc<openraft::Config>, StoreError> {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let raft = openraft::Config {
        cluster_name: "kato".to_owned(),
        heartbeat_interval: millis(timing.heartbeat),
        election_timeout_min: millis(timing.election_min),
        election_timeout_max: millis(timing.election_max),
        install_snapshot_timeout: 60_000,
        // A new leader finds out where each log ends by sending what comes after half of its own: fewer entries at once would
        // be more round trips before its first write. What bounds a message is its size (`READ_BYTES_MAX`).
        max_payload_entries: 4_096,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(snapshot_every),
        max_in_snapshot_log_to_keep: ENTRIES_KEPT.min(snapshot_every),
        purge_batch_size: 1,
        removed_leader_step_down: StepDownPolicy::After(millis(timing.election_max)),
        // A leader without a majority must stop its heartbeats, or it holds back a connected majority for ever
        // (openraft issue 2080).
        quorum_loss_probe_interval: Some(millis(timing.election_max * 3)),
        enable_pre_vote: Some(true),
        allow_log_reversion: Some(false),
        // A restarted leader takes part in an election like everybody else.
        enable_leader_restore: Some(false),
        ..openraft::Config::default()
    };
    raft.validate().map(Arc::new).map_err(|error| StoreError::Raft(error.to_string()))
}
