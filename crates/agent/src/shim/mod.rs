//! The process around one instance, `kato shim --directory DIR`.
//!
//! It belongs to no agent: it leads a session of its own, ignores a hang-up, and goes on when the agent dies. It
//! lives exactly as long as its unit has something to run, and leaves its last status behind.

mod cgroup;
mod child;
mod command;
mod guard;
pub(crate) mod output;
mod publish;
mod restart;
mod run;
mod socket;
mod supervise;
pub(crate) mod warden;

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub(crate) use cgroup::{Cgroup, fingerprint};
pub use guard::KILL_MARGIN;
use kato_net::clock::{Clock, SystemClock};
use kato_net::task::{OnError, TaskError, Tasks};
use kato_units::engine::RunState;
use rustix::process::Signal;
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use self::child::Children;
use self::guard::{Guard, Interrupt, Killer, raise};
use self::output::Output;
use self::publish::Publisher;
use self::restart::Exit;
use self::run::Runner;
use self::socket::Socket;
use self::supervise::Supervisor;
use crate::record::{self, ASSIGNMENT, Assigned, End, LOCK, Recorded, SOCKET, STATUS};

/// How long the shim's own tasks have to end once its unit has: clients read the last status in it.
const FAREWELL: Duration = Duration::from_secs(2);

/// Why a shim could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel or the disk refused something that it cannot do without.
    #[error("the shim could not {0}")]
    Io(&'static str, #[source] io::Error),
    /// The engine has written no assignment.
    #[error("there is no assignment in {0}")]
    NoAssignment(PathBuf),
    /// The directory has a shim.
    #[error("another shim runs in {0}")]
    Taken(PathBuf),
    /// A task of its own failed.
    #[error("a task of the shim failed")]
    Task(#[from] TaskError),
}

/// Maps an error of the system to what was about to be done.
fn cannot(action: &'static str) -> impl FnOnce(io::Error) -> Error {
    move |error| Error::Io(action, error)
}

/// Runs the assignment in `directory` to its end. Must be called on the main thread of a process that does nothing
/// else: it changes the working directory, the session, and who inherits orphans.
pub fn run(directory: &Path) -> Result<(), Error> {
    let entered = Entered::at(directory)?;
    if entered.assigned.deadline_ms.is_some() {
        return warden::keep(&entered.lock).map_err(cannot("run its warden"));
    }
    entered.run()
}

/// The same for what is below a [`warden`] already, in its directory.
pub(crate) fn run_guarded(warden: &str) -> Result<(), Error> {
    warden::follow(warden).map_err(cannot("follow its warden"))?;
    Entered::at(Path::new("."))?.run()
}

/// A directory that this process owns.
struct Entered {
    directory: PathBuf,
    assigned: Assigned,
    lock: File,
}

impl Entered {
    fn at(directory: &Path) -> Result<Self, Error> {
        // The socket's path may be longer than the kernel takes; its name alone is not.
        std::env::set_current_dir(directory).map_err(cannot("enter its directory"))?;
        let directory = std::env::current_dir().map_err(cannot("find its directory"))?;
        let lock = own(&directory)?;
        // This fails only for a process that leads its group, which is then as alone as it should be.
        let _ = rustix::process::setsid();
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
            .map_err(|error| Error::Io("adopt orphans", error.into()))?;
        let assigned = record::read::<Assigned>(Path::new(ASSIGNMENT))
            .map_err(cannot("read its assignment"))?
            .ok_or_else(|| Error::NoAssignment(directory.clone()))?;
        Ok(Self { directory, assigned, lock })
    }

    fn run(self) -> Result<(), Error> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(cannot("start its runtime"))?;
        let ran = runtime.block_on(live(self.directory, self.assigned));
        // Not before there is nothing left to own.
        drop(self.lock);
        ran
    }
}

/// Whether a unit is started again whose shim was killed. To the unit that is what the death of its main process by
/// SIGKILL is, and its `Restart=` decides (systemd.service(5)).
pub(crate) fn restarts_when_killed(assigned: &Assigned, directory: &Path) -> bool {
    let killed = Exit::Signal(Signal::KILL.as_raw());
    command::service(assigned, directory)
        .is_ok_and(|service| killed.result(&service).restarts(service.restart))
}

