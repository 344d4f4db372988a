//! The rules, case by case, on certificates that no honest authority would issue.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};

use super::*;

/// A certificate and its key: everybody may sign here.
struct Node {
    der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate named `name` with these URI SANs, signed `by` someone or by itself.
fn node(name: &str, uris: &[&str], by: Option<&Node>) -> Node {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let uris = uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap()));
    params.subject_alt_names = uris.collect();
    let key = KeyPair::generate().unwrap();
    let certificate = match by {
        Some(by) => params.signed_by(&key, &by.issuer).unwrap(),
        None => params.self_signed(&key).unwrap(),
    };
    Node { der: certificate.der().clone(), issuer: Issuer::new(params, key) }
}

const OPERATOR: &str = "spiffe://demo.com/operator/admin";
const COORDINATOR: &str = "spiffe://demo.com/coordinator/dub";
const AGENT: &str = "spiffe://demo.com/agent/core-1.cell-1.dub";
const DUB: &str = "spiffe://demo.com/authority/dub";
const EWR: &str = "spiffe://demo.com/authority/ewr";

/// What the rules say of a leaf and what is presented with it: the identity and how many intermediates
/// webpki may use, or the refusal.
fn verdict(roots: &[&Node], leaf: &Node, presented: &[&Node]) -> String {
    let roots: Vec<_> = roots.iter().map(|root| root.der.clone()).collect();
    let presented: Vec<_> = presented.iter().map(|node| node.der.clone()).collect();
    match judge(&"demo.com".parse().unwrap(), &roots, &leaf.der, &presented) {
        Ok(judged) => format!("{} {}", judged.identity.role, judged.intermediates.len()),
        Err(refusal) => refusal.to_string(),
    }
}

#[track_caller]
fn check(table: &[(&str, String, &str)]) {
    for (case, verdict, expected) in table {
        assert!(verdict.contains(expected), "{case}: {verdict:?} is not {expected:?}");
    }
}

#[test]
fn chains_that_keep_the_rules() {
    let (old, root) = (node("root", &[], None), node("root", &[], None));
    let dub = node("dub", &[DUB], Some(&root));
    let leaf = |uri| node("leaf", &[uri], Some(&root));
    let agent = node("leaf", &[AGENT], Some(&dub));
    check(&[
        ("operator", verdict(&[&root], &leaf(OPERATOR), &[]), "operator/admin 0"),
        ("coordinator", verdict(&[&root], &leaf(COORDINATOR), &[]), "coordinator/dub 0"),
        ("agent", verdict(&[&root], &agent, &[&dub]), "agent/core-1.cell-1.dub 1"),
        ("with the root", verdict(&[&root], &leaf(OPERATOR), &[&root]), "operator/admin 0"),
        ("with all", verdict(&[&root], &agent, &[&dub, &root]), "agent/core-1.cell-1.dub 1"),
        ("two roots", verdict(&[&old, &root], &agent, &[&dub]), "agent/core-1.cell-1.dub 1"),
    ]);
}

#[test]
fn chains_that_break_a_rule() {
    let (root, twin) = (node("root", &[], None), node("root", &[], None));
    let dub = node("dub", &[DUB], Some(&root));
    let ewr = node("ewr", &[EWR], Some(&root));
    let coordinator = node("dub", &[COORDINATOR], Some(&root));
    // What a thief of dub's key may try.
    let forged_root_name = node("root", &[DUB], Some(&dub));
    let below = node("ewr", &[EWR], Some(&dub));
    let agent = |by| node("leaf", &[AGENT], Some(by));
    let operator = |by| node("leaf", &[OPERATOR], Some(by));
    let not_by_root = "is not signed by the root of this mesh";
    let overreach = "for whom it may not sign";
    check(&[
        ("foreign root", verdict(&[&root], &operator(&twin), &[&twin]), not_by_root),
        ("self-signed", verdict(&[&root], &node("x", &[OPERATOR], None), &[]), not_by_root),
        ("operator by dub", verdict(&[&root], &operator(&dub), &[&dub]), overreach),
        ("dub kept back", verdict(&[&root], &operator(&dub), &[]), not_by_root),
        ("root's name", verdict(&[&root], &operator(&forged_root_name), &[]), not_by_root),
        ("agent of dub by ewr", verdict(&[&root], &agent(&ewr), &[&ewr]), overreach),
        (
            "ewr behind dub",
            verdict(&[&root], &agent(&ewr), &[&dub, &ewr]),
            "is not signed by spiff",
        ),
        (
            "authority of ewr by dub",
            verdict(
                &[&root],
                &node("x", &["spiffe://demo.com/agent/a.b.ewr"], Some(&below)),
                &[&below, &dub],
            ),
            not_by_root,
        ),
        (
            "agent by a coordinator",
            verdict(&[&root], &agent(&coordinator), &[&coordinator]),
            overreach,
        ),
        (
            "agent by the root",
            verdict(&[&root], &agent(&root), &[]),
            "without the one of authority/d",
        ),
        (
            "root and stray dub",
            verdict(&[&root], &agent(&root), &[&dub]),
            "is not signed by spiffe:",
        ),
        ("agent, root follows", verdict(&[&root], &agent(&root), &[&root]), "holds 0 URI SANs"),
        ("dub as peer", verdict(&[&root], &dub, &[]), "may sign but never be a peer"),
        ("no root", verdict(&[], &operator(&root), &[]), not_by_root),
    ]);
}

#[test]
fn leaves_without_one_identity_of_this_mesh() {
    let root = node("root", &[], None);
    let leaf = |uris: &[&str]| node("leaf", uris, Some(&root));
    let garbage = Node { der: CertificateDer::from(vec![0x30, 0x00]), ..leaf(&[]) };
    let mut trailing = leaf(&[OPERATOR]);
    trailing.der = CertificateDer::from([&trailing.der[..], &[0]].concat());
    let other = "spiffe://other.com/operator/admin";
    let dub = node("dub", &["spiffe://other.com/authority/dub"], Some(&root));
    let agent = node("leaf", &[AGENT], Some(&dub));
    check(&[
        ("none", verdict(&[&root], &leaf(&[]), &[]), "the peer's certificate holds 0 URI SANs"),
        ("two", verdict(&[&root], &leaf(&[OPERATOR, COORDINATOR]), &[]), "holds 2 URI SANs"),
        ("web", verdict(&[&root], &leaf(&["https://demo.com"]), &[]), "is not an identity"),
        ("other mesh", verdict(&[&root], &leaf(&[other]), &[]), "is not of the mesh \"demo.com\""),
        ("other authority", verdict(&[&root], &agent, &[&dub]), "is not of the mesh \"demo.com\""),
        ("garbage", verdict(&[&root], &garbage, &[]), "the peer's certificate cannot be read"),
        ("trailing bytes", verdict(&[&root], &trailing, &[]), "certificate cannot be read"),
    ]);
}
