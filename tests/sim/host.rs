//! One simulated coordinator, as far as consensus goes: the same façade, store and gRPC service that run in
//! production, on the simulator's transport, disk and clock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kato_core::{Command, Coordinates, DatacenterSpec};
use kato_net::task::{OnError, Tasks};
use kato_net::{Identity, Role, Transport, incoming};
use kato_raft::{Config, Flush, Member, Mesh, NodeId, Timing, View};
use tonic::codegen::http::{HeaderValue, Request, Response, header};
use tonic::transport::Server;
use tower::util::{MapRequestLayer, MapResponseLayer};

use crate::clock::SimClock;
use crate::disk::SimDisk;
use crate::network::SimTransport;
use crate::trace::Trace;

/// The port of every coordinator.
const PORT: u16 = 7440;
/// Log entries between snapshots: few, so that a member that was away needs one.
const SNAPSHOT_EVERY: u64 = 40;
/// How long a write may take before its fate is called unknown.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);
/// Between two looks for work, when there is none.
const IDLE: Duration = Duration::from_millis(10);

/// What a host was asked to do, and what it said.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    pub(crate) name: &'static str,
    pub(crate) id: NodeId,
    pub(crate) disk: SimDisk,
    desk: Arc<Mutex<Desk>>,
}

#[derive(Debug, Default)]
struct Desk {
    writes: VecDeque<String>,
    acknowledged: Vec<String>,
    seen: BTreeMap<String, u64>,
    leads: bool,
    index: u64,
}

impl Host {
    pub(crate) fn new(name: &'static str, id: NodeId) -> Self {
        Self { name, id, disk: SimDisk::default(), desk: Arc::default() }
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the host to write datacenters of these names, one after the other.
    pub(crate) fn write(&self, names: impl IntoIterator<Item = String>) {
        self.desk().writes.extend(names);
    }

    /// Names whose write was acknowledged, and how many still wait.
    pub(crate) fn acknowledged(&self) -> (Vec<String>, usize) {
        let desk = self.desk();
        (desk.acknowledged.clone(), desk.writes.len())
    }

    /// Whether the host believes to lead.
    pub(crate) fn leads(&self) -> bool {
        self.desk().leads
    }

    /// The last log entry that the host has applied, and the names that it then knew.
    pub(crate) fn applied(&self) -> (u64, Vec<String>) {
        let desk = self.desk();
        (desk.index, desk.seen.keys().cloned().collect())
    }

    /// Forgets what a crashed host believed.
    pub(crate) fn crashed(&self) {
        self.disk.cut_power();
        let mut desk = self.desk();
        desk.leads = false;
        desk.index = 0;
        desk.seen.clear();
    }

    /// Runs the coordinator until the simulation ends it.
    pub(crate) async fn run(
        self,
        founders: BTreeMap<NodeId, Member>,
        seed: u64,
        trace: Trace,
    ) -> Result<(), Box<dyn Error>> {
        let datacenter = self.name.parse()?;
        let identity =
            Identity { domain: "demo.com".parse()?, role: Role::Coordinator(datacenter) };
        let transport: Arc<dyn Transport> =
            Arc::new(SimTransport { identity, trace: trace.clone() });
        let config = Config {
            id: self.id,
            founders,
            timing: Timing::for_rtt_ms(5)?,
            snapshot_every: SNAPSHOT_EVERY,
            flush: Flush::Inline,
            seed: seed ^ self.id,
        };
        let tasks = Tasks::new();
        let clock = Arc::new(SimClock);
        let disk = Arc::new(self.disk.clone());
        let mesh = Mesh::start(config, disk, Arc::clone(&transport), clock, &tasks).await?;
        let listener = transport.listen(&format!("0.0.0.0:{PORT}")).await?;
        let serving = Server::builder()
            .layer(MapRequestLayer::new(note_calls(self.name, trace.clone())))
            .layer(MapResponseLayer::new(stop_the_date))
            .add_service(mesh.service());
        tasks.spawn("server", OnError::Stop, serving.serve_with_incoming(incoming(listener)));
        tasks.spawn("observer", OnError::Stop, self.clone().observe(mesh.clone(), trace.clone()));
        tasks.spawn("writer", OnError::Stop, self.clone().work(mesh.clone(), trace));
        mesh.found().await?;
        Ok(tasks.join(Duration::ZERO).await?)
    }

    /// Keeps the desk up to date with what the host believes.
    async fn observe(self, mesh: Mesh, trace: Trace) -> Result<(), Box<dyn Error + Send + Sync>> {
        let (mut views, mut leadership) = (mesh.watch(), mesh.leadership());
        loop {
            let now = leadership.borrow_and_update().clone();
            let View { state, index } = views.borrow_and_update().clone();
            trace.note(
                self.name,
                format_args!("term {} leads {} applied {index}", now.term, now.here),
            );
            {
                let mut desk = self.desk();
                desk.leads = now.here;
                desk.index = index;
                desk.seen =
                    state.datacenters.keys().map(|name| (name.to_string(), index)).collect();
            }
            tokio::select! {
                biased;
                changed = views.changed() => changed?,
                changed = leadership.changed() => changed?,
            }
        }
    }

    /// Does the writes that were asked for, each once.
    async fn work(self, mesh: Mesh, trace: Trace) -> Result<(), Box<dyn Error + Send + Sync>> {
        loop {
            let Some(name) = self.desk().writes.front().cloned() else {
                tokio::time::sleep(IDLE).await;
                continue;
            };
            let command = Command::RegisterDatacenter(DatacenterSpec {
                name: name.parse()?,
                location: Coordinates::from_degrees(53.4, -6.3)?,
                address: format!("{}:{PORT}", self.name),
                regions: BTreeSet::new(),
                cells: BTreeMap::new(),
            });
            let outcome = mesh.propose(vec![command], WRITE_TIMEOUT).await;
            trace.note(self.name, format_args!("writes {name}: {outcome:?}"));
            let mut desk = self.desk();
            desk.writes.pop_front();
            if outcome.is_ok_and(|outcomes| outcomes.iter().all(Result::is_ok)) {
                desk.acknowledged.push(name);
            }
        }
    }
}

/// Notes every call that the host answers.
fn note_calls<B>(host: &'static str, trace: Trace) -> impl Fn(Request<B>) -> Request<B> + Clone {
    move |request| {
        trace.note(host, format_args!("answers {}", request.uri().path()));
        request
    }
}

/// hyper would put the true time of day into every response.
fn stop_the_date<B>(mut response: Response<B>) -> Response<B> {
    let date = HeaderValue::from_static("Thu, 01 Jan 2026 00:00:00 GMT");
    response.headers_mut().insert(header::DATE, date);
    response
}
