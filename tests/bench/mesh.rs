//! Three coordinators as processes, and machines whose engine starts nothing.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use kato_agent::daemon::{Config, Daemon};
use kato_core::{InstanceId, Timestamp};
use kato_net::clock::{Clock, SystemClock};
use kato_net::pki::{Authority, Overwrite};
use kato_net::task::{OnError, Tasks};
use kato_net::tls::{Credentials, TlsTransport};
use kato_net::{Expect, Role, Timeouts, Transport, channel};
use kato_proto::v1 as pb;
use kato_proto::v1::cluster_client::ClusterClient;
use kato_units::engine::{
    Assignment, BoxFuture, BoxStream, Error, InstanceStatus, LogLine, RunState, Statuses,
    UnitEngine,
};
use tonic::transport::Channel;

use crate::wait::until;

/// The datacenters of `kato dev`.
pub(crate) const SITES: [&str; 3] = ["dub", "ewr", "sin"];
/// Machines in each of them: what is placed in one round is as dense on them as in a real mesh.
const MACHINES: usize = 20;
/// What each machine says it has: room for everything that a benchmark places.
const RESOURCES: &str = "\n[resources]\ncpu_millis = 10000000\nmemory_bytes = 100000000000000\n";
/// How long the machines' certificates last.
const DAY: Duration = Duration::from_hours(24);

/// The mesh; dropping it kills it.
pub(crate) struct Mesh {
    directory: tempfile::TempDir,
    coordinators: Vec<Child>,
    _machines: Tasks,
}

impl Mesh {
    /// Lets `kato dev` write certificates and configurations, then runs the coordinators alone.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        write_files(directory.path()).await?;
        let mut coordinators = Vec::new();
        for site in SITES {
            let config = directory.path().join(format!("mesh/{site}.toml"));
            coordinators.push(kato()?.arg("coordinator").arg("--config").arg(config).spawn()?);
        }
        let machines = Tasks::new();
        for site in SITES {
            for number in 1..=MACHINES {
                let machine = format!("core-{number}");
                run_machine(&directory.path().join("mesh").join(site), &machine, &machines)?;
            }
        }
        let mesh = Self { directory, coordinators, _machines: machines };
        mesh.wait().await?;
        Ok(mesh)
    }

    async fn wait(&self) -> anyhow::Result<()> {
        let mut client = ClusterClient::new(self.channel(0)?);
        until("the mesh was not ready", async || {
            let asked = client.get_status(pb::GetStatusRequest::default()).await;
            let joined = SITES.len() * MACHINES;
            Ok(asked.is_ok_and(|status| status.get_ref().machines as usize >= joined))
        })
        .await
    }

    /// Where `kato dev` wrote its files.
    pub(crate) fn directory(&self) -> PathBuf {
        self.directory.path().join("mesh")
    }

    /// A connection of its own to one coordinator, as the operator.
    pub(crate) fn channel(&self, coordinator: usize) -> anyhow::Result<Channel> {
        let ports = std::fs::read_to_string(self.directory().join("ports"))?;
        let port = ports.split_whitespace().nth(coordinator).context("no such coordinator")?;
        self.dial(format!("127.0.0.1:{port}"))
    }

    /// A connection to whoever answers with a coordinator's certificate.
    pub(crate) fn dial(&self, address: String) -> anyhow::Result<Channel> {
        let pki = self.directory().join("pki");
        let credentials = Credentials::load(
            &pki.join("ca.pem"),
            &pki.join("operator.pem"),
            &pki.join("operator-key.pem"),
        )?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let transport: Arc<dyn Transport> = Arc::new(TlsTransport::new(credentials, clock)?);
        Ok(channel(transport, address, Expect::AnyCoordinator, Timeouts::default()))
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        for child in &mut self.coordinators {
            // It may have ended by itself.
            child.kill().ok();
            child.wait().ok();
        }
    }
}

/// The `kato` beside this program.
pub(crate) fn kato() -> anyhow::Result<Command> {
    let path = std::env::current_exe()?.with_file_name("kato");
    anyhow::ensure!(path.exists(), "build it first: cargo build --release -p kato-cli");
    let mut command = Command::new(path);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.env("KATO_LOG", "warn");
    Ok(command)
}

