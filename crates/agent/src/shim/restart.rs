//! When a unit that has ended is started again: systemd's table (systemd.service(5), `Restart=`) and its limit on
//! starts. Pure, so that the table can be tested as a table.

use std::collections::VecDeque;
use std::time::Duration;

use kato_units::{Kind, Restart, Service, StartLimit};

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// With a status.
    Code(i32),
    /// By a signal.
    Signal(i32),
}

/// How a run of the unit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Result {
    /// As it should.
    Success,
    /// With another status, or because a command could not be started.
    ExitCode,
    /// By another signal.
    Signal,
    /// It took too long.
    Timeout,
}

impl Result {
    /// What the unit's commands find in `SERVICE_RESULT`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::ExitCode => "exit-code",
            Self::Signal => "signal",
            Self::Timeout => "timeout",
        }
    }

    /// Whether a unit that ended so is started again.
    pub(super) fn restarts(self, restart: Restart) -> bool {
        match restart {
            Restart::No | Restart::OnWatchdog => false,
            Restart::Always => true,
            Restart::OnSuccess => self == Self::Success,
            Restart::OnFailure => self != Self::Success,
            Restart::OnAbnormal => matches!(self, Self::Signal | Self::Timeout),
            Restart::OnAbort => self == Self::Signal,
        }
    }
}

impl Exit {
    /// What the end of the main process means to its unit. The signals HUP, INT, TERM and PIPE are how a daemon is
    /// asked to end; a oneshot that is ended by one has not done its work.
    pub(super) fn result(self, service: &Service) -> Result {
        let expected = &service.success_exit_status;
        let has_code = |code: i32| expected.codes.iter().any(|known| i32::from(*known) == code);
        match self {
            Self::Code(code) if code == 0 || has_code(code) => Result::Success,
            Self::Code(_) => Result::ExitCode,
            Self::Signal(1 | 2 | 13 | 15) if service.kind != Kind::Oneshot => Result::Success,
            Self::Signal(signal)
                if expected.signals.iter().any(|known| i32::from(known.number()) == signal) =>
            {
                Result::Success
            }
            Self::Signal(_) => Result::Signal,
        }
    }
}

/// The starts within the window of a unit's limit.
#[derive(Debug)]
pub(super) struct Starts {
    limit: StartLimit,
    at: VecDeque<Duration>,
}

impl Starts {
    pub(super) fn new(limit: StartLimit) -> Self {
        Self { limit, at: VecDeque::new() }
    }

    /// Whether the unit may be started at `now`, a time of the boot clock, and counts it if so.
    pub(super) fn admit(&mut self, now: Duration) -> bool {
        if self.limit.interval.is_zero() || self.limit.burst == 0 {
            return true;
        }
        while self.at.front().is_some_and(|at| now.saturating_sub(*at) >= self.limit.interval) {
            self.at.pop_front();
        }
        let room = self.at.len() < usize::try_from(self.limit.burst).unwrap_or(usize::MAX);
        if room {
            self.at.push_back(now);
        }
        room
    }
}

#[cfg(test)]
mod tests {
    use kato_units::{Specifiers, UnitFile};

    use super::*;

    fn service(text: &str) -> Service {
        let text = format!("[Service]\nExecStart=/bin/true\n{text}");
        let file = UnitFile::parse("web@.service", &text).unwrap();
        Service::for_instance(&file, &Specifiers::new("web@1".parse().unwrap(), true, "h")).unwrap()
    }

    #[test]
    fn a_unit_restarts_by_the_table_of_systemd() {
        let ends = [Result::Success, Result::ExitCode, Result::Timeout, Result::Signal];
        for (restart, expected) in [
            (Restart::No, [false; 4]),
            (Restart::Always, [true; 4]),
            (Restart::OnSuccess, [true, false, false, false]),
            (Restart::OnFailure, [false, true, true, true]),
            (Restart::OnAbnormal, [false, false, true, true]),
            (Restart::OnAbort, [false, false, false, true]),
            (Restart::OnWatchdog, [false; 4]),
        ] {
            assert_eq!(ends.map(|end| end.restarts(restart)), expected, "{restart:?}");
        }
    }

    #[test]
    fn what_counts_as_success_is_the_units_to_say() {
        let plain = service("");
        assert_eq!(Exit::Code(0).result(&plain), Result::Success);
        assert_eq!(Exit::Code(3).result(&plain), Result::ExitCode);
        assert_eq!(Exit::Signal(15).result(&plain), Result::Success);
        assert_eq!(Exit::Signal(9).result(&plain), Result::Signal);
        let own = service("SuccessExitStatus=3 SIGKILL\n");
        assert_eq!(Exit::Code(3).result(&own), Result::Success);
        assert_eq!(Exit::Signal(9).result(&own), Result::Success);
        let oneshot = service("Type=oneshot\n");
        assert_eq!(Exit::Signal(15).result(&oneshot), Result::Signal);
    }

    #[test]
    fn the_window_of_the_start_limit_moves() {
        let seconds = Duration::from_secs;
        let mut starts = Starts::new(StartLimit { interval: seconds(10), burst: 2 });
        assert!(starts.admit(seconds(0)) && starts.admit(seconds(5)));
        assert!(!starts.admit(seconds(9)));
        assert!(starts.admit(seconds(10)));
        assert!(!starts.admit(seconds(14)));
        let mut endless = Starts::new(StartLimit { interval: seconds(0), burst: 1 });
        assert!(endless.admit(seconds(0)) && endless.admit(seconds(0)));
    }
}
