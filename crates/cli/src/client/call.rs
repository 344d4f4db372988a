//! What a coordinator's refusal means to an operator: the status of gRPC, the details that came with it, and
//! what to do.

use std::fmt;
use std::time::Duration;

use kato_net::Identity;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::output::units;

/// The reason of a coordinator that hears too few others.
const NO_MAJORITY: &str = "NO_MAJORITY";
/// The reason of a coordinator whose queue is full: it has done nothing.
const OVERLOADED: &str = "OVERLOADED";
/// The reason of a watch whose next events are forgotten.
const COMPACTED: &str = "COMPACTED";
/// The reason of a watch that was not taken.
const TOO_SLOW: &str = "TOO_SLOW";

/// What the call was for: what is said of one that got no answer depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Intent {
    Read,
    Write,
    Stream,
}

/// A call that the coordinator, or the way to it, answered with an error.
#[derive(Debug)]
pub(crate) struct CallError {
    status: Status,
    address: String,
    identity: Identity,
    intent: Intent,
}

impl std::error::Error for CallError {}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = self.status.message();
        match (self.status.code(), message) {
            (Code::Unimplemented, _) => {
                write!(f, "the coordinator at {} does not know this call", self.address)
            }
            (Code::Unavailable | Code::Unknown | Code::Internal, _)
                if self.status.source_is_transport() =>
            {
                write!(f, "the connection to {} broke", self.address)
            }
            (Code::Internal | Code::Unknown | Code::DataLoss, _) => {
                write!(f, "the coordinator at {} failed: {message}", self.address)
            }
            (code, "") => write!(f, "the coordinator at {} answers: {code}", self.address),
            _ => f.write_str(message),
        }
    }
}

/// Whether a status was made on this side, because the connection broke.
trait Origin {
    fn source_is_transport(&self) -> bool;
}

impl Origin for Status {
    fn source_is_transport(&self) -> bool {
        std::error::Error::source(self).is_some()
    }
}

impl CallError {
    pub(super) fn new(status: Status, address: String, identity: Identity, intent: Intent) -> Self {
        Self { status, address, identity, intent }
    }

    pub(crate) fn code(&self) -> Code {
        self.status.code()
    }

    /// What the status carries beyond its message, one line each.
    pub(super) fn details(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(request) = self.status.get_details_bad_request() {
            lines.extend(request.field_violations.into_iter().map(|v| match v.field.as_str() {
                "" => v.description,
                field => format!("{field}: {}", v.description),
            }));
        }
        if let Some(failure) = self.status.get_details_precondition_failure() {
            lines.extend(
                failure.violations.into_iter().map(|v| labelled(&v.subject, v.description)),
            );
        }
        if let Some(failure) = self.status.get_details_quota_failure() {
            lines.extend(
                failure.violations.into_iter().map(|v| labelled(&v.subject, v.description)),
            );
        }
        if let Some(info) = self.status.get_details_error_info() {
            // Sorted: a map's order differs from run to run.
            let mut facts: Vec<String> =
                info.metadata.iter().map(|(name, value)| format!("{name}={value}")).collect();
            facts.sort();
            facts.insert(0, format!("reason: {}", info.reason));
            lines.push(facts.join(" "));
        }
        lines
    }

    /// What to do about it.
    pub(super) fn hint(&self) -> Option<String> {
        let retry = self.status.get_details_retry_info().and_then(|info| info.retry_delay);
        let retry = retry.map(|delay| format!("try again in {}", units::span(delay)));
        if self.lacks_majority() {
            // It may last a moment, or until somebody acts.
            let otherwise = self.without_majority();
            return Some(
                retry.map_or(otherwise.to_owned(), |retry| format!("{retry}; {otherwise}")),
            );
        }
        if retry.is_some() {
            return retry;
        }
        let hint = match (self.status.code(), self.intent) {
            (Code::Unavailable | Code::Unknown | Code::Internal, _)
                if self.status.source_is_transport() =>
            {
                self.after_break()
            }
            (Code::Unavailable, Intent::Stream) => {
                "try again in a moment; `kato status` shows who is silent".to_owned()
            }
            (Code::DeadlineExceeded | Code::Cancelled, Intent::Write) => {
                "it is not known whether the change was made: look with `kato get workloads`\n\
                 before you try again; --timeout gives it more time"
                    .to_owned()
            }
            (Code::DeadlineExceeded | Code::Cancelled, _) => {
                "--timeout gives it more time; --read stale, where a verb has it, asks one coordinator alone"
                    .to_owned()
            }
            (Code::Aborted, _) => "somebody else was faster: run the command again".to_owned(),
            (Code::PermissionDenied, _) => format!(
                "you are {}; `kato pki issue operator NAME` makes a certificate that may change things",
                self.identity
            ),
            (Code::Unauthenticated, _) => {
                "`kato pki show FILE` shows whose your certificate is".to_owned()
            }
            (Code::Unimplemented, _) => {
                "it may be of another version: `kato version` shows both".to_owned()
            }
            (Code::Internal | Code::Unknown | Code::DataLoss, _) => {
                "its log says more".to_owned()
            }
            _ => return None,
        };
        Some(hint)
    }

    /// Whether too few coordinators hear each other. Others may be unavailable too: an agent, say.
    pub(super) fn lacks_majority(&self) -> bool {
        self.is_because_of(NO_MAJORITY)
    }

    /// Whether a watch cannot go on, because what it would go on with is forgotten.
    pub(super) fn is_compacted(&self) -> bool {
        self.is_because_of(COMPACTED)
    }

    /// Whether a watch was cut off, because this side took nothing.
    pub(super) fn is_too_slow(&self) -> bool {
        self.is_because_of(TOO_SLOW)
    }

    /// When to ask again a coordinator that has too much to do.
    pub(super) fn pause(&self) -> Option<Duration> {
        let retry = self.status.get_details_retry_info()?.retry_delay;
        retry.filter(|_| self.is_because_of(OVERLOADED))
    }

    fn is_because_of(&self, reason: &str) -> bool {
        self.status.get_details_error_info().is_some_and(|info| info.reason == reason)
    }

    fn without_majority(&self) -> &'static str {
        match self.intent {
            Intent::Read | Intent::Stream => {
                "without a majority of coordinators nothing can be made sure of;\n\
                 --read stale, where a verb has it, shows what one of them knows, and `kato status` who is missing"
            }
            Intent::Write => {
                "without a majority of coordinators nothing can be changed; what runs keeps running.\n\
                 `kato status` shows who is missing"
            }
        }
    }

    fn after_break(&self) -> String {
        match self.intent {
            Intent::Write => {
                "it is not known whether the change was made: look with `kato get workloads`\n\
                before you try again"
                    .to_owned()
            }
            Intent::Read | Intent::Stream => {
                "run the command again; --address (KATO_ADDR) takes several coordinators".to_owned()
            }
        }
    }
}

fn labelled(subject: &str, description: String) -> String {
    if subject.is_empty() { description } else { format!("{subject}: {description}") }
}
