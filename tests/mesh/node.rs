//! One member of the mesh: its own directory, certificate, listener and tasks, started and stopped like a process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use kato_core::version::NEWEST;
use kato_net::clock::{Clock, SystemClock};
use kato_net::pki::{Authority, Host, Overwrite};
use kato_net::task::{OnError, Tasks};
use kato_net::tls::{Credentials, TlsTransport};
use kato_net::{Role, Transport, incoming};
use kato_raft::{Config, DirDisk, Flush, Member, Mesh, NodeId, StoreError, Timing};
use tempfile::TempDir;
use tonic::body::Body;
use tonic::codegen::http::Request;
use tonic::transport::Server;
use tower::util::MapRequestLayer;

use crate::host;

/// How long a test waits for what must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// How long the certificates are valid.
const VALIDITY: Duration = Duration::from_hours(1);

/// The datacenters of the mesh; the member's number is the place in the list, from 1.
pub(crate) const DATACENTERS: [&str; 3] = ["dub", "ewr", "sin"];

/// What stays when a member stops: directories and certificates, and the addresses.
pub(crate) struct Site {
    directory: TempDir,
    addresses: Vec<String>,
    pub(crate) snapshot_every: u64,
    /// The newest mesh version that each member knows.
    pub(crate) knows: [u32; 3],
    /// How often each method was called, of any member.
    called: Arc<Mutex<BTreeMap<String, u64>>>,
}

/// A member that runs.
pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) mesh: Mesh,
    tasks: Tasks,
    founding: tokio::task::JoinHandle<Result<(), kato_raft::Error>>,
}

impl Site {
    /// Makes certificates and addresses for all.
    pub(crate) fn new() -> Result<Self> {
        let directory = TempDir::new()?;
        let (now, host) = (SystemClock.wall(), host::own());
        let root = Authority::root("demo.com".parse()?, now, VALIDITY)?;
        root.store(directory.path(), "ca", Overwrite::Refuse)?;
        for name in DATACENTERS {
            let hosts = [Host::from(host)];
            let issued = root.issue(Role::Coordinator(name.parse()?), &hosts, now, VALIDITY)?;
            issued.store(directory.path(), name, Overwrite::Refuse)?;
        }
        let addresses = (1..=DATACENTERS.len()).map(|member| format!("{host}:{}", 7_000 + member));
        let addresses = addresses.collect();
        let called = Arc::default();
        Ok(Self { directory, addresses, snapshot_every: 10_000, knows: [NEWEST; 3], called })
    }

    /// The members as the configuration of all says it.
    pub(crate) fn founders(&self) -> Result<BTreeMap<NodeId, Member>> {
        let members = (1..).zip(DATACENTERS.iter().zip(&self.addresses));
        let member = |(id, (name, address)): (NodeId, (&&str, &String))| {
            Ok((id, Member { datacenter: name.parse()?, address: address.clone() }))
        };
        members.map(member).collect()
    }

    /// Where a member keeps its log.
    pub(crate) fn store(&self, id: NodeId) -> PathBuf {
        self.directory.path().join(format!("member-{id}"))
    }

    /// Where a member listens.
    pub(crate) fn address(&self, id: NodeId) -> Result<String> {
        Ok(self.addresses[usize::try_from(id)? - 1].clone())
    }

    /// The network as the holder of a certificate sees it.
    pub(crate) fn transport(&self, certificate: &str) -> Result<Arc<dyn Transport>> {
        let path = |name: String| self.directory.path().join(name);
        let (ca, pem, key) = (
            path("ca.pem".to_owned()),
            path(format!("{certificate}.pem")),
            path(format!("{certificate}-key.pem")),
        );
        let credentials = Credentials::load(&ca, &pem, &key)?;
        Ok(Arc::new(TlsTransport::new(credentials, Arc::new(SystemClock))?))
    }

