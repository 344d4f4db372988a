//! Authorities and what they issue, to files and back.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use super::*;

const NOW: Timestamp = Timestamp(1_795_354_948_000);
const DAY: Duration = Duration::from_hours(24);

fn root() -> Authority {
    Authority::root("demo.com".parse().unwrap(), NOW, 10 * DAY).unwrap()
}

fn role(text: &str) -> Role {
    text.parse().unwrap()
}

#[test]
fn authorities_issue_for_those_whom_they_speak_for() {
    let root = root();
    let dub = root.intermediate("dub".parse().unwrap(), NOW, DAY).unwrap();
    for (authority, good) in [
        (&root, "coordinator/dub"),
        (&root, "operator/admin"),
        (&root, "reader/grafana"),
        (&dub, "agent/core-1.cell-1.dub"),
    ] {
        let issued = authority.issue(role(good), &[], NOW, DAY).unwrap();
        assert_eq!(issued.identity().to_string(), format!("spiffe://demo.com/{good}"));
    }
    for (authority, bad, expected) in [
        (&root, "agent/core-1.cell-1.dub", "authority/dub issues it"),
        (&root, "authority/dub", "Authority::intermediate"),
        (&dub, "agent/core-1.cell-1.ewr", "authority/ewr issues it"),
        (&dub, "operator/admin", "the root of demo.com issues it"),
        (&dub, "coordinator/dub", "the root of demo.com issues it"),
    ] {
        let error = authority.issue(role(bad), &[], NOW, DAY).unwrap_err().to_string();
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
    }
    assert!(matches!(
        dub.intermediate("dub".parse().unwrap(), NOW, DAY),
        Err(PkiError::MayNotIssue { .. })
    ));
}

#[test]
fn a_certificate_says_what_it_should() {
    let hosts = ["localhost".parse().unwrap(), "127.0.0.1".parse().unwrap()];
    let issued = root().issue(role("coordinator/dub"), &hosts, NOW, DAY).unwrap();
    let pem = x509_parser::pem::parse_x509_pem(issued.chain_pem().as_bytes()).unwrap().1;
    let certificate = pem.parse_x509().unwrap();
    assert_eq!(certificate.subject().to_string(), "O=demo.com, CN=coordinator/dub");
    assert_eq!(certificate.issuer().to_string(), "O=demo.com, CN=root");
    let names = certificate.subject_alternative_name().unwrap().unwrap();
    assert_eq!(
        names.value.general_names,
        [
            GeneralName::URI("spiffe://demo.com/coordinator/dub"),
            GeneralName::DNSName("localhost"),
            GeneralName::IPAddress(&[127, 0, 0, 1]),
        ]
    );
    let usage = certificate.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.server_auth && usage.client_auth);
    let now = i64::try_from(NOW.0 / 1000).unwrap();
    assert_eq!(certificate.validity().not_before.timestamp(), now - 300);
    assert_eq!(certificate.validity().not_after.timestamp(), now + 86_400);
    assert_eq!(certificate.raw_serial().len(), 16);
    let other = root().issue(role("operator/admin"), &[], NOW, DAY).unwrap();
    let pem = x509_parser::pem::parse_x509_pem(other.chain_pem().as_bytes()).unwrap().1;
    let other = pem.parse_x509().unwrap();
    assert!(!other.extended_key_usage().unwrap().unwrap().value.server_auth);
    assert_ne!(other.raw_serial(), certificate.raw_serial());
}

#[test]
fn nothing_outlives_its_authority() {
    let root = root();
    let dub = root.intermediate("dub".parse().unwrap(), NOW, 1000 * DAY).unwrap();
    assert_eq!(dub.expires_at(), root.expires_at());
    let later = Timestamp(dub.expires_at().0 + 1);
    let error = dub.issue(role("agent/core-1.cell-1.dub"), &[], later, DAY).unwrap_err();
    assert_eq!(
        error.to_string(),
        "spiffe://demo.com/authority/dub expired on 2026-12-02T13:42:28Z: renew it first"
    );
    let error = Authority::root("demo.com".parse().unwrap(), NOW, 10_000_000 * DAY).unwrap_err();
    assert!(matches!(error, PkiError::Validity(_)));
}

#[test]
fn authorities_come_back_from_their_files_and_go_on_issuing() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    root().store(directory.path(), "ca", Overwrite::Refuse).unwrap();
    let root = Authority::load(&at("ca.pem"), &at("ca-key.pem")).unwrap();
    assert_eq!(root.to_string(), "the root of demo.com");
    let dub = root.intermediate("dub".parse().unwrap(), NOW, DAY).unwrap();
    dub.store(directory.path(), "dub", Overwrite::Refuse).unwrap();
    let dub = Authority::load(&at("dub.pem"), &at("dub-key.pem")).unwrap();
    let agent = dub.issue(role("agent/core-1.cell-1.dub"), &[], NOW, DAY).unwrap();
    agent.store(directory.path(), "agent", Overwrite::Refuse).unwrap();
    let credentials =
        crate::tls::Credentials::load(&at("ca.pem"), &at("agent.pem"), &at("agent-key.pem"));
    let credentials = credentials.unwrap();
    assert_eq!(credentials.identity(), agent.identity());
    assert_eq!(credentials.expires_at(), dub.expires_at());

    let error = Authority::load(&at("dub.pem"), &at("ca-key.pem")).unwrap_err();
    assert!(error.to_string().contains("ca-key.pem is not that of the certificate in"));
    let error = Authority::load(&at("agent.pem"), &at("agent-key.pem")).unwrap_err();
    assert!(error.to_string().contains("it holds several certificates"), "{error}");
    let error = Authority::load(&at("ca-key.pem"), &at("ca-key.pem")).unwrap_err();
    assert!(error.to_string().contains("holds \"PRIVATE KEY\", but should hold the certificate"));
    fs::set_permissions(at("ca-key.pem"), Permissions::from_mode(0o644)).unwrap();
    let error = Authority::load(&at("ca.pem"), &at("ca-key.pem")).unwrap_err();
    assert!(error.to_string().contains("has mode 0644"), "{error}");
}
