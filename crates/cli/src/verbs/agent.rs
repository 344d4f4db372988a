//! `kato agent`: runs one machine's agent until it is told to stop. What it started goes on without it.

use std::path::PathBuf;
use std::sync::Arc;

use kato_agent::daemon::{Config, Daemon};
use kato_agent::sandbox;
use kato_net::Transport;
use kato_net::clock::{Clock, SystemClock};
use kato_net::tls::{Credentials, TlsTransport};
use tokio_util::sync::CancellationToken;

use super::signals::Signals;
use crate::failure::Exit;
use crate::logging;

/// Run the agent of one machine
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Its configuration, in TOML; docs/install.md describes it
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Exit> {
    logging::start();
    let config = Config::load(&args.config)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(serve(config))?;
    Ok(Exit::Done)
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let signals = Signals::listen()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let credentials = Credentials::load(&config.ca, &config.certificate, &config.key)?;
    let transport: Arc<dyn Transport> =
        Arc::new(TlsTransport::new(credentials, Arc::clone(&clock))?);
    let datacenter = config.id.cell.datacenter.clone();
    let host = config.id.machine.to_string();
    let mut engine = sandbox::Config::new(config.data_dir.join("sandbox"), datacenter, host);
    engine.ports = config.ports.clone();
    let daemon = Daemon::open(config)?;
    let engine = Arc::new(sandbox::Sandbox::open(engine, Arc::clone(&clock)).await?);
    let shutdown = CancellationToken::new();
    signals.stop(shutdown.clone(), daemon.run(engine, transport, clock, shutdown)).await
}
