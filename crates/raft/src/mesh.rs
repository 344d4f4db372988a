//! The façade: everything that the rest of Káto may do with Raft.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use kato_core::{Command, DatacenterName};
use kato_net::Transport;
use kato_net::clock::Clock;
use kato_net::task::{OnError, Tasks};
use kato_proto::mesh_v1 as pb;
use kato_proto::mesh_v1::raft_server::RaftServer;
use openraft_rt::WatchReceiver as _;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::engine::{Engine, Parts};
use crate::gate::Gate;
use crate::leader::Leader;
use crate::lost::Lost;
use crate::machine::Machine;
use crate::network::{Client, MESSAGE_BYTES_MAX};
use crate::proposer::Proposer;
use crate::reader::Reader;
use crate::restore::Restored;
use crate::retention::Retention;
use crate::service::{SNAPSHOTS_AT_ONCE, Service};
use crate::space::{self, DiskAlarm, Floor};
use crate::store::LogStore;
use crate::types::{Member, NodeId, Outcomes, Raft};
use crate::welcome::Welcome;
use crate::{Disk, Error, Flush, StoreError, Timing, View};

/// How one member takes part.
#[derive(Debug, Clone)]
pub struct Config {
    /// This member.
    pub id: NodeId,
    /// The members that found the mesh, this one included. Once it is founded the log says who they are.
    pub founders: BTreeMap<NodeId, Member>,
    /// How long members wait for each other.
    pub timing: Timing,
    /// Log entries between two snapshots.
    pub snapshot_every: u64,
    /// Who brings the log to the disk.
    pub flush: Flush,
    /// The newest mesh version that this member knows: [`kato_core::version::NEWEST`], but in tests of older and
    /// newer builds.
    pub knows: u32,
    /// Seeds the election timeouts. Random in production, the simulator's seed in a simulation.
    pub seed: u64,
}

/// Who leads, as this member sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Leadership {
    /// Raft's term.
    pub term: u64,
    /// The leader, if one is known.
    pub leader: Option<(NodeId, DatacenterName)>,
    /// Whether it is this member.
    pub here: bool,
    /// Everybody who votes.
    pub voters: BTreeMap<NodeId, Member>,
    /// Everybody who takes part, whether he votes or not.
    pub members: BTreeMap<NodeId, Member>,
}

/// One member's part in the mesh. Clones share it.
#[derive(Clone)]
pub struct Mesh {
    engine: Engine,
    views: watch::Receiver<View>,
    leadership: watch::Receiver<Leadership>,
    leader: Leader,
    proposer: Proposer,
    reader: Reader,
    service: Service,
    shutdown: CancellationToken,
    config: Arc<Config>,
    alarm: watch::Receiver<Option<DiskAlarm>>,
}

/// Between two questions to members that are not up yet.
const PROBE_EVERY: Duration = Duration::from_millis(100);
/// So many unanswered ones are nothing to talk about: founders are started one after the other.
const PROBES_QUIET: u32 = 50;

impl Mesh {
    /// Opens the store and takes part. Work that goes on in the background joins `tasks`. Before this member can
    /// take part the caller must serve [`Mesh::service`].
    pub async fn start(
        config: Config,
        disk: Arc<dyn Disk>,
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
        tasks: &Tasks,
    ) -> Result<Self, StoreError> {
        let limits = (Retention::DEFAULT, Floor::DEFAULT);
        Self::start_within(limits, config, disk, transport, clock, tasks).await
    }

