//! What is printed for each status that a coordinator answers.

use tonic::Code;
use tonic_types::{ErrorDetails, StatusExt};

use super::dial::Attempt;
use super::*;

fn shown(status: Status, intent: Intent) -> String {
    let identity = "spiffe://demo.com/reader/grafana".parse().unwrap();
    let call = CallError::new(status, "dub.demo.com:7440".to_owned(), identity, intent);
    let error = anyhow::Error::from(ClientError::from(Box::new(call)));
    anstream::adapter::strip_str(&crate::failure::render(&error)).to_string()
}

fn detailed(code: Code, message: &str, details: ErrorDetails) -> Status {
    Status::with_error_details(code, message, details)
}

#[test]
fn every_status_says_what_to_do() {
    let mut findings = ErrorDetails::with_bad_request_violation(
        "web@.service:12",
        "unknown key \"Neer=\"; did you mean \"Near=\"?",
    );
    findings.add_bad_request_violation("web@.service:14", "\"60\" lacks its unit: write 60ms");
    let changed = [("revision".to_owned(), "44".to_owned())];
    let mut aborted = ErrorDetails::new();
    aborted.set_error_info("REVISION_CHANGED", "kato.v1", changed);
    let mut quota = ErrorDetails::with_quota_failure_violation("workloads", "10000 is the limit");
    quota.set_retry_info(Some(Duration::from_secs(5)));
    let mut headless = ErrorDetails::with_error_info("NO_MAJORITY", "kato", []);
    headless.set_retry_info(Some(Duration::from_secs(1)));
    let headless =
        || detailed(Code::Unavailable, "no coordinator leads at the moment", headless.clone());
    let cases = [
        (detailed(Code::InvalidArgument, "the unit file has 2 mistakes", findings), Intent::Write),
        (Status::not_found("there is no workload \"wbe\""), Intent::Read),
        (detailed(Code::Aborted, "\"web\" is at revision 44, not 42", aborted), Intent::Write),
        (Status::failed_precondition("web@1 has no machine yet"), Intent::Stream),
        (detailed(Code::ResourceExhausted, "too many workloads", quota), Intent::Write),
        (headless(), Intent::Read),
        (headless(), Intent::Write),
        (headless(), Intent::Stream),
        (Status::unavailable("the agent of core-1.cell-1.dub is not connected"), Intent::Stream),
        (Status::permission_denied("a reader may not apply"), Intent::Write),
        (Status::deadline_exceeded("no answer within 15s"), Intent::Read),
        (Status::deadline_exceeded("no answer within 15s"), Intent::Write),
        (Status::unimplemented(""), Intent::Read),
        (Status::internal("a broken \u{1b}[31minvariant"), Intent::Read),
    ];
    let texts: Vec<String> =
        cases.into_iter().map(|(status, intent)| shown(status, intent)).collect();
    insta::assert_snapshot!(texts.join("\n----\n"));
}

#[test]
fn every_way_not_to_connect_says_what_to_do() {
    let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
    let attempts = vec![Attempt::new("127.0.0.1:7440", &refused), Attempt::silent("ewr:7440")];
    let error = anyhow::Error::from(ClientError::NoAnswer { attempts });
    let text = anstream::adapter::strip_str(&crate::failure::render(&error)).to_string();
    insta::assert_snapshot!(text);
}
