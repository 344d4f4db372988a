//! Which crate may know which: the table of ARCHITECTURE.md, read against every `Cargo.toml`.
//!
//! A crate exists because it is a purity boundary, isolates a heavy or unstable dependency, or is a binary.
//! Each of these ends with the first arrow that goes the wrong way, and nobody notices when it does.

use std::collections::{BTreeMap, BTreeSet};

use crate::nothing;
use crate::tree::files;

/// Crates of this repository, and which others of it each may depend on. What is not here may not exist.
///
/// Where this is less than it could be, the rest comes with the code that needs it: nothing buys from EC2 or
/// Packet, speaks systemd's D-Bus or fleet's API, or answers DNS yet, so the crates `ec2`, `discovery` and
/// `coreseed` are not there, and `units`, `provision` and `agent` isolate nothing yet.
const ARROWS: [(&str, &[&str]); 10] = [
    ("core", &[]),
    ("placement", &["core"]),
    ("proto", &["core"]),
    ("net", &["core"]),
    ("units", &["core"]),
    ("provision", &["core"]),
    ("raft", &["core", "proto", "net"]),
    ("agent", &["core", "proto", "net", "units"]),
    ("coordinator", &["core", "placement", "proto", "net", "units", "provision", "raft"]),
    // Binaries may know everything; `tests` (the last line of the workspace) may too.
    (
        "cli",
        &[
            "agent",
            "coordinator",
            "core",
            "net",
            "placement",
            "proto",
            "provision",
            "raft",
            "units",
        ],
    ),
];

/// Dependencies that only these crates may name.
const ISOLATED: [(&str, &[&str]); 16] = [
    ("openraft", &["raft"]),
    ("openraft-rt", &["raft"]),
    ("openraft-rt-tokio", &["raft"]),
    ("redb", &["raft", "coordinator"]),
    // The generated messages are `proto`'s. `raft` names the trait that encodes them, because what it stores is
    // sealed with a checksum record by record; `tests`, because the benchmark speaks etcd's API.
    ("prost", &["proto", "raft", "tests"]),
    ("pbjson", &["proto"]),
    ("rustls", &["net"]),
    ("tokio-rustls", &["net"]),
    ("rcgen", &["net"]),
    // `kato pki show` reads certificates that `net` would refuse: it has to show why.
    ("x509-parser", &["net", "cli"]),
    ("imbl", &["core"]),
    ("csv", &["placement"]),
    ("clap", &["cli", "tests"]),
    ("tracing-subscriber", &["cli", "tests"]),
    ("todc-utils", &["tests"]),
    ("anyhow", &["cli", "tests"]),
];

/// Crates without a clock, chance, sockets or files, and all that they may depend on beside this repository's.
const PURE: [(&str, &[&str]); 3] = [
    ("core", &["imbl", "thiserror"]),
    ("placement", &["csv", "thiserror"]),
    // For the stream of statuses in the trait of unit engines; it runs nothing.
    ("units", &["futures-core", "thiserror"]),
];

/// What each crate depends on, outside its tests. The crate `tests` is one as well.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let mut found = BTreeMap::new();
    for file in files(&["Cargo.toml"]) {
        let manifest: toml::Table = file.text.parse().unwrap();
        let Some(package) = manifest.get("package") else { continue };
        let name = package["name"].as_str().unwrap().trim_start_matches("kato-").to_owned();
        let tables = ["dependencies", "build-dependencies"].map(|table| manifest.get(table));
        let names = tables.into_iter().flatten().flat_map(|table| table.as_table().unwrap().keys());
        found.insert(name, names.cloned().collect());
    }
    found
}

fn own(dependency: &str) -> Option<&str> {
    dependency.strip_prefix("kato-")
}

#[test]
fn every_crate_keeps_to_the_table() {
    let mut found = Vec::new();
    for (name, dependencies) in dependencies() {
        if name == "tests" {
            continue;
        }
        let Some((_, allowed)) = ARROWS.iter().find(|(known, _)| *known == name) else {
            found.push(format!("{name} is not in the table: why does it exist?"));
            continue;
        };
        let wrong = dependencies.iter().filter_map(|d| own(d)).filter(|d| !allowed.contains(d));
        found.extend(wrong.map(|other| format!("{name} may not depend on {other}")));
    }
    nothing(&found);
}

#[test]
fn what_is_isolated_is_named_in_one_place() {
    let mut found = Vec::new();
    for (name, dependencies) in dependencies() {
        for (isolated, by) in ISOLATED {
            if dependencies.contains(isolated) && !by.contains(&name.as_str()) {
                found.push(format!("{name} names {isolated}, which only {by:?} may"));
            }
        }
    }
    nothing(&found);
}

#[test]
fn pure_crates_depend_on_nothing_that_acts() {
    let all = dependencies();
    let mut found = Vec::new();
    for (name, allowed) in PURE {
        let foreign = all[name].iter().filter(|dependency| own(dependency).is_none());
        let wrong = foreign.filter(|dependency| !allowed.contains(&dependency.as_str()));
        found.extend(wrong.map(|other| format!("{name} is pure and may not depend on {other}")));
    }
    nothing(&found);
}
