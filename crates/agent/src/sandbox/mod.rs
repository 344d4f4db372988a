//! The unit engine of a sandbox cell: instances as processes of this host, each under a [shim](crate::shim).
//!
//! Everything that it knows is in its directory and in the shims: an agent that is killed and started again finds
//! its running instances there, and starts no second copies. It never starts anything by itself, not even what ran
//! before: what is to run, and for a singleton until when, is for the coordinator to say anew.

mod home;
mod keeper;
mod launch;
mod log;
mod orphans;
mod ports;
mod request;
pub mod verdict;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{File, TryLockError};
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use kato_core::{DatacenterName, INSTANCES_PER_MACHINE_MAX, InstanceId};
use kato_net::clock::Clock;
use kato_net::task::{OnError, TaskError, Tasks};
use kato_units::engine::{
    self, Assignment, BoxFuture, BoxStream, InstanceStatus, LogLine, Statuses, UnitEngine,
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_stream::wrappers::WatchStream;

use self::home::Home;
use self::keeper::Keeper;
use self::ports::Ports;
use self::request::Request;
use crate::shim::fingerprint;

/// The most lines that are read back of an instance's output.
pub const LOG_LINES_MAX: usize = 10_000;
/// The size at which an instance's output is rotated, unless configured otherwise.
pub const OUTPUT_BYTES_MAX: u64 = 10 * 1024 * 1024;
/// The host ports that instances are given, unless configured otherwise: below those that Linux gives to outgoing
/// connections (32768 and up).
pub const PORTS: RangeInclusive<u16> = 20_000..=29_999;

/// How many requests may wait for one instance.
const REQUESTS_MAX: usize = 32;

/// Why a sandbox cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another agent has it open.
    #[error("another agent uses {}", .0.display())]
    Busy(PathBuf),
    /// The disk refused something.
    #[error("could not {action} {}", .path.display())]
    Io {
        /// What was about to be done.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why it could not.
        source: io::Error,
    },
}

/// Where a sandbox is and what its instances are told.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it keeps its instances.
    pub directory: PathBuf,
    /// What starts a shim, to which `--directory DIR` is added. None: this same binary, with `shim`.
    pub shim_command: Option<Vec<OsString>>,
    /// `KATO_DATACENTER`.
    pub datacenter: DatacenterName,
    /// The machine's name, `%H`.
    pub host: String,
    /// The host ports that it hands out.
    pub ports: RangeInclusive<u16>,
    /// The size at which an instance's output is rotated, in bytes; twice as much is kept.
    pub output_bytes_max: u64,
}

impl Config {
    /// A sandbox in `directory` with everything else by default.
    pub fn new(
        directory: impl Into<PathBuf>,
        datacenter: DatacenterName,
        host: impl Into<String>,
    ) -> Self {
        Self {
            directory: directory.into(),
            shim_command: None,
            datacenter,
            host: host.into(),
            ports: PORTS,
            output_bytes_max: OUTPUT_BYTES_MAX,
        }
    }
}

/// The engine. Dropping it leaves its instances running.
pub struct Sandbox {
    shared: Arc<Shared>,
    keepers: Mutex<BTreeMap<InstanceId, mpsc::Sender<Request>>>,
    tasks: Tasks,
    /// Held for as long as it is open. Last, so that nothing acts on the directory any more when it goes.
    _lock: Lock,
}

/// The lock on a sandbox's directory.
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing it is not enough: a process that another thread has just forked holds it until its exec.
        let _ = self.0.unlock();
    }
}

/// What the keepers of all instances share.
struct Shared {
    config: Config,
    shim_command: Vec<OsString>,
    clock: Arc<dyn Clock>,
    ports: Ports,
    statuses: watch::Sender<Statuses>,
}

impl Sandbox {
    /// Opens the sandbox, and finds what runs in it: all that an earlier agent recorded is shown when this returns,
    /// whether its shim could be reached or not. Must be called within a tokio runtime.
    pub async fn open(mut config: Config, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let instances = config.directory.join("instances");
        create(&instances)?;
        // One name for each directory: processes are recognised by it.
        config.directory = std::fs::canonicalize(&config.directory)
            .map_err(failed("resolve", &config.directory))?;
        let instances = config.directory.join("instances");
        let lock = lock(&config.directory)?;
        orphans::end(&instances).await.map_err(failed("end what was left in", &instances))?;
        let shim_command = if let Some(command) = &config.shim_command {
            command.clone()
        } else {
            let own = std::env::current_exe();
            let own =
                own.map_err(failed("find the program behind", Path::new("/proc/self/exe")))?;
            vec![own.into_os_string(), OsString::from("shim")]
        };
        let ports = Ports::new(config.ports.clone(), fingerprint(&config.directory));
        let statuses = watch::Sender::new(Statuses::default());
        let shared = Arc::new(Shared { config, shim_command, clock, ports, statuses });
        let sandbox = Self { shared, keepers: Mutex::default(), tasks: Tasks::new(), _lock: lock };
        for entry in std::fs::read_dir(&instances).map_err(failed("list", &instances))? {
            let path = entry.map_err(failed("list", &instances))?.path();
            let instance = path.file_name().and_then(|name| name.to_str()?.parse().ok());
            if let Some(instance) = instance {
                sandbox.find(instance, path).await?;
            }
        }
        Ok(sandbox)
    }

    /// Stops following the instances, which go on running.
    pub async fn close(self) -> Result<(), TaskError> {
        self.tasks.shutdown().cancel();
        self.tasks.join(Duration::from_secs(5)).await
    }

