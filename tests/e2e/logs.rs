//! What servers log: text that programs read too.

use std::fs;
use std::path::PathBuf;

use crate::support::mesh::{DATACENTERS, Mesh};

/// The logs of every coordinator and agent.
fn logs(mesh: &Mesh) -> Vec<(PathBuf, String)> {
    let files = DATACENTERS.into_iter().flat_map(|datacenter| {
        fs::read_dir(mesh.data().join(datacenter)).unwrap().map(|entry| entry.unwrap().path())
    });
    let logs = files.filter(|path| path.extension().is_some_and(|end| end == "log"));
    logs.map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn a_log_in_a_file_has_no_colours() {
    let mesh = Mesh::start();
    let logs = logs(&mesh);
    assert_eq!(logs.len(), 9, "a coordinator and two agents in each datacenter: {logs:#?}");
    for (path, text) in logs {
        assert!(text.contains("INFO"), "{}: {text}", path.display());
        assert!(!text.contains('\u{1b}'), "{}: {text:?}", path.display());
    }
}