/// Runs `kato dev` until it has written its files and is ready, and stops it.
async fn write_files(directory: &Path) -> anyhow::Result<()> {
    let contexts = directory.join("contexts.toml");
    let mut dev = kato()?
        .args(["dev", "--data-dir"])
        .arg(directory.join("mesh"))
        .env("KATO_CONTEXT_FILE", &contexts)
        .spawn()?;
    let ready = until("kato dev was not ready", async || Ok(contexts.exists())).await;
    let pid = i32::try_from(dev.id()).ok().and_then(rustix::process::Pid::from_raw);
    rustix::process::kill_process(pid.context("no pid")?, rustix::process::Signal::INT)?;
    dev.wait()?;
    ready?;
    // The benchmark founds its own mesh with the same files, and more machines.
    for site in SITES {
        let site = directory.join("mesh").join(site);
        std::fs::remove_dir_all(site.join("coordinator"))?;
        let first = std::fs::read_to_string(site.join("core-1.toml"))? + RESOURCES;
        let authority =
            Authority::load(&site.join("authority.pem"), &site.join("authority-key.pem"))?;
        for number in 1..=MACHINES {
            let name = format!("core-{number}");
            let config = first.replace("core-1", &name);
            std::fs::write(site.join(format!("{name}.toml")), config)?;
            if site.join(&name).exists() {
                std::fs::remove_dir_all(site.join(&name))?;
            }
            let config = Config::load(&site.join(format!("{name}.toml")))?;
            let role: Role = format!("agent/{}", config.id).parse()?;
            let issued = authority.issue(role, &[], SystemClock.wall(), DAY)?;
            issued.store(&site, &name, Overwrite::Replace)?;
        }
    }
    Ok(())
}

/// Runs one machine's agent in this process.
fn run_machine(site: &Path, machine: &str, tasks: &Tasks) -> anyhow::Result<()> {
    let path: PathBuf = site.join(format!("{machine}.toml"));
    let config = Config::load(&path)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let credentials = Credentials::load(&config.ca, &config.certificate, &config.key)?;
    let transport: Arc<dyn Transport> =
        Arc::new(TlsTransport::new(credentials, Arc::clone(&clock))?);
    let daemon = Daemon::open(config)?;
    let engine = Arc::new(Idle::default());
    let running = daemon.run(engine, transport, clock, tasks.shutdown());
    tasks.spawn("machine", OnError::Log, running);
    Ok(())
}

/// An engine that says that everything runs.
#[derive(Default)]
struct Idle {
    statuses: Mutex<Statuses>,
    changed: tokio::sync::watch::Sender<()>,
}

impl Idle {
    fn change(
        &self,
        change: impl FnOnce(&mut std::collections::BTreeMap<InstanceId, InstanceStatus>),
    ) {
        let mut statuses = self.statuses.lock().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut statuses));
        self.changed.send_replace(());
    }
}

impl UnitEngine for Idle {
    fn start(
        &self,
        assignment: Assignment,
        _: Option<Duration>,
    ) -> BoxFuture<'_, Result<(), Error>> {
        let status = InstanceStatus {
            instance: assignment.instance.clone(),
            epoch: assignment.epoch,
            generation: assignment.generation,
            state: RunState::Running,
            since: Timestamp(0),
            restarts: 0,
            ports: std::collections::BTreeMap::new(),
            pid: None,
            detail: String::new(),
        };
        self.change(|all| drop(all.insert(assignment.instance, status)));
        Box::pin(async { Ok(()) })
    }

    fn stop(&self, instance: InstanceId, _: u64) -> BoxFuture<'_, Result<(), Error>> {
        self.change(|all| drop(all.remove(&instance)));
        Box::pin(async { Ok(()) })
    }

    fn extend(
        &self,
        _: InstanceId,
        _: u64,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<Duration, Error>> {
        Box::pin(async move { Ok(deadline) })
    }

    fn remove(&self, instance: InstanceId) -> BoxFuture<'_, Result<(), Error>> {
        self.change(|all| drop(all.remove(&instance)));
        Box::pin(async { Ok(()) })
    }

    fn current(&self) -> Statuses {
        Arc::clone(&self.statuses.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn statuses(&self) -> BoxStream<'static, Statuses> {
        let changes = self.changed.subscribe();
        let changes = futures_util::stream::unfold(changes, |mut changes| async {
            changes.changed().await.ok()?;
            Some((Statuses::default(), changes))
        });
        Box::pin(changes)
    }

    fn log(
        &self,
        instance: InstanceId,
        _: bool,
        _: usize,
    ) -> BoxFuture<'_, Result<BoxStream<'static, LogLine>, Error>> {
        Box::pin(async { Err(Error::NotRunning(instance)) })
    }
}
