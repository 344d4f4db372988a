//! Starting processes and learning of their ends. The shim is the subreaper of everything below it, so it must
//! reap what it did not start as well; one place does both, and a process's end cannot be taken by the wrong one.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kato_net::task::{OnError, Tasks};
use kato_units::engine::LogSource;
use rustix::process::{WaitOptions, wait};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::output::Output;
use super::restart::Exit;
use crate::exec::Setup;

/// The longest report of a command that could not be executed, in bytes.
const REPORT_BYTES_MAX: u64 = 4 * 1024;

/// The processes below this one.
#[derive(Debug, Clone)]
pub(super) struct Children {
    awaited: Arc<Mutex<BTreeMap<i32, oneshot::Sender<Exit>>>>,
    /// Changes whenever processes have ended.
    reaped: watch::Sender<()>,
}

/// A process that was started.
#[derive(Debug)]
pub(super) struct Child {
    pub(super) pid: i32,
    exit: oneshot::Receiver<Exit>,
    ended: Option<Exit>,
    report: pipe::Receiver,
}

/// What to execute.
#[derive(Debug)]
pub(super) struct Program<'a> {
    pub(super) path: &'a Path,
    pub(super) argv: &'a [String],
    pub(super) environment: &'a BTreeMap<String, String>,
    pub(super) setup: &'a Setup,
}

impl Children {
    /// Reaps from now on, within `tasks`.
    pub(super) fn reap(tasks: &Tasks) -> io::Result<Self> {
        let children = Self { awaited: Arc::default(), reaped: watch::Sender::new(()) };
        let ended = signal(SignalKind::child())?;
        tasks.spawn("reaper", OnError::Stop, children.clone().reaper(ended, tasks.shutdown()));
        Ok(children)
    }

    /// Changes whenever processes have ended.
    pub(super) fn ends(&self) -> watch::Receiver<()> {
        self.reaped.subscribe()
    }

    /// Starts a program by way of `exec-unit`, and sends its output to `output`.
    pub(super) fn spawn(
        &self,
        program: &Program<'_>,
        output: &Arc<Output>,
        tasks: &Tasks,
    ) -> io::Result<Child> {
        let (report, reporter) = io::pipe()?;
        let setup = serde_json::to_string(program.setup)?;
        let [zeroth, rest @ ..] = program.argv else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a command without a name"));
        };
        // Not the path of the binary, where another version may be by now.
        let mut command = Command::new("/proc/self/exe");
        command.arg0("kato").args(["exec-unit", &setup]).arg(program.path).arg(zeroth).args(rest);
        command.env_clear().envs(program.environment);
        command.stdin(Stdio::from(reporter)).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn()?;
        // Nothing is awaited between the start and this, so the reaper cannot have come first.
        let pid = i32::try_from(process.id()).map_err(io::Error::other)?;
        let (ended, exit) = oneshot::channel();
        self.awaited().insert(pid, ended);
        let pipes = [
            (LogSource::Stdout, process.stdout.take().map(OwnedFd::from)),
            (LogSource::Stderr, process.stderr.take().map(OwnedFd::from)),
        ];
        for (source, pipe) in pipes {
            if let Some(pipe) = pipe {
                let pipe = pipe::Receiver::from_owned_fd(pipe)?;
                let capture = Arc::clone(output).capture(source, pipe);
                let shutdown = tasks.shutdown();
                tasks.spawn("output", OnError::Log, async move {
                    shutdown.run_until_cancelled(capture).await.unwrap_or(Ok(()))
                });
            }
        }
        Ok(Child { pid, exit, ended: None, report: pipe::Receiver::from_owned_fd(report.into())? })
    }

    fn awaited(&self) -> MutexGuard<'_, BTreeMap<i32, oneshot::Sender<Exit>>> {
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn reaper(self, mut ended: Signal, shutdown: CancellationToken) -> io::Result<()> {
        while let Some(Some(())) = shutdown.run_until_cancelled(ended.recv()).await {
            // Several ends may come as one signal.
            while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
                let exit = match (status.exit_status(), status.terminating_signal()) {
                    (Some(code), _) => Exit::Code(code),
                    (None, Some(signal)) => Exit::Signal(signal),
                    (None, None) => continue,
                };
                if let Some(awaited) = self.awaited().remove(&pid.as_raw_pid()) {
                    let _ = awaited.send(exit);
                }
            }
            self.reaped.send_replace(());
        }
        Ok(())
    }
}

impl Child {
    /// Waits until the program is executed, or says why it was not.
    pub(super) async fn begun(&mut self) -> Result<(), String> {
        let mut report = String::new();
        let read = (&mut self.report).take(REPORT_BYTES_MAX).read_to_string(&mut report).await;
        match read {
            Ok(0) => Ok(()),
            Ok(_) => Err(report),
            Err(error) => Err(format!("its start was not reported: {error}")),
        }
    }

    /// Waits for its end. Cancel-safe.
    pub(super) async fn exit(&mut self) -> Exit {
        if let Some(exit) = self.ended {
            return exit;
        }
        let Ok(exit) = (&mut self.exit).await else {
            // The reaper ends only with the shim.
            return std::future::pending().await;
        };
        self.ended = Some(exit);
        exit
    }
}
