//! The life of one instance, from its first command to its last: systemd's state machine for services, written as
//! the story that it is.

use std::time::Duration;

use kato_net::clock::{Clock, SystemClock};
use kato_units::engine::RunState;
use kato_units::{Exec, Kind, Service};

use super::child::Child;
use super::guard::{Guard, Interrupt};
use super::publish::Publisher;
use super::restart::{Result as Outcome, Starts};
use super::run::{Break, Line, Runner};
use crate::record::End;

/// Runs a unit until nothing of it is to run any more.
#[derive(Debug)]
pub(super) struct Supervisor {
    pub(super) service: Service,
    pub(super) runner: Runner,
    pub(super) publisher: Publisher,
    pub(super) guard: Guard,
}

/// How one run of the unit went.
struct Ran {
    outcome: Outcome,
    detail: String,
}

impl Supervisor {
    /// Returns when no process of the instance is left, and has then published why.
    pub(super) async fn run(&self) {
        let (state, end, detail) = self.live().await;
        self.runner.output.note(&format!("{}: {detail}", state_name(state)));
        self.publisher.end(state, end, &detail, &self.runner.output);
    }

    async fn live(&self) -> (RunState, End, String) {
        let mut starts = Starts::new(self.service.start_limit);
        let mut last = String::new();
        loop {
            if self.runner.is_interrupted(Interrupt::Leave) {
                return self.interrupted(!last.is_empty(), false).await;
            }
            if !starts.admit(SystemClock.boot()) {
                let limit = self.service.start_limit;
                let detail = format!(
                    "{last}; started {} times within {:?}, the limit",
                    limit.burst, limit.interval
                );
                return (RunState::Failed, End::Own, detail);
            }
            let (ran, killed) = self.once().await;
            if self.runner.is_interrupted(Interrupt::Leave) {
                return self.interrupted(true, killed).await;
            }
            if !ran.outcome.restarts(self.service.restart) {
                let state = match ran.outcome {
                    Outcome::Success => RunState::Exited,
                    _ => RunState::Failed,
                };
                return (state, End::Own, ran.detail);
            }
            last = ran.detail;
            self.runner.output.note(&format!("restarting: {last}"));
            self.publisher.restarting(&last, &self.runner.output);
            tokio::select! {
                biased;
                () = self.runner.interrupted(Interrupt::Leave) => {}
                () = tokio::time::sleep(self.service.restart_sec) => {}
            }
        }
    }

    /// What an interrupted unit ends as, once its processes are gone.
    async fn interrupted(&self, started: bool, killed: bool) -> (RunState, End, String) {
        if self.runner.is_interrupted(Interrupt::Fence) {
            self.runner.emptied().await;
            if !started {
                let detail =
                    "not started, because its deadline is nearer than the time to kill it by then";
                return (RunState::Fenced, End::Fenced, detail.to_owned());
            }
            let left = self.guard.deadline().map(|at| at.saturating_sub(SystemClock.boot()));
            let detail = format!(
                "killed because its deadline came; all its processes were gone {} ms before it",
                left.unwrap_or(Duration::ZERO).as_millis()
            );
            return (RunState::Fenced, End::Fenced, detail);
        }
        let detail = if killed { "stopped, by SIGKILL after TimeoutStopSec=" } else { "stopped" };
        if self.runner.is_interrupted(Interrupt::Stop) {
            return (RunState::Exited, End::Stopped, detail.to_owned());
        }
        (RunState::Exited, End::Lost, format!("{detail}, because its shim was told to end"))
    }

    /// One run: start, wait, stop. No process is left after it. Also says whether some had to be killed.
    async fn once(&self) -> (Ran, bool) {
        let mut main = None;
        let broke = self.start(&mut main).await.err();
        let ran = match broke {
            Some(broke) => ran_of(broke),
            None => self.attend(&mut main).await,
        };
        if self.runner.is_interrupted(Interrupt::Leave)
            && self.publisher.state() != RunState::Stopping
        {
            self.publisher.set(RunState::Stopping, "", &self.runner.output);
        }
        let killed = self.runner.clear(&self.service).await;
        self.publisher.set_pid(None, &self.runner.output);
        let fenced = self.runner.is_interrupted(Interrupt::Fence);
        if !fenced && !self.service.exec_stop_post.is_empty() {
            let own = [("SERVICE_RESULT", ran.outcome.name().to_owned())];
            self.stop_commands("ExecStopPost", &self.service.exec_stop_post, &own).await;
            self.runner.kill().await;
        }
        if !fenced {
            self.runner.output.drained(Duration::from_secs(1)).await;
        }
        (ran, killed)
    }