/// Makes sure that no other shim owns the directory. The engine hands its lock over as standard input, so that
/// there is no moment at which nobody holds it.
fn own(directory: &Path) -> Result<File, Error> {
    let open = File::options().create(true).truncate(false).write(true).open(LOCK);
    let lock = open.map_err(cannot("open its lock"))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::Error(error)) => Err(Error::Io("take its lock", error)),
        Err(TryLockError::WouldBlock) => {
            let file = lock.metadata().map_err(cannot("look at its lock"))?;
            let handed = rustix::io::fcntl_dupfd_cloexec(io::stdin(), 3)
                .map_err(|error| Error::Io("look at its standard input", error.into()))?;
            let handed = File::from(handed);
            let given = handed.metadata().map_err(cannot("look at its standard input"))?;
            if (given.dev(), given.ino()) == (file.dev(), file.ino()) && handed.try_lock().is_ok() {
                return Ok(handed);
            }
            Err(Error::Taken(directory.to_owned()))
        }
    }
}

async fn live(directory: PathBuf, assigned: Assigned) -> Result<(), Error> {
    let tasks = Arc::new(Tasks::new());
    let children = Children::reap(&tasks).map_err(cannot("watch its children"))?;
    let output = Output::open(directory.clone(), assigned.output_bytes_max)
        .map_err(cannot("open the output"))?;
    let interrupt = watch::Sender::new(Interrupt::None);
    listen_for_signals(&tasks, &interrupt)?;
    let (cgroup, remark) = Cgroup::create(&directory, assigned.request());
    let killer = Killer { cgroup: cgroup.clone() };
    let guard = Guard::start(assigned.deadline(), killer.clone(), interrupt.clone())
        .map_err(cannot("guard its deadline"))?;

    let mut first = Recorded::starting(&assigned, SystemClock.wall());
    first.cgroup = cgroup.as_ref().map(|cgroup| cgroup.path().display().to_string());
    let mut publisher = Publisher::new(directory.join(STATUS), first);
    remark.into_iter().for_each(|remark| publisher.remark(remark));
    // A socket that a killed shim left behind is nobody's.
    let _ = std::fs::remove_file(SOCKET);
    let listener = UnixListener::bind(SOCKET).map_err(cannot("listen on its socket"))?;
    let socket = Socket {
        epoch: assigned.epoch,
        status: publisher.subscribe(),
        guard: guard.clone(),
        interrupt: interrupt.clone(),
        shutdown: tasks.shutdown(),
    };
    tasks.spawn("socket", OnError::Log, socket.serve(listener));

    if assigned.singleton && assigned.deadline_ms.is_none() {
        // The engine refuses it as well; this is where it would do harm.
        let detail = "a singleton does not start without a deadline";
        publisher.end(RunState::Fenced, End::Fenced, detail, &output);
        return farewell(tasks, cgroup).await;
    }
    match command::service(&assigned, &directory) {
        Err(findings) => {
            output.note(&format!("failed: {findings}"));
            publisher.end(RunState::Failed, End::Own, &findings, &output);
        }
        Ok(service) => {
            service.warnings.iter().for_each(|warning| output.note(&warning.to_string()));
            let environment = command::environment(&assigned, &service, &directory);
            let runner = Runner {
                directory: command::working_directory(&service, &environment, &directory),
                interrupt: interrupt.subscribe(),
                tasks: Arc::clone(&tasks),
                children,
                output,
                environment,
                killer,
            };
            Supervisor { service, runner, publisher, guard }.run().await;
        }
    }
    farewell(tasks, cgroup).await
}

/// Ends the shim's own tasks, once every client has heard the last status.
async fn farewell(tasks: Arc<Tasks>, cgroup: Option<Cgroup>) -> Result<(), Error> {
    if let Some(cgroup) = cgroup {
        cgroup.remove();
    }
    let _ = std::fs::remove_file(SOCKET);
    tasks.shutdown().cancel();
    match Arc::into_inner(tasks) {
        Some(tasks) => Ok(tasks.join(FAREWELL).await?),
        None => Ok(()),
    }
}

/// A hang-up is ignored; what else asks a process to end, stops the unit.
fn listen_for_signals(tasks: &Tasks, interrupt: &watch::Sender<Interrupt>) -> Result<(), Error> {
    let listen = |kind| signal(kind).map_err(cannot("listen for signals"));
    let mut hang_up = listen(SignalKind::hangup())?;
    let (mut terminate, mut interrupted) =
        (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    let interrupt = interrupt.clone();
    let shutdown = tasks.shutdown();
    tasks.spawn("signals", OnError::Log, async move {
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok::<(), io::Error>(()),
                _ = terminate.recv() => raise(&interrupt, Interrupt::Leave),
                _ = interrupted.recv() => raise(&interrupt, Interrupt::Leave),
                _ = hang_up.recv() => {}
            }
        }
    });
    Ok(())
}
