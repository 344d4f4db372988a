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
use rustix::process::{Pid, Signal, kill_process};
use tonic::transport::Channel;

use crate::delay::Delay;
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
    /// In front of each coordinator, where the network takes its time.
    _delays: Vec<Delay>,
    machines: Tasks,
}

impl Mesh {
    /// Lets `kato dev` write certificates and configurations, then runs the coordinators alone.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        Self::start_with(MACHINES, Duration::ZERO).await
    }

    /// The coordinators alone, that far from each other.
    pub(crate) async fn without_machines(round_trip: Duration) -> anyhow::Result<Self> {
        Self::start_with(0, round_trip).await
    }

    async fn start_with(count: usize, round_trip: Duration) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        write_files(directory.path()).await?;
        let root = directory.path().join("mesh");
        let delays = put_apart(&root, round_trip).await?;
        let (coordinators, machines) = (Vec::new(), Tasks::new());
        let mut mesh = Self { directory, coordinators, machines, _delays: delays };
        for site in SITES {
            mesh.coordinators.push(mesh.coordinator(site)?);
            for number in 1..=count {
                run_machine(&root.join(site), &format!("core-{number}"), &mesh.machines)?;
            }
        }
        for site in 0..SITES.len() {
            mesh.wait(site, count).await?;
        }
        Ok(mesh)
    }

    fn coordinator(&self, site: &str) -> anyhow::Result<Child> {
        let config = self.directory().join(format!("{site}.toml"));
        Ok(kato()?.arg("coordinator").arg("--config").arg(config).spawn()?)
    }

    /// Waits until a coordinator hears a majority, and all machines have joined.
    async fn wait(&self, site: usize, machines: usize) -> anyhow::Result<()> {
        let mut client = ClusterClient::new(self.channel(site)?);
        until("the mesh was not ready", async || {
            let asked = client.get_status(pb::GetStatusRequest::default()).await;
            let joined = SITES.len() * machines;
            let ready = |status: &pb::GetStatusResponse| {
                status.machines as usize >= joined && status.members.iter().all(|m| m.heard)
            };
            Ok(asked.is_ok_and(|status| ready(status.get_ref())))
        })
        .await
    }

    /// Which coordinator leads, as one of them knows at once.
    pub(crate) async fn leader(&self, asked: &Channel) -> anyhow::Result<Option<usize>> {
        let consistency = pb::Consistency::Stale.into();
        let request = pb::GetStatusRequest { consistency, losses: false };
        let status = ClusterClient::new(asked.clone()).get_status(request).await?.into_inner();
        Ok(SITES.iter().position(|site| *site == status.leader))
    }

    /// Ends a coordinator without a warning, or asks it to stop.
    pub(crate) fn end(&self, site: usize, signal: Signal) -> anyhow::Result<()> {
        let pid = i32::try_from(self.coordinators[site].id()).ok().and_then(Pid::from_raw);
        Ok(kill_process(pid.context("no pid")?, signal)?)
    }

    /// Starts a coordinator again that was ended, and waits until it takes part.
    pub(crate) async fn restart(&mut self, site: usize) -> anyhow::Result<()> {
        self.coordinators[site].wait()?;
        self.coordinators[site] = self.coordinator(SITES[site])?;
        self.wait(site, 0).await
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
    let pid = i32::try_from(dev.id()).ok().and_then(Pid::from_raw);
    kill_process(pid.context("no pid")?, Signal::INT)?;
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

/// Puts so long a way between the coordinators, and tells them of it. Clients are beside theirs.
async fn put_apart(root: &Path, round_trip: Duration) -> anyhow::Result<Vec<Delay>> {
    if round_trip.is_zero() {
        return Ok(Vec::new());
    }
    let ports = std::fs::read_to_string(root.join("ports"))?;
    let mut delays = Vec::new();
    for port in ports.split_whitespace().take(SITES.len()) {
        let delay = Delay::start(format!("127.0.0.1:{port}"), round_trip / 2).await?;
        delays.push((format!("address = \"127.0.0.1:{port}\""), delay));
    }
    for site in SITES {
        let path = root.join(format!("{site}.toml"));
        let mut config = std::fs::read_to_string(&path)?;
        for (address, delay) in &delays {
            let far = format!("address = \"127.0.0.1:{}\"", delay.port());
            anyhow::ensure!(config.contains(address), "{site} knows no {address}");
            config = config.replace(address, &far);
        }
        let apart = format!("rtt_ms_max = {}", round_trip.as_millis());
        std::fs::write(path, config.replace("rtt_ms_max = 5", &apart))?;
    }
    Ok(delays.into_iter().map(|(_, delay)| delay).collect())
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
