//! A singleton that is changed, deleted, applied again: what was is gone before what follows begins.

use kato_proto::v1::RunState;

use crate::support::lives::Record;
use crate::support::mesh::Mesh;
use crate::support::until;

/// How long a copy takes to stop: far longer than a new one takes to start.
const STOP_SECONDS: u32 = 3;

/// Waits until an epoch other than `before` runs in `datacenter` and has written.
fn runs_in(mesh: &Mesh, record: &Record, datacenter: &str, before: u64) -> u64 {
    until(&format!("the singleton runs in {datacenter}"), || {
        let now = mesh.instance("single@1")?;
        let runs = now.datacenter == datacenter && now.state() == RunState::Running;
        (runs && now.epoch > before && record.lives().contains_key(&now.epoch)).then_some(now.epoch)
    })
}

#[test]
fn a_singleton_that_is_changed_runs_once() {
    let mesh = Mesh::start();
    let record = Record::new(mesh.home());
    let unit = |near: &str| {
        let options = format!("Singleton=yes\nNear={near}");
        mesh.unit("single.service", &record.exec_start(STOP_SECONDS), &options)
    };
    mesh.run(&[&unit("EWR")]);
    let first = runs_in(&mesh, &record, "ewr", 0);

    // To another datacenter.
    mesh.kato(&["apply", "-y", &unit("SIN")]).code(0);
    let second = runs_in(&mesh, &record, "sin", first);

    // Deleted, and applied again elsewhere while the old one still stops.
    mesh.kato(&["delete", "-y", "single"]).code(0);
    mesh.kato(&["apply", "-y", &unit("DUB")]).code(0);
    let third = runs_in(&mesh, &record, "dub", second);

    let epochs: Vec<u64> = record.lives().into_keys().collect();
    assert_eq!(epochs, [first, second, third]);
    record.one_at_a_time();
    let stopped = mesh.events().iter().filter(|event| event.kind == "InstanceStopped").count();
    assert_eq!(stopped, 2, "{:#?}", mesh.events());
}

#[test]
fn copies_without_a_guard_do_not_become_singletons() {
    let mesh = Mesh::start();
    let service = "ExecStart=/bin/sleep infinity";
    mesh.run(&[&mesh.unit("plain.service", service, "")]);
    let single = mesh.unit("plain.service", service, "Singleton=yes");
    for verb in [&["plan"][..], &["apply", "-y"]] {
        let refused = mesh.kato(&[verb, &[&single]].concat()).code(1);
        refused.one_error(&["plain@1", "Singleton=yes", "delete plain first"]);
    }
    assert_eq!(mesh.instance("plain@1").unwrap().generation, 1);
}
