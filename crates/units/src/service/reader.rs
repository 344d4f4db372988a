//! Reading one key of `[Service]` or `[Unit]` after another, noting every finding on the way.

use std::collections::BTreeMap;
use std::time::Duration;

use super::exec::Exec;
use super::signal::{Signal, SuccessExitStatus};
use super::specifier::Specifiers;
use super::words::{Escapes, Words};
use super::{Kind, Restart, Service, StartLimit, WorkingDirectory};
use crate::finding::Findings;
use crate::value::{self, ValueError};
use crate::{Entry, UnitFile};

const SERVICE: &str = "Service";

const KINDS: [(&str, Kind); 7] = [
    ("simple", Kind::Simple),
    ("exec", Kind::Exec),
    ("oneshot", Kind::Oneshot),
    ("notify", Kind::Notify),
    ("forking", Kind::Forking),
    ("dbus", Kind::Dbus),
    ("idle", Kind::Idle),
];

const RESTARTS: [(&str, Restart); 7] = [
    ("no", Restart::No),
    ("on-success", Restart::OnSuccess),
    ("on-failure", Restart::OnFailure),
    ("on-abnormal", Restart::OnAbnormal),
    ("on-abort", Restart::OnAbort),
    ("on-watchdog", Restart::OnWatchdog),
    ("always", Restart::Always),
];

/// A unit file being read for one instance.
pub(super) struct Reader<'a> {
    file: &'a UnitFile,
    specifiers: &'a Specifiers,
    errors: Findings,
    warnings: Findings,
}

impl<'a> Reader<'a> {
    pub(super) fn new(file: &'a UnitFile, specifiers: &'a Specifiers) -> Self {
        let (errors, warnings) = (Findings::new(&file.name), Findings::new(&file.name));
        Self { file, specifiers, errors, warnings }
    }

    /// The errors and the warnings.
    pub(super) fn finish(self) -> (Findings, Findings) {
        (self.errors, self.warnings)
    }

    pub(super) fn commands(&mut self, key: &str) -> Vec<Exec> {
        let mut commands = Vec::new();
        for entry in self.file.list(SERVICE, key) {
            match Exec::parse(&entry.value, entry.line, self.specifiers) {
                Ok(lines) => {
                    commands.extend(lines.commands);
                    for warning in lines.warnings {
                        self.warnings.on_key(Some(entry.line), SERVICE, key, warning);
                    }
                }
                Err(error) => self.error(entry, &error),
            }
        }
        commands
    }

    pub(super) fn environment(&mut self) -> BTreeMap<String, String> {
        let mut environment = BTreeMap::new();
        for entry in self.file.list(SERVICE, "Environment") {
            let mut words = Words::new(&entry.value, Escapes::Strict);
            loop {
                let word = match words.next_word() {
                    Ok(Some(word)) => word,
                    Ok(None) => break,
                    Err(error) => {
                        self.error(entry, &error);
                        break;
                    }
                };
                match self.specifiers.replace(&word).and_then(|word| assignment(&word)) {
                    Ok((name, value)) => _ = environment.insert(name, value),
                    Err(error) => self.error(entry, &error),
                }
            }
        }
        environment
    }

    pub(super) fn working_directory(&mut self) -> Option<WorkingDirectory> {
        let entry = self.file.last(SERVICE, "WorkingDirectory")?;
        let (missing_ok, text) = match entry.value.strip_prefix('-') {
            Some(text) => (true, text),
            None => (false, entry.value.as_str()),
        };
        if text == "~" {
            return Some(WorkingDirectory { path: None, missing_ok });
        }
        let path = self.specifiers.replace(text).and_then(|path| {
            if path.starts_with('/') {
                return Ok(path);
            }
            Err(ValueError::new(format!(
                "\"{path}\" is not an absolute path: write one such as /srv/web, or ~"
            )))
        });
        let path = path.map_err(|error| self.error(entry, &error)).ok()?;
        Some(WorkingDirectory { path: Some(path), missing_ok })
    }

    pub(super) fn kind(&mut self) -> Kind {
        self.scalar("Type", |text| value::choice(text, &KINDS)).unwrap_or_default()
    }

    pub(super) fn restart(&mut self) -> Restart {
        self.scalar("Restart", |text| value::choice(text, &RESTARTS)).unwrap_or_default()
    }

    pub(super) fn remain_after_exit(&mut self) -> bool {
        self.scalar("RemainAfterExit", value::boolean).unwrap_or_default()
    }

    pub(super) fn kill_signal(&mut self) -> Signal {
        self.scalar("KillSignal", Signal::parse).unwrap_or(Signal::TERM)
    }

    pub(super) fn restart_sec(&mut self, default: Duration) -> Duration {
        let finite = |text: &str| {
            value::time_span(text)?.ok_or_else(|| {
                ValueError::new("a pause of infinity never restarts: write a time span such as 5s, or Restart=no")
            })
        };
        self.scalar("RestartSec", finite).unwrap_or(default)
    }

