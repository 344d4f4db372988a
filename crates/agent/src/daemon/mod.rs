//! The agent's daemon: keeps one stream to the coordinator that serves it, makes the machine run what it was assigned, and
//! says how that goes. When that coordinator is gone it asks its neighbours to stand in; everything that runs goes on running
//! meanwhile, singletons past their lease excepted.

mod attach;
mod config;
mod durable;
mod failures;
#[cfg(test)]
mod fake;
mod incarnation;
mod knock;
mod lease;
mod logs;
#[cfg(test)]
#[path = "../../tests/process/pipes.rs"]
mod pipes;
mod reconcile;
mod served;
mod wire;

use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kato_core::MachineSpec;
use kato_net::Transport;
use kato_net::clock::Clock;
use kato_net::task::{OnError, TaskError, Tasks};
use kato_units::engine::UnitEngine;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use config::{Config, ConfigError};
use failures::Failures;
use lease::Grants;
use served::{Coordinator, Served};
use wire::Wanted;

/// How long tasks have to end.
const SHUTDOWN: Duration = Duration::from_secs(5);
/// What keeps a second agent from the same directory.
const LOCK: &str = "agent.lock";

/// Why an agent does not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data directory cannot be used.
    #[error("cannot use the data directory {}", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another agent uses the data directory.
    #[error("another agent runs in {}", .0.display())]
    InUse(PathBuf),
    /// A part of it failed.
    #[error("the agent stopped")]
    Stopped(#[from] TaskError),
}

/// The agent of one machine, before it runs.
pub struct Daemon {
    config: Config,
    _lock: File,
}

/// What the daemon's tasks share.
#[derive(Clone)]
struct Shared {
    engine: Arc<dyn UnitEngine>,
    clock: Arc<dyn Clock>,
    /// What the coordinator wants, once it has said so.
    wanted: Arc<watch::Sender<Option<Arc<Wanted>>>>,
    /// The revision of what it wants, once nothing else runs or may start here; 0 while something does. Another
    /// machine may start a singleton on the strength of it. Only the reconcile loop, which starts everything, sets it.
    settled: Arc<watch::Sender<u64>>,
    grants: Grants,
    /// Who serves this machine.
    served: Served,
    /// What the engine could not start.
    failures: Failures,
    machine: Arc<MachineSpec>,
}

impl Daemon {
    /// Claims the data directory.
    pub fn open(config: Config) -> Result<Self, Error> {
        let path = config.data_dir.clone();
        let failed = |source| Error::Directory { path: path.clone(), source };
        std::fs::create_dir_all(&path).map_err(failed)?;
        let lock = File::create(path.join(LOCK)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Err(Error::InUse(path)),
            Err(std::fs::TryLockError::Error(source)) => return Err(failed(source)),
        }
        Ok(Self { config, _lock: lock })
    }

    /// Numbers this start, and runs until `shutdown`.
    pub async fn run(
        self,
        engine: Arc<dyn UnitEngine>,
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
        shutdown: CancellationToken,
    ) -> Result<(), Error> {
        let path = &self.config.data_dir;
        let failed = |source| Error::Directory { path: path.clone(), source };
        let incarnation = incarnation::next(path, clock.wall()).map_err(failed)?;
        let machine = Arc::new(self.config.machine(incarnation));
        let home = Coordinator::new(&machine.id, self.config.coordinator.clone());
        let served = Served::load(path, home);
        let shared = Shared {
            engine,
            clock,
            wanted: Arc::new(watch::Sender::new(None)),
            settled: Arc::default(),
            grants: Grants::new(incarnation),
            served,
            failures: Failures::default(),
            machine,
        };
        let tasks = Tasks::new();
        let attaching = attach::run(shared.clone(), Arc::clone(&transport), tasks.shutdown());
        tasks.spawn("attach", OnError::Stop, never_fails(attaching));
        let knocking = knock::run(shared.clone(), transport, tasks.shutdown());
        tasks.spawn("knock", OnError::Stop, never_fails(knocking));
        let reconciling = reconcile::run(shared, tasks.shutdown());
        tasks.spawn("reconcile", OnError::Stop, never_fails(reconciling));
        let stop = tasks.shutdown();
        tokio::select! {
            biased;
            () = shutdown.cancelled() => stop.cancel(),
            () = stop.cancelled() => {}
        }
        Ok(tasks.join(SHUTDOWN).await?)
    }
}

async fn never_fails(work: impl Future<Output = ()>) -> Result<(), Infallible> {
    work.await;
    Ok(())
}
