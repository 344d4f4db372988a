//! What an engine needs to run one instance of a unit: its commands, environment, restart policy and
//! timeouts, with specifiers replaced. Defaults and meanings are those of systemd.service(5).

mod exec;
mod reader;
mod signal;
mod specifier;
mod words;

use std::collections::BTreeMap;
use std::time::Duration;

pub use exec::{Exec, Privileges};
pub use signal::{Signal, SuccessExitStatus};
pub use specifier::{Directories, Specifiers};
pub use words::quote;

use crate::finding::{Finding, Findings};
use crate::{UnitFile, support};

/// What starting and stopping wait for, unless the unit says otherwise (`DefaultTimeoutStartSec=`).
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(90);
/// The pause before a restart (`DefaultRestartSec=`).
const RESTART_SEC_DEFAULT: Duration = Duration::from_millis(100);
/// The window that starts are counted in (`DefaultStartLimitIntervalSec=`).
const START_LIMIT_INTERVAL_DEFAULT: Duration = Duration::from_secs(10);
/// The starts allowed in it (`DefaultStartLimitBurst=`).
const START_LIMIT_BURST_DEFAULT: u32 = 5;

/// One instance of a unit, ready to run. No time limit means that there is none (`infinity`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// How the start is known to be done.
    pub kind: Kind,
    /// Whether it counts as running after its processes have ended.
    pub remain_after_exit: bool,
    /// Run one after another before the main process.
    pub exec_start_pre: Vec<Exec>,
    /// The main process; several only if the kind is [`Kind::Oneshot`].
    pub exec_start: Vec<Exec>,
    /// Run once the main process counts as started.
    pub exec_start_post: Vec<Exec>,
    /// Run to stop it, before the signal.
    pub exec_stop: Vec<Exec>,
    /// Run after it has ended, however it did.
    pub exec_stop_post: Vec<Exec>,
    /// What `Environment=` sets. What the engine sets itself (`KATO_…`) comes on top.
    pub environment: BTreeMap<String, String>,
    /// Where the processes begin; `/` if the unit does not say.
    pub working_directory: Option<WorkingDirectory>,
    /// When to start it again.
    pub restart: Restart,
    /// The pause before that.
    pub restart_sec: Duration,
    /// How long a start may take.
    pub timeout_start: Option<Duration>,
    /// How long a stop may take before the kill.
    pub timeout_stop: Option<Duration>,
    /// What asks it to stop.
    pub kill_signal: Signal,
    /// Which ends count as success beside the usual ones.
    pub success_exit_status: SuccessExitStatus,
    /// How many starts are too many.
    pub start_limit: StartLimit,
    /// What is not honoured, or probably not meant.
    pub warnings: Vec<Finding>,
}

/// How the start of a service is known to be done (`Type=`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// When the process is forked.
    #[default]
    Simple,
    /// When the program is executed.
    Exec,
    /// When every command has ended.
    Oneshot,
    /// When it says so on `NOTIFY_SOCKET`.
    Notify,
    /// When it has put itself into the background.
    Forking,
    /// When it has a name on D-Bus.
    Dbus,
    /// As simple, once systemd's jobs are done.
    Idle,
}

/// When a service that has ended is started again (`Restart=`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Restart {
    /// Never.
    #[default]
    No,
    /// After a clean end.
    OnSuccess,
    /// After any end that is not clean.
    OnFailure,
    /// After a signal, a time-out or a missed watchdog.
    OnAbnormal,
    /// After a signal.
    OnAbort,
    /// After a missed watchdog.
    OnWatchdog,
    /// After any end but a stop that was asked for.
    Always,
}

/// Where processes begin (`WorkingDirectory=`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkingDirectory {
    /// An absolute path; none is the user's home (`~`).
    pub path: Option<String>,
    /// Whether it may be missing (the prefix `-`).
    pub missing_ok: bool,
}

/// More than `burst` starts within `interval` fail the unit. Where either is zero there is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartLimit {
    /// The window.
    pub interval: Duration,
    /// The starts allowed in it.
    pub burst: u32,
}

impl Service {
    /// Reads the sections `[Unit]` and `[Service]` for one instance, or says all that is wrong with them.
    pub fn for_instance(file: &UnitFile, specifiers: &Specifiers) -> Result<Self, Vec<Finding>> {
        Self::read(file, specifiers).map_err(Findings::finish)
    }

    /// As [`Service::for_instance`], with findings that others of the same file can join.
    pub(crate) fn read(file: &UnitFile, specifiers: &Specifiers) -> Result<Self, Findings> {
        let mut reader = reader::Reader::new(file, specifiers);
        let kind = reader.kind();
        let mut service = Self {
            kind,
            remain_after_exit: reader.remain_after_exit(),
            exec_start_pre: reader.commands("ExecStartPre"),
            exec_start: reader.commands("ExecStart"),
            exec_start_post: reader.commands("ExecStartPost"),
            exec_stop: reader.commands("ExecStop"),
            exec_stop_post: reader.commands("ExecStopPost"),
            environment: reader.environment(),
            working_directory: reader.working_directory(),
            restart: reader.restart(),
            restart_sec: reader.restart_sec(RESTART_SEC_DEFAULT),
            timeout_start: reader
                .timeout("TimeoutStartSec", (kind != Kind::Oneshot).then_some(TIMEOUT_DEFAULT)),
            timeout_stop: reader.timeout("TimeoutStopSec", Some(TIMEOUT_DEFAULT)),
            kill_signal: reader.kill_signal(),
            success_exit_status: reader.success_exit_status(),
            start_limit: reader.start_limit(StartLimit {
                interval: START_LIMIT_INTERVAL_DEFAULT,
                burst: START_LIMIT_BURST_DEFAULT,
            }),
            warnings: Vec::new(),
        };
        reader.contradictions(&service);
        let (errors, mut warnings) = reader.finish();
        if !errors.is_empty() {
            return Err(errors);
        }
        support::warn(file, &mut warnings);
        service.warnings = warnings.finish();
        Ok(service)
    }
}

#[cfg(test)]
mod tests;
