//! A coordinator, put together and run.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use kato_net::clock::Clock;
use kato_net::task::{OnError, TaskError, Tasks};
use kato_net::{CALL_BYTES_MAX, Listener, MESSAGE_BYTES_MAX, incoming};
use kato_proto::FILE_DESCRIPTOR_SET;
use kato_proto::mesh_v1::agents_server::AgentsServer;
use kato_proto::mesh_v1::reports_server::ReportsServer;
use kato_proto::v1::cluster_server::ClusterServer;
use kato_proto::v1::events_server::EventsServer;
use kato_proto::v1::logs_server::LogsServer;
use kato_proto::v1::placement_server::PlacementServer;
use kato_proto::v1::topology_server::TopologyServer;
use kato_proto::v1::workloads_server::WorkloadsServer;
use kato_raft::{Mesh, StoreError};
use tokio_util::sync::CancellationToken;
use tonic::codegen::http::{HeaderValue, Response, header};
use tonic::transport::Server;
use tower::util::MapResponseLayer;

use crate::access::AccessLayer;
use crate::agents::{AgentService, Agents, Knocks, Leases, LogRelay};
use crate::config::Config;
use crate::context::{Context, World};
use crate::distances::Surveyor;
use crate::history;
use crate::ip_locations::{IpLocations, IpLocationsError};
use crate::peers::Peers;
use crate::pulse::Pulse;
use crate::reconcile;
use crate::reconcile::ReportService;
use crate::reports::Reports;
use crate::round_trips::RoundTrips;
use crate::services::{
    ClusterService, EventService, LogService, PlacementService, Reading, TopologyService,
    WorkloadService,
};

/// How long tasks have to end.
const SHUTDOWN: Duration = Duration::from_secs(5);
/// How long the next leader has to take over from one that stops.
const HANDOVER: Duration = Duration::from_secs(2);