    /// A timeout; zero and `infinity` are none. `TimeoutSec=` sets both of them, and the later line
    /// counts.
    pub(super) fn timeout(&mut self, key: &str, default: Option<Duration>) -> Option<Duration> {
        let own = self.file.last(SERVICE, key);
        let both = self.file.last(SERVICE, "TimeoutSec");
        let later = [own, both].into_iter().flatten().max_by_key(|entry| entry.line);
        let Some(entry) = later else { return default };
        match value::time_span(&entry.value) {
            Ok(span) => span.filter(|span| !span.is_zero()),
            Err(error) => {
                // TimeoutSec= is read for the start and for the stop; one finding is enough.
                if entry.key == key || key == "TimeoutStartSec" {
                    self.error(entry, &error);
                }
                default
            }
        }
    }

    pub(super) fn success_exit_status(&mut self) -> SuccessExitStatus {
        let mut status = SuccessExitStatus::default();
        for entry in self.file.list(SERVICE, "SuccessExitStatus") {
            if let Err(error) = status.add(&entry.value) {
                self.error(entry, &error);
            }
        }
        status
    }

    /// The start limit of `[Unit]`; older files have it in `[Service]`, and the interval without `Sec`.
    pub(super) fn start_limit(&mut self, default: StartLimit) -> StartLimit {
        let mut limit = default;
        for (section, key) in [
            (SERVICE, "StartLimitInterval"),
            ("Unit", "StartLimitInterval"),
            ("Unit", "StartLimitIntervalSec"),
        ] {
            let read = self.scalar_in(section, key, value::time_span);
            // A window without an end counts every start for ever. The longest span that a unit can
            // write does the same, and can be added to a point in time.
            let endless = Duration::from_micros(u64::MAX);
            limit.interval = read.map_or(limit.interval, |span| span.unwrap_or(endless));
        }
        let burst = |text: &str| {
            text.parse::<u32>().map_err(|_| {
                ValueError::new(format!(
                    "\"{text}\" is not a number of starts: write a whole number such as 5"
                ))
            })
        };
        for section in [SERVICE, "Unit"] {
            limit.burst = self.scalar_in(section, "StartLimitBurst", burst).unwrap_or(limit.burst);
        }
        limit
    }

    /// Notes what systemd refuses although every key by itself is right.
    pub(super) fn contradictions(&mut self, service: &Service) {
        let written = !self.file.list(SERVICE, "ExecStart").is_empty();
        if !written {
            let line = self.file.section(SERVICE).map(|section| section.line);
            let message = if line.is_some() {
                "the section does not say what to run: add ExecStart= with a program and its arguments"
            } else {
                "the file does not say what to run: add a [Service] section with ExecStart="
            };
            self.errors.on_key(line, SERVICE, "ExecStart", message);
        }
        if service.kind != Kind::Oneshot && service.exec_start.len() > 1 {
            let second = Some(service.exec_start[1].line);
            let message = "a second command is allowed only with Type=oneshot: remove it, run both from /bin/sh -c, \
                 or write ExecStart= empty above it if it replaces the first";
            self.errors.on_key(second, SERVICE, "ExecStart", message);
        }
        if service.kind == Kind::Oneshot
            && matches!(service.restart, Restart::Always | Restart::OnSuccess)
        {
            let line = self.file.last(SERVICE, "Restart").map(|entry| entry.line);
            let message = "always and on-success would run a oneshot for ever: write on-failure or no, or remove Type=oneshot";
            self.errors.on_key(line, SERVICE, "Restart", message);
        }
    }

    fn scalar<T>(&mut self, key: &str, read: impl Fn(&str) -> Result<T, ValueError>) -> Option<T> {
        self.scalar_in(SERVICE, key, read)
    }

    fn scalar_in<T>(
        &mut self,
        section: &str,
        key: &str,
        read: impl Fn(&str) -> Result<T, ValueError>,
    ) -> Option<T> {
        let entry = self.file.last(section, key)?;
        match read(&entry.value) {
            Ok(value) => Some(value),
            Err(error) => {
                self.errors.on_value(entry, section, &error);
                None
            }
        }
    }

    fn error(&mut self, entry: &Entry, error: &ValueError) {
        self.errors.on_value(entry, SERVICE, error);
    }
}

/// Splits `NAME=value`, where the name is one that a shell could use.
fn assignment(word: &str) -> Result<(String, String), ValueError> {
    let (name, value) = word.split_once('=').ok_or_else(|| {
        ValueError::new(format!(
            "\"{word}\" has no \"=\": write NAME=value, with quotes around it if the value has blanks: \"NAME=a b\""
        ))
    })?;
    let letters = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if name.is_empty() || !letters || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(ValueError::new(format!(
            "\"{name}\" is not a variable's name: use letters, digits and _, and no digit first"
        )));
    }
    Ok((name.to_owned(), value.to_owned()))
}
