//! What servers log: text that programs read too.

use std::fs;
use std::path::PathBuf;

use crate::support::mesh::{DATACENTERS, Mesh};
use crate::support::until;

/// The logs of every coordinator and agent.
fn logs(mesh: &Mesh) -> Vec<(PathBuf, String)> {
    let files = DATACENTERS.into_iter().flat_map(|datacenter| {
        fs::read_dir(mesh.data().join(datacenter)).unwrap().map(|entry| entry.unwrap().path())
    });
    let logs = files.filter(|path| path.extension().is_some_and(|end| end == "log"));
    logs.map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn a_log_in_a_file_has_no_colours_and_a_healthy_start_no_warnings() {
    let mesh = Mesh::start();
    let logs = logs(&mesh);
    assert_eq!(logs.len(), 9, "a coordinator and two agents in each datacenter: {logs:#?}");
    for (path, text) in logs {
        assert!(text.contains("INFO"), "{}: {text}", path.display());
        assert!(!text.contains('\u{1b}'), "{}: {text:?}", path.display());
        assert!(!text.contains("WARN") && !text.contains("ERROR"), "{}: {text}", path.display());
    }
}

#[test]
fn the_loss_of_the_majority_is_said_once() {
    let mesh = Mesh::start();
    let said = |words: &str| {
        let log = fs::read_to_string(mesh.data().join("dub/coordinator.log")).unwrap();
        log.lines().filter(|line| line.contains(words)).count()
    };
    mesh.dev("lose", "ewr");
    mesh.dev("lose", "sin");
    until("dub misses the majority", || {
        (said("no majority of coordinators answers") > 0).then_some(())
    });
    mesh.dev("return", "ewr");
    until("dub has it again", || {
        (said("a majority of coordinators answers again") > 0).then_some(())
    });
    assert_eq!(said("no majority of coordinators answers"), 1);
    assert_eq!(said("openraft"), 0, "openraft says it for every call");
}
