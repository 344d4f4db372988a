//! Every unit file that is known to be wrong, through the front door: named, refused, and without a trace.

use std::fs;

use crate::support::mesh::Mesh;
use crate::support::program::repository;

/// Wrong only where places are as the unit tests have them: the real gazetteer knows one Paris by that name, and the
/// airport of Dublin at a distance from the city.
const RIGHT_HERE: [&str; 2] = ["near-ambiguous.service", "near-twice.service"];

#[test]
fn a_bad_unit_file_is_named_and_changes_nothing() {
    let mesh = Mesh::start();
    let before = mesh.status().read.unwrap().revision;
    let entries = fs::read_dir(repository().join("crates/units/tests/bad")).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "service"));
    files.retain(|path| !RIGHT_HERE.iter().any(|name| path.ends_with(name)));
    assert!(files.len() >= 50, "only {} files", files.len());
    let mut wrong = Vec::new();
    for path in &files {
        let name = path.file_name().unwrap().to_str().unwrap();
        let expected = fs::read_to_string(format!("{}.expected", path.display())).unwrap();
        // `name:5: …`, or `name: …` where no line is at fault.
        let place = expected.split(": ").next().unwrap();
        let ran = mesh.kato(&["apply", "-y", path.to_str().unwrap()]);
        let said = ran.err.contains(name) && ran.err.contains(place);
        if ran.code != 1 || !ran.err.starts_with("error: ") || !said {
            wrong.push(format!("{name}: wanted {place}: {ran:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), files.len(), wrong.join("\n"));
    assert_eq!(mesh.status().read.unwrap().revision, before, "something was changed");
    assert_eq!(mesh.status().workloads, 0);
}