    /// As [`Mesh::start`], keeping another amount of log in memory, and of room on the disk.
    pub(crate) async fn start_within(
        (retention, floor): (Retention, Floor),
        config: Config,
        disk: Arc<dyn Disk>,
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
        tasks: &Tasks,
    ) -> Result<Self, StoreError> {
        let welcome = Arc::new(Welcome::open(Arc::clone(&disk))?);
        let restored = Arc::new(Restored::open(Arc::clone(&disk))?);
        let log = LogStore::open(Arc::clone(&disk), config.id, config.flush.clone())?;
        let lost = Lost::open(Arc::clone(&disk), log.observer())?;
        let room = Arc::clone(&disk);
        let machine = Machine::open(disk, log.extent(), config.knows)?;
        let (views, snapshots) = (machine.subscribe(), machine.snapshots());
        let config = Arc::new(config);
        let parts = Parts { log: log.clone(), machine: Arc::new(machine) };
        let engine = Engine::open(Arc::clone(&config), transport, parts).await?;
        if restored.is_pending() {
            // Nobody's vote is asked for before all founders are known to be new.
            let running = engine.running().map_err(|error| StoreError::Raft(error.to_string()))?;
            running.raft.runtime_config().elect(false);
        }
        let leader = Leader::new(engine.clone());
        let (alarmed, alarm) = watch::channel(None);
        let watching = space::watch(floor, room, alarmed, tasks.shutdown());
        tasks.spawn("disk space", OnError::Stop, watching);
        let own = config.founders.get(&config.id);
        let gate = Gate {
            views: views.clone(),
            knows: config.knows,
            alarm: alarm.clone(),
            datacenter: own.map_or_else(String::new, |member| member.datacenter.to_string()),
        };
        let (proposer, proposing) =
            Proposer::new(engine.clone(), clock, leader.clone(), gate, tasks.shutdown());
        tasks.spawn("proposer", OnError::Stop, proposing);
        let (published, leadership) = watch::channel(Leadership::default());
        attend(&engine, published, retention, log, tasks);
        let (reader, reading) =
            Reader::new(engine.clone(), leader.clone(), views.clone(), tasks.shutdown());
        tasks.spawn("reader", OnError::Stop, reading);
        tasks.spawn("lost entries", OnError::Stop, lost.clone().watch(tasks.shutdown()));
        let service = Service {
            own: config.id,
            engine: engine.clone(),
            founders: Arc::new(config.founders.clone()),
            proposer: proposer.clone(),
            reader: reader.clone(),
            welcome,
            restored,
            snapshots,
            lost,
            receiving: Arc::new(Semaphore::new(SNAPSHOTS_AT_ONCE)),
        };
        let shutdown = tasks.shutdown();
        Ok(Self {
            engine,
            views,
            leadership,
            leader,
            proposer,
            reader,
            service,
            shutdown,
            config,
            alarm,
        })
    }

    /// Founds the mesh, if it is not founded yet and this member is the one to do it: the founder with the lowest
    /// number, once it has seen that all others are as new as it is itself. Asking all of them keeps a founder
    /// whose disk was lost from founding a second mesh; one with another number asks too, and fails likewise.
    pub async fn found(&self) -> Result<(), Error> {
        let stopped = |error: &dyn std::fmt::Display| Error::Stopped(error.to_string());
        let founded = self.engine.running()?.raft.is_initialized().await;
        let founded = founded.map_err(|error| stopped(&error))?;
        let restored = self.service.restored.is_pending();
        if founded && !restored || !self.config.founders.contains_key(&self.config.id) {
            return Ok(());
        }
        let first = self.config.founders.keys().next() == Some(&self.config.id);
        if first {
            // Nobody may take part before all are known to be new: two of an older mesh would go on with that.
            self.ask_founders(true, first).await?;
        }
        self.ask_founders(false, first).await?;
        if restored {
            self.service.restored.end().map_err(|error| stopped(&error))?;
            self.engine.running()?.raft.runtime_config().elect(true);
            return Ok(());
        }
        if !first {
            return Ok(());
        }
        let founding = self.engine.running()?.raft.initialize(self.config.founders.clone()).await;
        founding.map_err(|error| stopped(&error))
    }

    /// Sees that no other founder belongs to a mesh yet.
    async fn ask_founders(&self, only_asks: bool, first: bool) -> Result<(), Error> {
        let network = self.engine.running()?.network;
        let others = self.config.founders.iter().filter(|(id, _)| **id != self.config.id);
        let ask = |(id, member): (&NodeId, &Member)| {
            let (id, member) = (*id, member.clone());
            let probe = self.probe(network.client(id, &member), member.clone(), only_asks);
            async move {
                if first {
                    return (id, member, probe.await);
                }
                // Whoever does not answer now is not waited for: what it sends is refused all the same.
                let answer = tokio::time::timeout(self.config.timing.election_min, probe).await;
                let belongs = answer.unwrap_or(false) && !self.service.welcome.is_given();
                (id, member, belongs)
            }
        };
        let mut asked: FuturesUnordered<_> = others.map(ask).collect();
        while let Some((id, Member { datacenter, .. }, belongs)) = asked.next().await {
            if !belongs {
                continue;
            }
            return Err(Error::Stopped(if self.service.restored.is_pending() {
                format!(
                    "member {id} ({datacenter}) is part of a mesh already, this store begins with a backup: \
                     stop that one, and move its store away"
                )
            } else {
                format!(
                    "member {id} ({datacenter}) is part of a mesh already, this store is empty: \
                     join that mesh under a new member id"
                )
            }));
        }
        Ok(())
    }

    /// Asks a founder whether it belongs to a mesh, for as long as it takes to be answered.
    async fn probe(&self, mut client: Client, member: Member, only_asks: bool) -> bool {
        let mut tries = 0;
        loop {
            let request = pb::ProbeRequest { route: client.route(), only_asks };
            match client.grpc.probe(request).await {
                Ok(answer) => return answer.into_inner().founded,
                Err(status) => tracing::debug!(%status, "a founder is not up yet"),
            }
            tries += 1;
            if tries == PROBES_QUIET {
                let Member { datacenter, address } = &member;
                tracing::warn!(%datacenter, address, "the mesh waits for this founder to answer");
            }
            tokio::time::sleep(PROBE_EVERY).await;
        }
    }

