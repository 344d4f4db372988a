//! Everything stops and starts again: the mesh is what it was.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use kato_proto::v1::Instance;

use crate::support::mesh::{DATACENTERS, IDLE, Mesh};
use crate::support::{figure, processes};

/// Every certificate and key below the data directory, byte by byte.
fn certificates(data: &Path) -> BTreeMap<String, Vec<u8>> {
    let directories = DATACENTERS.iter().map(|name| data.join(name)).chain([data.join("pki")]);
    let entries = directories.flat_map(|directory| fs::read_dir(directory).unwrap());
    let paths = entries.map(|entry| entry.unwrap().path());
    let pem = paths.filter(|path| path.extension().is_some_and(|extension| extension == "pem"));
    pem.map(|path| (path.display().to_string(), fs::read(&path).unwrap())).collect()
}

#[test]
fn the_same_data_directory_resumes_the_same_mesh() {
    let mut mesh = Mesh::start();
    let files = [
        mesh.unit("spread@.service", IDLE, "Count=3\nSpread=datacenter"),
        mesh.unit("single.service", IDLE, "Singleton=yes"),
    ];
    mesh.run(&files.each_ref().map(String::as_str));
    let place = |i: Instance| (i.id, i.machine, i.epoch, i.generation);
    let places = |mesh: &Mesh| -> Vec<_> {
        let all = ["spread", "single"].map(|workload| mesh.running(workload));
        all.into_iter().flatten().map(place).collect()
    };
    let history = |mesh: &Mesh| -> Vec<_> {
        mesh.events().into_iter().map(|e| (e.revision, e.kind, e.subject)).collect()
    };
    let (before, events, pki) = (places(&mesh), history(&mesh), certificates(&mesh.data()));
    assert!(pki.len() > 20, "{:?}", pki.keys());

    mesh.stop();
    mesh.resume();
    figure("from `kato dev` to ready, resumed", mesh.took);
    assert!(mesh.said().contains("resuming a mesh"), "{}", mesh.said());
    assert_eq!(certificates(&mesh.data()), pki);
    assert_eq!(places(&mesh), before);
    assert_eq!(history(&mesh)[..events.len()], events[..]);
    for (id, ..) in before {
        assert_eq!(processes::copies(&mesh.data(), &id).len(), 1, "{id}");
    }
}

#[test]
fn what_a_killed_supervisor_left_behind_is_cleared_away() {
    let mut mesh = Mesh::start();
    mesh.run(&[&mesh.unit("spread@.service", IDLE, "Count=3\nSpread=datacenter")]);
    let before = processes::of(&mesh.data()).len();
    mesh.crash();
    assert_eq!(processes::of(&mesh.data()).len(), before - 1, "all but the supervisor live on");
    mesh.resume();
    assert!(mesh.said().contains("processes that an earlier kato dev left"), "{}", mesh.said());
    for instance in mesh.running("spread") {
        assert_eq!(processes::copies(&mesh.data(), &instance.id).len(), 1, "{}", instance.id);
    }
}