/// Why a coordinator does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store cannot be used.
    #[error("the store cannot be used")]
    Store(#[from] StoreError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A database of IP addresses cannot be used.
    #[error(transparent)]
    IpLocations(#[from] IpLocationsError),
    /// The mesh cannot be founded.
    #[error("the mesh cannot be founded")]
    Found(#[source] kato_raft::Error),
    /// A part of it failed while it ran.
    #[error("the coordinator stopped")]
    Stopped(#[from] TaskError),
}

/// A running coordinator.
pub struct Coordinator {
    context: Context,
    address: SocketAddr,
    tasks: Arc<Tasks>,
}

impl Coordinator {
    /// Opens the store, listens, and starts everything.
    pub async fn start(mut config: Config, world: World) -> Result<Self, StartError> {
        if world.provider.is_none() {
            // Nobody sells machines here: the mesh must not plan to buy any.
            config.datacenter.cells.values_mut().for_each(|cell| cell.machines_max = 0);
        }
        let tasks = Arc::new(Tasks::new());
        let transport = Arc::clone(&world.transport);
        let listener = transport
            .listen(&config.listen)
            .await
            .map_err(|source| StartError::Listen { address: config.listen.clone(), source })?;
        let address = listener.local_address();
        let mesh_config = kato_raft::Config {
            id: config.member,
            founders: config.members.clone(),
            timing: config.timing,
            snapshot_every: world.snapshot_every,
            flush: world.flush,
            knows: world.knows,
            seed: world.seed,
        };
        let clock = Arc::clone(&world.clock);
        let mesh =
            Mesh::start(mesh_config, world.disk, Arc::clone(&transport), clock, &tasks).await?;
        let pulse = Pulse::new(Arc::clone(&world.clock));
        let context = Context {
            domain: config.domain.clone(),
            datacenter: config.datacenter.name.clone(),
            mesh: mesh.clone(),
            catalogue: Arc::new(world.catalogue),
            ip_locations: Arc::new(IpLocations::new(config.ip_locations.clone())?),
            reports: Reports::new(world.clock.boot()),
            clock: world.clock,
            agents: Agents::default(),
            knocks: Knocks::default(),
            peers: Peers::new(transport),
            provider: world.provider,
            round_trips: RoundTrips::default(),
            surveyor: Surveyor::default(),
            pulse,
            history: world.history.map(Arc::new),
            knows: world.knows,
            brake: tokio::sync::watch::Sender::new(None),
        };
        serve(&context, listener, &tasks);
        mesh.found().await.map_err(StartError::Found)?;
        reconcile::start(&context, &config, &tasks);
        if let Some(history) = context.history.clone() {
            let keeping = history::run(context.clone(), history, tasks.shutdown());
            tasks.spawn("history", OnError::Stop, never_fails(keeping));
        }
        Ok(Self { context, address, tasks })
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The mesh as this coordinator takes part in it.
    pub fn mesh(&self) -> &Mesh {
        &self.context.mesh
    }

    /// The signal that stops it.
    pub fn shutdown(&self) -> CancellationToken {
        self.tasks.shutdown()
    }

    /// Runs until it is asked to stop, or until a part of it fails.
    pub async fn join(self) -> Result<(), StartError> {
        let Self { context, tasks, .. } = self;
        let shutdown = tasks.shutdown();
        shutdown.cancelled().await;
        hand_over(&context).await;
        context.mesh.shutdown().await;
        drop(context);
        tasks.join(SHUTDOWN).await?;
        Ok(())
    }
}

/// A leader that stops hands the leadership to somebody who goes on, so that nobody waits for an election.
async fn hand_over(context: &Context) {
    let leadership = context.mesh.leadership().borrow().clone();
    if !leadership.here {
        return;
    }
    let heard = context.heard();
    let others = leadership.voters.iter().filter(|(_, m)| m.datacenter != context.datacenter);
    // One that has just begun may have heard nobody yet.
    let next = others.max_by_key(|(_, member)| heard.contains_key(&member.datacenter));
    let next = next.map(|(id, _)| *id);
    if let Some(next) = next
        && !context.mesh.hand_over(next, HANDOVER).await
    {
        // An election will do it too, only later.
        tracing::warn!(to = next, "the leadership was not handed over");
    }
}

/// A service that takes and sends messages of so many bytes at the most. What is larger ends its call with
/// `OUT_OF_RANGE`, its size and the limit.
macro_rules! limited {
    ($service:expr, $bytes:expr) => {
        $service.max_decoding_message_size($bytes).max_encoding_message_size($bytes)
    };
}

/// Every service, behind the table of who may call what.
fn serve(context: &Context, listener: Box<dyn Listener>, tasks: &Arc<Tasks>) {
    let shutdown = tasks.shutdown();
    let (leases, leasing) = Leases::new(context.mesh.clone(), context.agents.clone());
    tasks.spawn("leases", OnError::Stop, never_fails(leasing));
    let beating = context.pulse.clone().run(context.mesh.clone(), shutdown);
    tasks.spawn("pulse", OnError::Stop, never_fails(beating));
    let relay = LogRelay::default();
    let reading = Reading { context: context.clone() };
    let agents = AgentService {
        context: context.clone(),
        leases,
        logs: relay.clone(),
        tasks: Arc::clone(tasks),
    };
    let reports = ReportService { context: context.clone() };
    let workloads = WorkloadService::new(reading.clone(), Arc::clone(tasks));
    let placement = PlacementService { reading: reading.clone() };
    let topology = TopologyService { reading: reading.clone() };
    let cluster = ClusterService { reading: reading.clone() };
    let events = EventService { reading: reading.clone(), tasks: Arc::clone(tasks) };
    let logs = LogService { reading, relay };
    let (_, health) = tonic_health::server::health_reporter();
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let unreadable = "the descriptor set that was compiled in is readable";
    let clock = Arc::clone(&context.clock);
    let router = Server::builder()
        .layer(MapResponseLayer::new(move |response| dated(response, &*clock)))
        .layer(AccessLayer)
        .add_service(context.mesh.service())
        .add_service(limited!(ReportsServer::new(reports), MESSAGE_BYTES_MAX))
        .add_service(limited!(AgentsServer::new(agents), MESSAGE_BYTES_MAX))
        .add_service(limited!(WorkloadsServer::new(workloads), CALL_BYTES_MAX))
        .add_service(limited!(PlacementServer::new(placement), CALL_BYTES_MAX))
        .add_service(limited!(TopologyServer::new(topology), CALL_BYTES_MAX))
        .add_service(limited!(ClusterServer::new(cluster), CALL_BYTES_MAX))
        .add_service(limited!(EventsServer::new(events), CALL_BYTES_MAX))
        .add_service(limited!(LogsServer::new(logs), CALL_BYTES_MAX))
        .add_service(health)
        .add_service(reflection().build_v1().expect(unreadable))
        .add_service(reflection().build_v1alpha().expect(unreadable));
    let shutdown = tasks.shutdown();
    let connections = incoming(listener, shutdown.clone());
    let serving = router.serve_with_incoming_shutdown(connections, shutdown.cancelled_owned());
    tasks.spawn("server", OnError::Stop, serving);
}

/// Says when an answer was given, by the coordinator's own clock: hyper would ask the system's, which a simulation does
/// not have.
fn dated<B>(mut response: Response<B>, clock: &dyn Clock) -> Response<B> {
    let now = UNIX_EPOCH + Duration::from_millis(clock.wall().0);
    if let Ok(date) = HeaderValue::from_str(&httpdate::fmt_http_date(now)) {
        response.headers_mut().insert(header::DATE, date);
    }
    response
}

async fn never_fails(work: impl Future<Output = ()>) -> Result<(), Infallible> {
    work.await;
    Ok(())
}
