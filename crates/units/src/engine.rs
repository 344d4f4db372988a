//! The seam between what a machine has been told to run and what runs it: processes in a sandbox cell, systemd
//! elsewhere. Above it stands the agent's stream to its coordinator, which must not care which of them it is.
//!
//! It lives in this crate, beside the unit files that it runs, and not in the agent, so that an engine and its
//! caller need to share nothing but this vocabulary. The price is one small dependency: `futures-core`, for the
//! trait `Stream`. No runtime is named here: what an engine watches and streams with is its own business.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as StdError;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

pub use futures_core::stream::BoxStream;
use kato_core::{InstanceId, PortName, Resources, Timestamp};

/// A future of an engine, boxed so that the trait can be an object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The instances of an engine and how each of them is.
pub type Statuses = Arc<BTreeMap<InstanceId, InstanceStatus>>;

/// What a machine is told to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// Which copy of which workload.
    pub instance: InstanceId,
    /// The placement's epoch; a larger one replaces a smaller one, never the other way round.
    pub epoch: u64,
    /// The workload's generation: which version of the unit.
    pub generation: u64,
    /// The unit file's name, `web@.service`, which says whether it is a template.
    pub unit_name: String,
    /// The unit file's text.
    pub unit: Arc<str>,
    /// What the instance may use.
    pub request: Resources,
    /// The host ports that it is to be given.
    pub ports: BTreeSet<PortName>,
    /// Whether two copies of it must never run at the same moment: it then runs only up to a deadline.
    pub singleton: bool,
}

/// How far an instance is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RunState {
    /// Its first commands run.
    Starting,
    /// It runs.
    Running,
    /// It has ended and waits to be started again.
    Restarting,
    /// It is being stopped.
    Stopping,
    /// It has ended as it should, or was stopped.
    Exited,
    /// It has ended otherwise, and is not started again.
    Failed,
    /// Its deadline came: it was killed, and waits for a new assignment.
    Fenced,
}

impl RunState {
    /// Whether nothing of the instance runs, and nothing will without a new assignment.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Exited | Self::Failed | Self::Fenced)
    }
}

/// One instance as its engine sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceStatus {
    /// Which instance.
    pub instance: InstanceId,
    /// The epoch that it was started with.
    pub epoch: u64,
    /// The generation that it was started with.
    pub generation: u64,
    /// How far it is.
    pub state: RunState,
    /// Since when, by the machine's wall clock.
    pub since: Timestamp,
    /// How often it has been started again under this assignment.
    pub restarts: u32,
    /// The host ports that it was given.
    pub ports: BTreeMap<PortName, u16>,
    /// Its main process.
    pub pid: Option<u32>,
    /// Why it is in this state, and what of its unit is not enforced; one line for people, may be empty.
    pub detail: String,
}

/// Which output a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogSource {
    /// The standard output of one of the unit's commands.
    Stdout,
    /// The standard error of one of the unit's commands.
    Stderr,
    /// The engine, about the instance.
    Engine,
}

/// One line of an instance's captured output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When it was captured, by the machine's wall clock.
    pub at: Timestamp,
    /// Where it came from.
    pub source: LogSource,
    /// The line without its end; bytes that are not UTF-8 are replaced.
    pub text: String,
}

/// Why an engine did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request is about an older placement or unit than the engine has seen.
    #[error(
        "epoch {epoch}, generation {generation} of {instance} is not newer than {known_epoch}, {known_generation}"
    )]
    Stale {
        /// The instance.
        instance: InstanceId,
        /// What was asked for.
        epoch: u64,
        /// What was asked for.
        generation: u64,
        /// What the engine has seen.
        known_epoch: u64,
        /// What the engine has seen.
        known_generation: u64,
    },
    /// A singleton was to be started without a deadline.
    #[error("{0} is a singleton and was given no deadline")]
    NoDeadline(InstanceId),
    /// The engine does not have the instance, or it no longer runs.
    #[error("{0} does not run here")]
    NotRunning(InstanceId),
    /// The instance has to be stopped before its files can go.
    #[error("{0} still runs")]
    StillRuns(InstanceId),
    /// The engine has as many instances as it may.
    #[error("the machine already has {0} instances, the most that an engine holds")]
    Full(usize),
    /// Every port of the engine's range is taken.
    #[error("no port is free from {first} to {last}")]
    NoPort {
        /// The first of the range.
        first: u16,
        /// The last of the range.
        last: u16,
    },
    /// What was asked for is over a limit, or not well formed.
    #[error("the assignment of {instance} cannot be taken: {reason}")]
    Invalid {
        /// The instance.
        instance: InstanceId,
        /// Why.
        reason: String,
    },
    /// The engine is shutting down.
    #[error("the engine is shutting down")]
    Closed,
    /// The engine's own means failed.
    #[error("the engine could not {action} {instance}")]
    Engine {
        /// What it was about to do.
        action: &'static str,
        /// With which instance.
        instance: InstanceId,
        /// Why it could not.
        source: Box<dyn StdError + Send + Sync>,
    },
}

/// Runs instances on one machine.
pub trait UnitEngine: Send + Sync {
    /// Starts an instance; returns when its start is under way, which [`UnitEngine::statuses`] then follows. An
    /// instance that runs with a smaller epoch or generation is stopped first. Of one that has already been
    /// started with this epoch and generation nothing changes, unless it was fenced, or lost with its machine.
    ///
    /// `deadline` is a time of the machine's boot clock: the instance and all its processes are gone by then
    /// unless it is extended. A singleton must have one.
    fn start(
        &self,
        assignment: Assignment,
        deadline: Option<Duration>,
    ) -> BoxFuture<'_, Result<(), Error>>;

    /// Stops an instance that was started with `epoch` or a smaller one; returns when no process of it is left.
    /// Stopping what does not run is done at once. The same epoch and generation never start again after it.
    fn stop(&self, instance: InstanceId, epoch: u64) -> BoxFuture<'_, Result<(), Error>>;

    /// Moves the deadline of an instance to a later time of the boot clock; an earlier one changes nothing.
    /// Returns the deadline that holds.
    fn extend(
        &self,
        instance: InstanceId,
        epoch: u64,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<Duration, Error>>;

    /// Forgets an instance that does not run, and deletes its files, state and output included.
    fn remove(&self, instance: InstanceId) -> BoxFuture<'_, Result<(), Error>>;

    /// The instances as they are now.
    fn current(&self) -> Statuses;

    /// The instances as they are now and after each change; of changes that come faster than they are read, the
    /// last counts.
    fn statuses(&self) -> BoxStream<'static, Statuses>;

    /// The last `lines` lines of an instance's output, and if `follow` those to come.
    fn log(
        &self,
        instance: InstanceId,
        follow: bool,
        lines: usize,
    ) -> BoxFuture<'_, Result<BoxStream<'static, LogLine>, Error>>;
}