    /// How often a method was called, of any member.
    pub(crate) fn calls(&self, path: &str) -> u64 {
        let called = self.called.lock().unwrap_or_else(PoisonError::into_inner);
        called.get(path).copied().unwrap_or_default()
    }

    /// Starts a member under its own certificate.
    pub(crate) async fn start(&self, id: NodeId) -> Result<Node> {
        self.start_as(id, DATACENTERS[usize::try_from(id)? - 1]).await
    }

    /// Starts a member under the certificate of a datacenter.
    pub(crate) async fn start_as(&self, id: NodeId, certificate: &str) -> Result<Node> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let transport = self.transport(certificate)?;
        let listener = transport.listen(&self.addresses[usize::try_from(id)? - 1]).await?;
        let tasks = Tasks::new();
        let config = Config {
            id,
            founders: self.founders()?,
            timing: Timing::for_rtt_ms(1)?,
            snapshot_every: self.snapshot_every,
            flush: Flush::Thread,
            knows: self.knows[usize::try_from(id)? - 1],
            seed: id,
        };
        let mesh = open(&self.store(id), &config, &transport, &clock, &tasks).await?;
        let shutdown = tasks.shutdown();
        let called = Arc::clone(&self.called);
        let counting = MapRequestLayer::new(move |request: Request<Body>| {
            let path = request.uri().path().to_owned();
            *called.lock().unwrap_or_else(PoisonError::into_inner).entry(path).or_default() += 1;
            request
        });
        let serving = Server::builder()
            .layer(counting)
            .add_service(mesh.service())
            .serve_with_incoming_shutdown(
                incoming(listener, shutdown.clone()),
                shutdown.cancelled_owned(),
            );
        tasks.spawn("server", OnError::Stop, serving);
        let founder = mesh.clone();
        let founding = tokio::spawn(async move { founder.found().await });
        Ok(Node { id, mesh, tasks, founding })
    }

    /// Starts all members.
    pub(crate) async fn start_all(&self) -> Result<Vec<Node>> {
        let mut nodes = Vec::new();
        for id in 1..=3 {
            nodes.push(self.start(id).await?);
        }
        Ok(nodes)
    }
}

/// Opens the store. The one who had it before, in this process, may still be closing it.
async fn open(
    store: &Path,
    config: &Config,
    transport: &Arc<dyn Transport>,
    clock: &Arc<dyn Clock>,
    tasks: &Tasks,
) -> Result<Mesh> {
    let disk = Arc::new(DirDisk::open(store)?);
    let opened = async {
        loop {
            let (transport, clock) = (Arc::clone(transport), Arc::clone(clock));
            match Mesh::start(config.clone(), disk.clone(), transport, clock, tasks).await {
                Err(StoreError::InUse) => tokio::task::yield_now().await,
                started => return started,
            }
        }
    };
    tokio::time::timeout(PATIENCE, opened)
        .await
        .context("the store stays in use")?
        .map_err(Into::into)
}

impl Node {
    /// Stops in order, as the coordinator does.
    pub(crate) async fn stop(self) -> Result<()> {
        self.founding.abort();
        self.tasks.shutdown().cancel();
        self.mesh.shutdown().await;
        drop(self.mesh);
        Ok(self.tasks.join(PATIENCE).await?)
    }

    /// Waits until a part of it has failed by itself, and says why.
    pub(crate) async fn failed(self) -> Result<String> {
        let shutdown = self.tasks.shutdown();
        let ended = tokio::time::timeout(PATIENCE, shutdown.cancelled()).await;
        ended.context("it goes on")?;
        let error = self.stop().await.err().context("it stopped in order")?;
        Ok(format!("{error:#}"))
    }

    /// What founding said.
    pub(crate) async fn founded(&mut self) -> Result<(), kato_raft::Error> {
        let founding = tokio::time::timeout(PATIENCE, &mut self.founding).await;
        founding.expect("founding ends").expect("founding does not panic")
    }
}