    /// Brings the unit up. The main process is left in `main` even where something later fails.
    async fn start(&self, main: &mut Option<Child>) -> Result<(), Break> {
        let (service, runner) = (&self.service, &self.runner);
        let (limit, stop) = (service.timeout_start, Interrupt::Leave);
        self.publisher.set(RunState::Starting, "", &runner.output);
        runner.sequence("ExecStartPre", &service.exec_start_pre, &[], limit, stop).await?;
        if service.kind == Kind::Oneshot {
            for exec in &service.exec_start {
                self.oneshot(exec).await?;
            }
        } else if let Some(exec) = service.exec_start.first() {
            let line = Line { key: "ExecStart", exec };
            match self.main(line, main).await {
                Err(Break::Failed(_, detail)) if exec.ignore_failure => {
                    runner.output.note(&format!("{detail}, which is ignored"));
                    *main = None;
                }
                other => other?,
            }
        }
        let own = main_pid(main.as_ref());
        runner.sequence("ExecStartPost", &service.exec_start_post, &own, limit, stop).await
    }

    /// Starts the main process.
    async fn main(&self, line: Line<'_>, main: &mut Option<Child>) -> Result<(), Break> {
        let child = main.insert(self.runner.start(line, &[])?);
        let begun = self.runner.begun(line, child);
        self.runner.within(line, self.service.timeout_start, Interrupt::Leave, begun).await??;
        self.publisher.set_pid(Some(child.pid), &self.runner.output);
        Ok(())
    }

    /// Runs one command of a oneshot, which is a main process for as long as it takes.
    async fn oneshot(&self, exec: &Exec) -> Result<(), Break> {
        let line = Line { key: "ExecStart", exec };
        let mut child = self.runner.start(line, &[])?;
        self.publisher.set_pid(Some(child.pid), &self.runner.output);
        let begun = self.runner.begun(line, &mut child).await;
        let limit = self.service.timeout_start;
        let exit = self.runner.within(line, limit, Interrupt::Leave, child.exit()).await?;
        let failed = match (begun, exit.result(&self.service)) {
            (Err(broke), _) => broke,
            (Ok(()), Outcome::Success) => return Ok(()),
            (Ok(()), outcome) => Break::Failed(outcome, line.ended(exit)),
        };
        if exec.ignore_failure { Ok(()) } else { Err(failed) }
    }

    /// Waits for the end of a unit that is up, whoever brings it about, and runs its `ExecStop=`.
    async fn attend(&self, main: &mut Option<Child>) -> Ran {
        let (service, runner) = (&self.service, &self.runner);
        let oneshot = service.kind == Kind::Oneshot;
        if !oneshot || service.remain_after_exit {
            self.publisher.set(RunState::Running, "", &runner.output);
        }
        let mut ran =
            Ran { outcome: Outcome::Success, detail: "all its commands have ended".to_owned() };
        if let (Some(child), Some(exec)) = (main.as_mut(), service.exec_start.first()) {
            tokio::select! {
                biased;
                () = runner.interrupted(Interrupt::Leave) => {}
                exit = child.exit() => {
                    let ignored = exec.ignore_failure;
                    let outcome = exit.result(service);
                    ran.outcome = if ignored { Outcome::Success } else { outcome };
                    ran.detail = Line { key: "ExecStart", exec }.ended(exit);
                    *main = None;
                }
            }
        }
        if ran.outcome == Outcome::Success && service.remain_after_exit && main.is_none() {
            self.publisher.set_pid(None, &runner.output);
            runner.interrupted(Interrupt::Leave).await;
        }
        // A unit that failed is not asked to stop; what is left of it is killed.
        if ran.outcome == Outcome::Success && !runner.is_interrupted(Interrupt::Fence) {
            if self.publisher.state() == RunState::Running {
                self.publisher.set(RunState::Stopping, "", &runner.output);
            }
            let own = main_pid(main.as_ref());
            self.stop_commands("ExecStop", &service.exec_stop, &own).await;
        }
        ran
    }

    /// Runs commands that only a fence breaks off, and whose failure is noted and changes nothing.
    async fn stop_commands(&self, key: &'static str, execs: &[Exec], own: &[(&str, String)]) {
        let limit = self.service.timeout_stop;
        let ran = self.runner.sequence(key, execs, own, limit, Interrupt::Fence).await;
        if let Err(Break::Failed(_, detail)) = ran {
            self.runner.output.note(&detail);
        }
    }
}

fn main_pid(main: Option<&Child>) -> Vec<(&'static str, String)> {
    main.iter().map(|child| ("MAINPID", child.pid.to_string())).collect()
}

fn ran_of(broke: Break) -> Ran {
    match broke {
        Break::Failed(outcome, detail) => Ran { outcome, detail },
        Break::Interrupted => Ran { outcome: Outcome::Success, detail: String::new() },
    }
}

fn state_name(state: RunState) -> &'static str {
    match state {
        RunState::Failed => "failed",
        RunState::Fenced => "fenced",
        _ => "ended",
    }
}
