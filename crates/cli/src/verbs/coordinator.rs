//! `kato coordinator`: runs one datacenter's coordinator until it is told to stop.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use kato_coordinator::{Config, Coordinator, History, KeyPair, SandboxConfig, World};
use kato_core::{MachineId, Timestamp};
use kato_net::clock::{Clock, SystemClock};
use kato_net::pki::{Authority, Overwrite};
use kato_net::tls::{Credentials, TlsTransport};
use kato_net::{Role, Transport};
use kato_placement::Catalogue;
use kato_placement::catalogue::Defaults;
use kato_provision::sandbox::{self, Sandbox};
use kato_provision::{Create, Provider};
use kato_raft::{DirDisk, Flush};

use super::signals::Signals;
use crate::failure::Exit;
use crate::logging;

/// Log entries between two snapshots.
const SNAPSHOT_EVERY: u64 = 5_000;
/// How long an agent's certificate of the sandbox lasts.
const AGENT_DAYS: u64 = 90;

/// Run the coordinator of one datacenter
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Its configuration, in TOML; docs/install.md describes it
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Exit> {
    logging::start();
    let config = Config::load(&args.config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(config))?;
    Ok(Exit::Done)
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let signals = Signals::listen()?;
    let world = world(&config)?;
    let coordinator = Coordinator::start(config, world).await?;
    tracing::info!(address = %coordinator.address(), "the coordinator serves");
    signals.stop(coordinator.shutdown(), coordinator.join()).await
}

/// Opens what the configuration names.
fn world(config: &Config) -> anyhow::Result<World> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let tls = &config.tls;
    let credentials = Credentials::load(&tls.ca, &tls.certificate, &tls.key)?;
    let transport = TlsTransport::new(credentials, Arc::clone(&clock))?;
    let directory = config.data_dir.join("raft");
    let disk = DirDisk::open(&directory)
        .with_context(|| format!("cannot use the data directory {}", directory.display()))?;
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).context("the system gives no random numbers")?;
    Ok(World {
        transport: Arc::new(transport) as Arc<dyn Transport>,
        clock,
        disk: Arc::new(disk),
        provider: provider(config)?,
        catalogue: catalogue(config.catalog.as_deref(), config.catalog_in_part)?,
        history: history(config),
        flush: Flush::Thread,
        snapshot_every: SNAPSHOT_EVERY,
        knows: kato_core::version::NEWEST,
        seed: u64::from_le_bytes(seed),
    })
}

/// The catalogue in a file, or the built-in one; without the lines that are wrong, if that will do.
pub(super) fn catalogue(path: Option<&Path>, in_part: bool) -> anyhow::Result<Catalogue> {
    let Some(path) = path else { return Ok(Catalogue::builtin()) };
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the catalogue {}", path.display()))?;
    let read = std::fs::metadata(path)?.modified()?;
    let priced_at = read.duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_millis();
    let defaults = Defaults {
        provider: "ec2".parse()?,
        priced_at: Timestamp(u64::try_from(priced_at).unwrap_or_default()),
        source: path.display().to_string(),
    };
    let wrong = || format!("the catalogue {} is wrong", path.display());
    if !in_part {
        return Catalogue::parse_csv(&text, &defaults).with_context(wrong);
    }
    let (catalogue, skipped) =
        Catalogue::parse_csv_in_part(&text, &defaults).with_context(wrong)?;
    if let Some(first) = skipped.first() {
        let (path, lines) = (path.display(), skipped.len());
        tracing::warn!(%path, lines, %first, "lines of the catalogue were left out");
    }
    Ok(catalogue)
}

/// Where decisions are kept. A coordinator does without it rather than not to run.
fn history(config: &Config) -> Option<History> {
    History::open(&config.data_dir.join("decisions.redb"))
        .inspect_err(|error| tracing::error!(%error, "`explain --at` will know nothing"))
        .ok()
}

/// The sandbox, if machines are bought from it.
fn provider(config: &Config) -> anyhow::Result<Option<Arc<dyn Provider>>> {
    let Some(SandboxConfig { first_port }) = config.sandbox else { return Ok(None) };
    let pair = config.authority.clone();
    let pair =
        pair.context("[sandbox] needs an [authority] that signs its machines' certificates")?;
    let (coordinator, ca) =
        (config.datacenter.address.clone(), std::path::absolute(&config.tls.ca)?);
    let configure = move |wanted: &Create, directory: &Path, ports| {
        let agent = agent(wanted, directory, ports, &coordinator, &ca);
        agent.to_toml().map_err(|error| format!("{:#}", anyhow::Error::from(error)))
    };
    let sandbox = Sandbox {
        directory: config.data_dir.join("machines"),
        program: std::env::current_exe()?,
        first_port,
        enroll: Box::new(move |machine, directory| enroll(&pair, machine, directory)),
        configure: Box::new(configure),
        agents: kato_provision::sandbox::Agents::default(),
    };
    sandbox.start_all().context("cannot start the sandbox's machines")?;
    Ok(Some(Arc::new(sandbox)))
}

/// What the agent of a machine of the sandbox is told.
fn agent(
    wanted: &Create,
    directory: &Path,
    ports: RangeInclusive<u16>,
    coordinator: &str,
    ca: &Path,
) -> kato_agent::daemon::Config {
    kato_agent::daemon::Config {
        id: wanted.machine.clone(),
        coordinator: coordinator.to_owned(),
        data_dir: directory.join(sandbox::DATA),
        address: "127.0.0.1".to_owned(),
        ports,
        ca: ca.to_owned(),
        certificate: directory.join("agent.pem"),
        key: directory.join("agent-key.pem"),
        offer: Arc::clone(&wanted.offer),
        resources: wanted.offer.capacity,
        order: Some(wanted.token.order),
    }
}

/// Writes a machine's certificate.
fn enroll(pair: &KeyPair, machine: &MachineId, directory: &Path) -> Result<(), String> {
    let issue = || -> anyhow::Result<()> {
        let authority = Authority::load(&pair.certificate, &pair.key)?;
        let validity = std::time::Duration::from_secs(AGENT_DAYS * 24 * 3600);
        let issued =
            authority.issue(Role::Agent(machine.clone()), &[], SystemClock.wall(), validity)?;
        issued.store(directory, "agent", Overwrite::Replace)?;
        Ok(())
    };
    issue().map_err(|error| format!("{error:#}"))
}
