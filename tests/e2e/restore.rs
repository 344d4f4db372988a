//! Every coordinator's disk is lost, and the mesh begins anew from a copy of one of them.

use std::fs;
use std::path::Path;
use std::time::Duration;

use kato_proto::v1::RunState;

use crate::support::mesh::{DATACENTERS, IDLE, Mesh};
use crate::support::{figure, now, until, within};

/// Longer than the longest lease of all, and the wait for it.
const QUARANTINE: Duration = Duration::from_mins(3);

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

#[test]
fn a_mesh_begins_anew_from_a_copy_of_one_of_its_stores() {
    let mut mesh = Mesh::start();
    let single = mesh.unit("single.service", IDLE, "Singleton=yes");
    let web = mesh.unit("web@.service", IDLE, "Count=2");
    mesh.run(&[&single, &web]);
    let (first, running) = (mesh.instance("single@1").unwrap(), mesh.running("web"));
    mesh.stop();

    let store = |name: &str| mesh.data().join(name).join("coordinator/raft");
    let backup = mesh.home().join("backup");
    copy(&store("sin"), &backup);
    for name in DATACENTERS {
        fs::remove_dir_all(store(name)).unwrap();
    }
    let restore = |backup: &str, name: &str| {
        let config = mesh.data().join(format!("{name}.toml"));
        mesh.kato(&["restore", backup, "--config", config.to_str().unwrap()])
    };
    let path = backup.to_str().unwrap();
    restore(path, "ewr").one_error(&["the first of its members, which is dub (member 1)"]);
    let no_backup = mesh.data().join("dub.toml");
    restore(no_backup.to_str().unwrap(), "dub").one_error(&["does not begin as a snapshot"]);
    let restored = restore(path, "dub").code(0);
    let has = "3 datacenters, 6 machines, 2 workloads, 3 instances";
    assert!(restored.out.contains(has), "{}", restored.out);
    restore(path, "dub").one_error(&["is not empty"]);

    let began = now();
    mesh.resume();
    assert!(mesh.status().quarantined);
    let places = |all: &[kato_proto::v1::Instance]| -> Vec<_> {
        all.iter().map(|i| (i.id.clone(), i.machine.clone())).collect()
    };
    let again = mesh.running("web");
    assert_eq!(places(&again), places(&running));
    assert!(again.iter().all(|now| now.epoch >> 40 > 0), "at an epoch of its own: {again:?}");
    let waits = mesh.instance("single@1").unwrap();
    assert!(waits.detail.contains("the mesh before the restore"), "{}", waits.detail);
    let second = within(QUARANTINE, "the singleton runs again", || {
        mesh.instance("single@1").filter(|now| now.state() == RunState::Running)
    });
    figure("from a restore to leases", now().saturating_sub(began));
    assert!(second.epoch >> 40 > 0 && second.epoch > first.epoch, "{}", second.epoch);
    until("the quarantine is over", || (!mesh.status().quarantined).then_some(()));
    // What is written goes on from there, and another start needs no restore.
    let more = mesh.unit("more.service", IDLE, "");
    mesh.run(&[&more]);
    mesh.stop();
    mesh.resume();
    mesh.running("more");
}
