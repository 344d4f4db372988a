//! Signals and exit statuses by number and by name.

use std::collections::BTreeSet;
use std::fmt;

use crate::value::ValueError;

/// The largest signal number, the last real-time signal of Linux.
const SIGNAL_MAX: u8 = 64;

/// The signals of Linux on the architectures that providers sell (x86-64 and arm64), from 1.
const SIGNALS: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
    "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
    "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// The exit statuses that systemd.exec(5) names and a service may be expected to end with.
const STATUSES: [(&str, u8); 24] = [
    ("SUCCESS", 0),
    ("FAILURE", 1),
    ("INVALIDARGUMENT", 2),
    ("NOTIMPLEMENTED", 3),
    ("NOPERMISSION", 4),
    ("NOTINSTALLED", 5),
    ("NOTCONFIGURED", 6),
    ("NOTRUNNING", 7),
    ("USAGE", 64),
    ("DATAERR", 65),
    ("NOINPUT", 66),
    ("NOUSER", 67),
    ("NOHOST", 68),
    ("UNAVAILABLE", 69),
    ("SOFTWARE", 70),
    ("OSERR", 71),
    ("OSFILE", 72),
    ("CANTCREAT", 73),
    ("IOERR", 74),
    ("TEMPFAIL", 75),
    ("PROTOCOL", 76),
    ("NOPERM", 77),
    ("CONFIG", 78),
    ("EXCEPTION", 255),
];

/// A signal by its number on Linux.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(u8);

impl Signal {
    /// What a service is stopped with unless it says otherwise.
    pub const TERM: Self = Self(15);

    /// The number, 1 to 64.
    pub fn number(self) -> u8 {
        self.0
    }

    /// Reads `SIGTERM`, `TERM` or `15`.
    pub(crate) fn parse(text: &str) -> Result<Self, ValueError> {
        Self::lookup(text).ok_or_else(|| {
            let name = text.trim_start_matches("SIG");
            let meant = crate::suggest::nearest(name, SIGNALS);
            let meant = meant.map_or(String::new(), |name| format!("; did you mean SIG{name}?"));
            ValueError::new(format!(
                "\"{text}\" is not a signal: write a name such as SIGTERM or SIGINT, or a number from 1 to {SIGNAL_MAX}{meant}"
            ))
        })
    }

    fn lookup(text: &str) -> Option<Self> {
        if let Ok(number) = text.parse::<u8>() {
            return (1..=SIGNAL_MAX).contains(&number).then_some(Self(number));
        }
        let name = text.strip_prefix("SIG").unwrap_or(text);
        let index = SIGNALS.iter().position(|signal| *signal == name)?;
        u8::try_from(index + 1).ok().map(Self)
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match SIGNALS.get(usize::from(self.0).wrapping_sub(1)) {
            Some(name) => write!(f, "SIG{name}"),
            None => write!(f, "signal {}", self.0),
        }
    }
}

/// The ends of the main process that count as success beside status 0 and the signals of systemd's own
/// list (SIGHUP, SIGINT, SIGTERM, SIGPIPE).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SuccessExitStatus {
    /// Exit statuses.
    pub codes: BTreeSet<u8>,
    /// Signals that ended it.
    pub signals: BTreeSet<Signal>,
}

impl SuccessExitStatus {
    /// Adds the words of one assignment.
    pub(crate) fn add(&mut self, text: &str) -> Result<(), ValueError> {
        let mut wrong = Vec::new();
        for word in text.split_whitespace() {
            let named = STATUSES.iter().find(|(name, _)| *name == word).map(|(_, code)| *code);
            // A bare number is a status here, not a signal.
            if let Some(code) = named.or_else(|| word.parse().ok()) {
                self.codes.insert(code);
            } else if let (Some(signal), false) =
                (Signal::lookup(word), word.bytes().all(|b| b.is_ascii_digit()))
            {
                self.signals.insert(signal);
            } else {
                wrong.push(format!("\"{word}\""));
            }
        }
        if wrong.is_empty() {
            return Ok(());
        }
        Err(ValueError::new(format!(
            "{} is neither an exit status nor a signal: write a number from 0 to 255, a name such as \
             TEMPFAIL, or a signal such as SIGKILL",
            wrong.join(", ")
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_read_by_name_and_number() {
        for (text, number) in [("SIGTERM", 15), ("TERM", 15), ("9", 9), ("SIGSYS", 31), ("64", 64)]
        {
            assert_eq!(Signal::parse(text).unwrap().number(), number);
        }
        for bad in ["0", "65", "sigterm", "SIGFOO", ""] {
            assert!(Signal::parse(bad).is_err(), "{bad} was taken");
        }
        assert!(
            Signal::parse("SIGTREM").unwrap_err().to_string().ends_with("did you mean SIGTERM?")
        );
        assert_eq!(Signal::TERM.to_string(), "SIGTERM");
        assert_eq!(Signal(40).to_string(), "signal 40");
    }

    #[test]
    fn exit_statuses_are_numbers_names_and_signals() {
        let mut status = SuccessExitStatus::default();
        status.add("TEMPFAIL 250 SIGKILL").unwrap();
        assert_eq!(status.codes, BTreeSet::from([75, 250]));
        assert_eq!(status.signals, BTreeSet::from([Signal(9)]));
        assert!(status.add("256").is_err());
        assert!(status.add("FINE").is_err());
    }
}