    /// The gRPC service that the other members call.
    pub fn service(&self) -> RaftServer<impl pb::raft_server::Raft + use<>> {
        RaftServer::new(self.service.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// Commits commands, together and in this order, each with its own outcome. Returns once they are on the disks
    /// of a majority and applied by the leader.
    pub async fn propose(
        &self,
        commands: Vec<Command>,
        timeout: Duration,
    ) -> Result<Outcomes, Error> {
        self.proposer.propose(commands, Instant::now() + timeout, &self.shutdown).await
    }

    /// A state that holds every write that was acknowledged before this call.
    pub async fn read(&self, timeout: Duration) -> Result<View, Error> {
        self.reader.read(Instant::now() + timeout).await
    }

    /// The state as far as this member has applied it, which may be behind.
    pub fn stale(&self) -> View {
        self.views.borrow().clone()
    }

    /// Follows the state as this member applies it.
    pub fn watch(&self) -> watch::Receiver<View> {
        self.views.clone()
    }

    /// Follows who leads.
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.leadership.clone()
    }

    /// Follows whether the disk is almost full.
    pub fn disk_alarm(&self) -> watch::Receiver<Option<DiskAlarm>> {
        self.alarm.clone()
    }

    /// Hands the leadership to another voter, if this member leads.
    pub async fn transfer(&self, to: NodeId) -> Result<(), Error> {
        let handed = self.engine.running()?.raft.trigger().transfer_leader(to).await;
        handed.map_err(|error| Error::Stopped(error.to_string()))
    }

    /// Hands the leadership to another voter, and waits until this member leads no more; whether that came to be. It
    /// works while everything else stops: the wait is for Raft itself.
    pub async fn hand_over(&self, to: NodeId, patience: Duration) -> bool {
        let replaced = self.leader.replaced(Some(self.config.id));
        self.transfer(to).await.is_ok() && tokio::time::timeout(patience, replaced).await.is_ok()
    }

    /// Writes a snapshot now.
    pub async fn snapshot(&self) -> Result<(), Error> {
        let triggered = self.engine.running()?.raft.trigger().snapshot().await;
        triggered.map_err(|error| Error::Stopped(error.to_string()))
    }

    /// The timing that this member keeps.
    pub fn timing(&self) -> Timing {
        self.engine.timing()
    }

    /// Takes another timing. For a moment this member takes no part; if it leads, it should hand that over before.
    pub async fn retime(&self, timing: Timing) -> Result<(), Error> {
        self.engine.retime(timing).await
    }

    /// Stops taking part.
    pub async fn shutdown(&self) {
        self.engine.shutdown().await;
    }
}

/// Starts what goes on beside openraft, and again beside each that follows it.
fn attend(
    engine: &Engine,
    published: watch::Sender<Leadership>,
    retention: Retention,
    log: LogStore,
    tasks: &Tasks,
) {
    let published = Arc::new(published);
    let (of, shutdown) = (engine.clone(), tasks.shutdown());
    let following =
        async move { of.attend(shutdown, |it| follow(it.raft, Arc::clone(&published))).await };
    tasks.spawn("leadership", OnError::Stop, following);
    let (of, shutdown) = (engine.clone(), tasks.shutdown());
    let opening = async move { of.attend(shutdown, |it| it.network.keep_open(it.raft)).await };
    tasks.spawn("connections", OnError::Stop, opening);
    let (of, shutdown) = (engine.clone(), tasks.shutdown());
    let enforcing =
        async move { of.attend(shutdown, |it| retention.enforce(it.raft, log.clone())).await };
    tasks.spawn("log retention", OnError::Stop, enforcing);
}

/// Publishes who leads; ends with an error when openraft stops.
async fn follow(raft: Raft, published: Arc<watch::Sender<Leadership>>) -> Result<(), Error> {
    let mut metrics = raft.metrics();
    loop {
        let now = {
            let metrics = metrics.borrow_and_update();
            if let Err(fatal) = &metrics.running_state {
                return Err(Error::Stopped(fatal.to_string()));
            }
            let membership = metrics.membership_config.membership();
            let member = |id: NodeId| membership.get_node(&id).map(|member| (id, member.clone()));
            Leadership {
                term: metrics.current_term,
                leader: metrics
                    .current_leader
                    .and_then(member)
                    .map(|(id, member)| (id, member.datacenter)),
                here: metrics.current_leader == Some(metrics.id),
                voters: membership.voter_ids().filter_map(member).collect(),
                members: membership.nodes().map(|(id, member)| (*id, member.clone())).collect(),
            }
        };
        published.send_if_modified(|known| {
            let changed = *known != now;
            if changed {
                *known = now;
            }
            changed
        });
        if metrics.changed().await.is_err() {
            // Its core is gone without a word: it panicked.
            return Err(Error::Stopped("raft has stopped by itself".to_owned()));
        }
    }
}
