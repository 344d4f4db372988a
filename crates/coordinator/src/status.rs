//! Errors as gRPC says them: one mapping for all services, with `google.rpc` details for programs.

use std::time::Duration;

use kato_core::{Rejection, RejectionKind, Revision};
use kato_raft::Error;
use kato_units::Finding;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

/// The domain of `google.rpc.ErrorInfo`.
const DOMAIN: &str = "kato";
/// When to try again what may work then.
const RETRY: Duration = Duration::from_secs(1);

/// A failure of the mesh to decide.
pub(crate) fn from_mesh(error: &Error) -> Status {
    let (code, reason, retry) = match error {
        Error::Unavailable(_) => (Code::Unavailable, "NO_MAJORITY", true),
        Error::Unknown => (Code::Unknown, "FATE_UNKNOWN", false),
        Error::Overloaded(_) => (Code::ResourceExhausted, "OVERLOADED", true),
        Error::TooLarge { .. } => (Code::ResourceExhausted, "TOO_LARGE", false),
        Error::DiskFull(_) => (Code::ResourceExhausted, "DISK_FULL", false),
        Error::NotYet { .. } => (Code::FailedPrecondition, "MESH_VERSION", false),
        Error::Stopped(_) => (Code::Unavailable, "STOPPED", false),
    };
    let mut details = ErrorDetails::with_error_info(reason, DOMAIN, []);
    if retry {
        details.set_retry_info(Some(RETRY));
    }
    Status::with_error_details(code, error.to_string(), details)
}

/// A refusal of the state.
pub(crate) fn from_rejection(rejection: &Rejection) -> Status {
    let (code, reason) = match rejection.kind {
        RejectionKind::NotFound => (Code::NotFound, "NOT_FOUND"),
        RejectionKind::Conflict => (Code::Aborted, "CHANGED_MEANWHILE"),
        RejectionKind::Limit => (Code::ResourceExhausted, "LIMIT_REACHED"),
        RejectionKind::Invalid => (Code::FailedPrecondition, "NOT_POSSIBLE"),
    };
    let details = ErrorDetails::with_error_info(reason, DOMAIN, []);
    Status::with_error_details(code, rejection.message.clone(), details)
}

/// What is wrong with a unit file: every finding is a violation of a field.
pub(crate) fn from_findings(findings: &[Finding]) -> Status {
    let violations: Vec<FieldViolation> = findings.iter().map(violation).collect();
    let text = match findings {
        [one] => one.to_string(),
        many => format!("{} things are wrong with the unit file", many.len()),
    };
    Status::with_error_details(
        Code::InvalidArgument,
        text,
        ErrorDetails::with_bad_request(violations),
    )
}

fn violation(finding: &Finding) -> FieldViolation {
    let line = finding.line.map(|line| format!(":{line}")).unwrap_or_default();
    let place = format!("{}{line}", finding.file);
    let whole = finding.to_string();
    let what =
        whole.strip_prefix(&place).map_or(&*whole, |rest| rest.trim_start_matches([':', ' ']));
    FieldViolation::new(place, what)
}

/// A field of a request that makes no sense.
pub(crate) fn bad_field(field: &str, message: impl Into<String>) -> Status {
    let message = message.into();
    let violation = FieldViolation::new(field, message.clone());
    let details = ErrorDetails::with_bad_request(vec![violation]);
    Status::with_error_details(Code::InvalidArgument, format!("{field}: {message}"), details)
}

/// Something that a request names does not exist.
pub(crate) fn not_found(message: impl Into<String>) -> Status {
    because(Code::NotFound, "NOT_FOUND", message)
}

/// Any other failure. Programs tell it from others of its code by the reason.
pub(crate) fn because(code: Code, reason: &str, message: impl Into<String>) -> Status {
    let details = ErrorDetails::with_error_info(reason, DOMAIN, []);
    Status::with_error_details(code, message, details)
}

/// The caller's role does not do; it would have to be one of these.
pub(crate) fn denied(message: impl Into<String>, roles: &[String]) -> Status {
    let roles = [("roles".to_owned(), roles.join(","))];
    let details = ErrorDetails::with_error_info("ROLE_NOT_ADMITTED", DOMAIN, roles);
    Status::with_error_details(Code::PermissionDenied, message, details)
}

/// What was asked for keeps being overtaken. Nothing is wrong with it, unlike where a wish rests on an old revision.
pub(crate) fn overtaken(message: impl Into<String>) -> Status {
    let mut details = ErrorDetails::with_error_info("OVERTAKEN", DOMAIN, []);
    details.set_retry_info(Some(RETRY));
    Status::with_error_details(Code::Aborted, message, details)
}

/// What a watch would have to go on with is forgotten: nothing is, behind `oldest`.
pub(crate) fn compacted(since: Revision, oldest: Revision) -> Status {
    let text = format!(
        "revision {since} is compacted, the oldest that a watch can go on from is {oldest}: list the events anew"
    );
    let facts = [("oldest_revision".to_owned(), oldest.to_string())];
    let details = ErrorDetails::with_error_info("COMPACTED", DOMAIN, facts);
    Status::with_error_details(Code::OutOfRange, text, details)
}

/// A watch is to begin where this mesh has never been. Nothing would be sent until it gets there, and what was missed
/// never.
pub(crate) fn beyond(since: Revision, reached: Revision) -> Status {
    let text = format!("{since} is of another mesh, this one is at {reached}: begin at 0");
    bad_field("since_revision", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_overtaken_may_be_tried_again() {
        let status = overtaken("the mesh changes faster than a plan can be made");
        assert_eq!(status.code(), Code::Aborted);
        let info = status.get_details_error_info().expect("a program can tell why");
        assert_eq!((&*info.reason, &*info.domain), ("OVERTAKEN", "kato"));
        let retry = status.get_details_retry_info().and_then(|info| info.retry_delay);
        assert_eq!(retry, Some(RETRY));
    }
}