    /// Takes over an instance that an earlier agent left.
    async fn find(&self, instance: InstanceId, path: PathBuf) -> Result<(), Error> {
        let mut keeper = Keeper::new(instance.clone(), Arc::clone(&self.shared));
        keeper.settle().await.map_err(failed("take over", &path))?;
        self.keep(&mut self.keepers(), instance, keeper);
        Ok(())
    }

    fn keepers(&self) -> MutexGuard<'_, BTreeMap<InstanceId, mpsc::Sender<Request>>> {
        self.keepers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(
        &self,
        keepers: &mut BTreeMap<InstanceId, mpsc::Sender<Request>>,
        instance: InstanceId,
        keeper: Keeper,
    ) -> mpsc::Sender<Request> {
        let (sender, requests) = mpsc::channel(REQUESTS_MAX);
        let shutdown = self.tasks.shutdown();
        self.tasks.spawn("keeper", OnError::Log, keeper.run(requests, shutdown));
        keepers.insert(instance, sender.clone());
        sender
    }

    /// Who looks after an instance; for one that is not known somebody new if `create`.
    fn keeper(
        &self,
        instance: &InstanceId,
        create: bool,
    ) -> Result<Option<mpsc::Sender<Request>>, engine::Error> {
        let mut keepers = self.keepers();
        keepers.retain(|_, keeper| !keeper.is_closed());
        if let Some(keeper) = keepers.get(instance) {
            return Ok(Some(keeper.clone()));
        }
        if !create {
            return Ok(None);
        }
        if keepers.len() >= INSTANCES_PER_MACHINE_MAX {
            return Err(engine::Error::Full(INSTANCES_PER_MACHINE_MAX));
        }
        let keeper = Keeper::new(instance.clone(), Arc::clone(&self.shared));
        Ok(Some(self.keep(&mut keepers, instance.clone(), keeper)))
    }

    async fn ask<T>(
        keeper: mpsc::Sender<Request>,
        request: impl FnOnce(oneshot::Sender<Result<T, engine::Error>>) -> Request,
    ) -> Result<T, engine::Error> {
        let (reply, answer) = oneshot::channel();
        keeper.send(request(reply)).await.map_err(|_| engine::Error::Closed)?;
        answer.await.unwrap_or(Err(engine::Error::Closed))
    }
}

impl UnitEngine for Sandbox {
    fn start(
        &self,
        assignment: Assignment,
        deadline: Option<Duration>,
    ) -> BoxFuture<'_, Result<(), engine::Error>> {
        Box::pin(async move {
            request::check(&assignment, deadline)?;
            let keeper = self.keeper(&assignment.instance, true)?.ok_or(engine::Error::Closed)?;
            Self::ask(keeper, |reply| Request::Start { assignment, deadline, reply }).await
        })
    }

    fn stop(&self, instance: InstanceId, epoch: u64) -> BoxFuture<'_, Result<(), engine::Error>> {
        Box::pin(async move {
            let Some(keeper) = self.keeper(&instance, false)? else { return Ok(()) };
            Self::ask(keeper, |reply| Request::Stop { epoch, reply }).await
        })
    }

    fn extend(
        &self,
        instance: InstanceId,
        epoch: u64,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<Duration, engine::Error>> {
        Box::pin(async move {
            let keeper = self.keeper(&instance, false)?;
            let keeper = keeper.ok_or(engine::Error::NotRunning(instance))?;
            Self::ask(keeper, |reply| Request::Extend { epoch, deadline, reply }).await
        })
    }

    fn remove(&self, instance: InstanceId) -> BoxFuture<'_, Result<(), engine::Error>> {
        Box::pin(async move {
            let Some(keeper) = self.keeper(&instance, false)? else { return Ok(()) };
            Self::ask(keeper, |reply| Request::Remove { reply }).await
        })
    }

    fn current(&self) -> Statuses {
        self.shared.statuses.borrow().clone()
    }

    fn statuses(&self) -> BoxStream<'static, Statuses> {
        WatchStream::new(self.shared.statuses.subscribe()).boxed()
    }

    fn log(
        &self,
        instance: InstanceId,
        follow: bool,
        lines: usize,
    ) -> BoxFuture<'_, Result<BoxStream<'static, LogLine>, engine::Error>> {
        Box::pin(async move {
            let home = Home::new(&self.shared.config.directory, &instance);
            log::read(home, follow, lines.min(LOG_LINES_MAX)).await.map_err(|source| {
                if source.kind() == io::ErrorKind::NotFound {
                    return engine::Error::NotRunning(instance);
                }
                let source = source.into();
                engine::Error::Engine { action: "read the output of", instance, source }
            })
        })
    }
}

impl Shared {
    fn publish(&self, status: InstanceStatus) {
        self.statuses.send_modify(|statuses| {
            Arc::make_mut(statuses).insert(status.instance.clone(), status);
        });
    }

    fn forget(&self, instance: &InstanceId) {
        self.ports.release(instance);
        self.statuses.send_modify(|statuses| {
            Arc::make_mut(statuses).remove(instance);
        });
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { action, path, source }
}

/// Makes the directory, for its owner only: who can reach a shim's socket can stop its unit.
fn create(instances: &Path) -> Result<(), Error> {
    use std::os::unix::fs::DirBuilderExt as _;
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(instances).map_err(failed("create", instances))
}

fn lock(directory: &Path) -> Result<Lock, Error> {
    let path = directory.join("agent.lock");
    let opened = File::options().create(true).truncate(false).write(true).open(&path);
    let lock = opened.map_err(failed("open", &path))?;
    match lock.try_lock() {
        Ok(()) => Ok(Lock(lock)),
        Err(TryLockError::WouldBlock) => Err(Error::Busy(directory.to_owned())),
        Err(TryLockError::Error(error)) => Err(failed("lock", &path)(error)),
    }
}
