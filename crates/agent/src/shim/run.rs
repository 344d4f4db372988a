//! Running one command after another, each with its time limit, and getting rid of what they leave behind.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kato_net::task::Tasks;
use kato_units::{Exec, Service};
use rustix::process::{Signal, getpid};
use tokio::sync::watch;

use super::child::{Child, Children, Program};
use super::command;
use super::guard::{Interrupt, Killer};
use super::output::Output;
use super::restart::{Exit, Result as Outcome};
use crate::exec::{EXIT_EXEC, Setup};

/// Why the commands of a unit did not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Break {
    /// One of them failed.
    Failed(Outcome, String),
    /// The unit is to stop, or its deadline came.
    Interrupted,
}

/// Runs the commands of one unit.
#[derive(Debug)]
pub(super) struct Runner {
    pub(super) children: Children,
    pub(super) output: Arc<Output>,
    pub(super) tasks: Arc<Tasks>,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) directory: (PathBuf, bool),
    pub(super) killer: Killer,
    pub(super) interrupt: watch::Receiver<Interrupt>,
}

/// A command of the unit and where it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) key: &'static str,
    pub(super) exec: &'a Exec,
}

impl Line<'_> {
    /// `what` said of this command, with its place in the unit file.
    pub(super) fn say(self, what: &str) -> String {
        format!("{}= on line {}: {what}", self.key, self.exec.line)
    }

    pub(super) fn ended(self, exit: Exit) -> String {
        let program = &self.exec.program;
        self.say(&match exit {
            Exit::Code(code) => format!("{program} ended with status {code}"),
            Exit::Signal(signal) => format!("{program} was killed by {}", signal_name(signal)),
        })
    }
}

impl Runner {
    /// Waits until the interrupt is at least `level`.
    pub(super) async fn interrupted(&self, level: Interrupt) {
        if self.interrupt.clone().wait_for(|current| *current >= level).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    pub(super) fn is_interrupted(&self, level: Interrupt) -> bool {
        *self.interrupt.borrow() >= level
    }

    /// Starts a command, with variables of its own beside the unit's.
    pub(super) fn start(&self, line: Line<'_>, own: &[(&str, String)]) -> Result<Child, Break> {
        // The guard kills whatever starts after this was asked, too; this only saves it the work.
        if self.is_interrupted(Interrupt::Fence) {
            return Err(Break::Interrupted);
        }
        let failed = |what: String| Break::Failed(Outcome::ExitCode, line.say(&what));
        let mut environment = self.environment.clone();
        environment.extend(own.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        let path = command::find_program(&line.exec.program, &environment).map_err(failed)?;
        let setup = Setup {
            parent: getpid().as_raw_pid(),
            directory: self.directory.0.clone(),
            directory_missing_ok: self.directory.1,
            cgroup: self.killer.cgroup.as_ref().map(|cgroup| cgroup.path().to_owned()),
        };
        let argv = line.exec.argv(&environment);
        let program =
            Program { path: &path, argv: &argv, environment: &environment, setup: &setup };
        self.children
            .spawn(&program, &self.output, &self.tasks)
            .map_err(|error| failed(format!("{} could not be started: {error}", path.display())))
    }

    /// Runs commands one after another to their ends, each within `limit`. `level` is what breaks them off.
    pub(super) async fn sequence(
        &self,
        key: &'static str,
        execs: &[Exec],
        own: &[(&str, String)],
        limit: Option<Duration>,
        level: Interrupt,
    ) -> Result<(), Break> {
        for exec in execs {
            let line = Line { key, exec };
            match self.single(line, own, limit, level).await {
                Err(Break::Failed(_, detail)) if exec.ignore_failure => {
                    self.output.note(&format!("{detail}, which is ignored"));
                }
                other => other?,
            }
        }
        Ok(())
    }

    async fn single(
        &self,
        line: Line<'_>,
        own: &[(&str, String)],
        limit: Option<Duration>,
        level: Interrupt,
    ) -> Result<(), Break> {
        if self.is_interrupted(level) {
            return Err(Break::Interrupted);
        }
        let mut child = self.start(line, own)?;
        let exit = self.within(line, limit, level, child.exit()).await?;
        if exit == Exit::Code(i32::from(EXIT_EXEC)) {
            self.begun(line, &mut child).await?;
        }
        match exit {
            Exit::Code(0) => Ok(()),
            Exit::Code(_) => Err(Break::Failed(Outcome::ExitCode, line.ended(exit))),
            Exit::Signal(_) => Err(Break::Failed(Outcome::Signal, line.ended(exit))),
        }
    }

    /// Waits until a command is executed.
    pub(super) async fn begun(&self, line: Line<'_>, child: &mut Child) -> Result<(), Break> {
        child.begun().await.map_err(|report| Break::Failed(Outcome::ExitCode, line.say(&report)))
    }

    /// Waits for `future`, unless the interrupt or the time limit comes first.
    pub(super) async fn within<T>(
        &self,
        line: Line<'_>,
        limit: Option<Duration>,
        level: Interrupt,
        future: impl Future<Output = T>,
    ) -> Result<T, Break> {
        let late = async {
            match limit {
                Some(limit) => tokio::time::sleep(limit).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.interrupted(level) => Err(Break::Interrupted),
            done = future => Ok(done),
            () = late => {
                let limit = limit.unwrap_or_default();
                let detail = line.say(&format!("{} took longer than {limit:?}", line.exec.program));
                Err(Break::Failed(Outcome::Timeout, detail))
            }
        }
    }

    /// Asks every process that is left to end, and after the time limit kills them. Returns whether it had to.
    pub(super) async fn clear(&self, service: &Service) -> bool {
        if Killer::alive().is_empty() {
            return false;
        }
        let number = i32::from(service.kill_signal.number());
        // Real-time signals have no name, and only named ones can be sent without unsafe code.
        let signal = Signal::from_named_raw(number).unwrap_or(Signal::TERM);
        self.killer.signal(signal);
        self.killer.signal(Signal::CONT);
        let limit = service.timeout_stop;
        let late = async {
            match limit {
                Some(limit) => tokio::time::sleep(limit).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.emptied() => return false,
            () = self.interrupted(Interrupt::Fence) => {}
            () = late => {}
        }
        self.kill().await;
        true
    }

    /// Kills every process that is left.
    pub(super) async fn kill(&self) {
        let round = Duration::from_millis(10);
        loop {
            self.killer.signal(Signal::KILL);
            // Again, because of those that were forked in between.
            if tokio::time::timeout(round, self.emptied()).await.is_ok() {
                return;
            }
        }
    }

    /// Waits until no process is left. The last one of a tree is always this process's own child, so no end of
    /// interest goes by without one being reaped.
    pub(super) async fn emptied(&self) {
        let mut ends = self.children.ends();
        loop {
            ends.mark_unchanged();
            if Killer::alive().is_empty() {
                return;
            }
            if ends.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

/// A signal as people name it.
fn signal_name(number: i32) -> String {
    match number {
        6 => "SIGABRT".to_owned(),
        9 => "SIGKILL".to_owned(),
        11 => "SIGSEGV".to_owned(),
        15 => "SIGTERM".to_owned(),
        other => format!("signal {other}"),
    }
}
