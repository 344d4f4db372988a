//! A whole coordinator in this process, alone in its mesh and with nobody to sell it machines: what its services say
//! to a real client is what counts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use kato_coordinator::{Config, Coordinator, StartError, Tls, World};
use kato_core::{Coordinates, DatacenterSpec, Offer};
use kato_net::clock::{Clock, SystemClock};
use kato_net::pki::{Authority, Host, Overwrite};
use kato_net::tls::{Credentials, TlsTransport};
use kato_net::{Expect, Role, Timeouts, Transport, channel};
use kato_placement::Catalogue;
use kato_proto::v1;
use kato_raft::{DirDisk, Disk, Flush, Member, Mesh, Timing};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use v1::cluster_client::ClusterClient;
use v1::workloads_client::WorkloadsClient;

use crate::host;
use crate::node::PATIENCE;

#[path = "../e2e/support/program.rs"]
#[allow(dead_code, clippy::unwrap_used, reason = "every test program includes the whole file")]
mod program;

/// How long the certificates are valid.
const VALIDITY: Duration = Duration::from_hours(1);

/// The coordinator of `dub`, and an operator's connection to it.
pub(crate) struct Alone {
    pub(crate) calls: Channel,
    pub(crate) mesh: Mesh,
    pub(crate) address: String,
    shutdown: CancellationToken,
    running: JoinHandle<Result<(), StartError>>,
    directory: TempDir,
}

fn transport(directory: &Path, name: &str) -> Result<Arc<dyn Transport>> {
    let path = |name: String| directory.join(name);
    let (pem, key) = (path(format!("{name}.pem")), path(format!("{name}-key.pem")));
    let credentials = Credentials::load(&path("ca.pem".to_owned()), &pem, &key)?;
    Ok(Arc::new(TlsTransport::new(credentials, Arc::new(SystemClock))?))
}

fn config(directory: &Path, address: String) -> Result<Config> {
    let member = Member { datacenter: "dub".parse()?, address: address.clone() };
    Ok(Config {
        domain: "demo.com".parse()?,
        member: 1,
        members: BTreeMap::from([(1, member)]),
        datacenter: DatacenterSpec {
            country: None,
            labels: [].into(),
            name: "dub".parse()?,
            location: Coordinates::from_degrees(53.4, -6.3)?,
            address: address.clone(),
            regions: BTreeSet::new(),
            cells: BTreeMap::new(),
        },
        listen: address,
        data_dir: directory.join("data"),
        tls: Tls {
            ca: directory.join("ca.pem"),
            certificate: directory.join("dub.pem"),
            key: directory.join("dub-key.pem"),
        },
        authority: None,
        timing: Timing::for_rtt_ms(1)?,
        rebalance_after: Duration::from_mins(10),
        catalog: None,
        catalog_in_part: false,
        ip_locations: Vec::new(),
        sandbox: None,
    })
}

/// Waits until it leads: before, it can decide nothing.
async fn leads(calls: &Channel) {
    let mut cluster = ClusterClient::new(calls.clone());
    while match cluster.get_status(v1::GetStatusRequest::default()).await {
        Ok(status) => status.into_inner().leader.is_empty(),
        Err(_) => true,
    } {
        tokio::task::yield_now().await;
    }
}

impl Alone {
    pub(crate) async fn start() -> Result<Self> {
        Self::start_on(|data| Ok(Arc::new(DirDisk::open(data)?))).await
    }

    /// Starts it on a disk of the test's own.
    pub(crate) async fn start_on(
        disk: impl FnOnce(&Path) -> Result<Arc<dyn Disk>>,
    ) -> Result<Self> {
        let directory = TempDir::new()?;
        let (now, host) = (SystemClock.wall(), host::own());
        let root = Authority::root("demo.com".parse()?, now, VALIDITY)?;
        root.store(directory.path(), "ca", Overwrite::Refuse)?;
        let hosts = [Host::from(host)];
        for (name, role, hosts) in [
            ("dub", Role::Coordinator("dub".parse()?), &hosts[..]),
            ("ada", Role::Operator("ada".parse()?), &[]),
        ] {
            let issued = root.issue(role, hosts, now, VALIDITY)?;
            issued.store(directory.path(), name, Overwrite::Refuse)?;
        }
        let address = format!("{host}:7001");
        let config = config(directory.path(), address.clone())?;
        let world = World {
            transport: transport(directory.path(), "dub")?,
            clock: Arc::new(SystemClock),
            disk: disk(&config.data_dir)?,
            provider: None,
            catalogue: Catalogue::new(Vec::<Arc<Offer>>::new()),
            history: None,
            flush: Flush::Thread,
            snapshot_every: 5_000,
            knows: kato_core::version::NEWEST,
            seed: 1,
        };
        let coordinator = Coordinator::start(config, world).await?;
        let operator = transport(directory.path(), "ada")?;
        let calls = channel(operator, address.clone(), Expect::AnyCoordinator, Timeouts::default());
        let (mesh, shutdown) = (coordinator.mesh().clone(), coordinator.shutdown());
        let running = tokio::spawn(coordinator.join());
        tokio::time::timeout(PATIENCE, leads(&calls)).await.context("it does not lead")?;
        // From here on it changes nothing by itself.
        let mut views = mesh.watch();
        let quiet = views.wait_for(|view| view.state.agreed.is_some());
        tokio::time::timeout(PATIENCE, quiet).await.context("no timing is agreed on")??;
        Ok(Self { calls, mesh, address, shutdown, running, directory })
    }

    /// The network as the operator sees it.
    pub(crate) fn operator(&self) -> Result<Arc<dyn Transport>> {
        transport(self.directory.path(), "ada")
    }

    /// The real `kato`, as the operator.
    pub(crate) fn kato(&self, words: &[&str]) -> Command {
        let home = self.directory.path();
        let mut command = program::command(home, words);
        command.env("KATO_ADDR", &self.address).env("KATO_CACERT", home.join("ca.pem"));
        command.env("KATO_CLIENT_CERT", home.join("ada.pem"));
        command.env("KATO_CLIENT_KEY", home.join("ada-key.pem"));
        command
    }

    /// The service for workloads.
    pub(crate) fn workloads(&self) -> WorkloadsClient<Channel> {
        WorkloadsClient::new(self.calls.clone())
    }

    /// Applies a workload whose unit is at least so large, and returns its revision.
    pub(crate) async fn apply(&self, name: &str, bytes: usize) -> Result<u64> {
        let filling = "#".repeat(bytes);
        let text = format!("{filling}\n[Service]\nExecStart=/bin/{name}\n");
        let unit = v1::UnitFile { file_name: format!("{name}.service"), text };
        let source = Some(v1::apply_request::Source::Unit(unit));
        let request = v1::ApplyRequest { source, ..v1::ApplyRequest::default() };
        let answer = self.workloads().apply(request).await?.into_inner();
        Ok(answer.workload.context("the workload that was applied")?.revision)
    }

    /// Deletes a workload.
    pub(crate) async fn delete(&self, name: &str) -> Result<u64> {
        let name = name.to_owned();
        let request = v1::DeleteWorkloadRequest { name, expected_revision: None };
        Ok(self.workloads().delete(request).await?.into_inner().revision)
    }

    pub(crate) async fn stop(self) -> Result<()> {
        drop((self.calls, self.mesh));
        self.shutdown.cancel();
        Ok(self.running.await??)
    }
}
