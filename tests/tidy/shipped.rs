//! What is shipped is right: units in `deploy` and in the documents, and the configuration files that the
//! documents tell operators to write.

#[path = "../not_run.rs"]
mod not_run;

use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use kato_units::{Located, parse_workload};

use crate::nothing;
use crate::tree::{files, root};

fn resolve(place: &str) -> Result<Vec<Located>, String> {
    let found = kato_placement::gazetteer::locate(place);
    found.map(|found| vec![found.coordinates.into()]).map_err(|error| error.to_string())
}

/// Reads a workload, and says what is wrong with it or not quite right.
fn check(file: &str, name: &str, text: &str, found: &mut Vec<String>) {
    let findings = match parse_workload(name, text, &resolve) {
        Ok(parsed) => parsed.warnings,
        Err(findings) => findings,
    };
    found.extend(findings.iter().map(|finding| format!("{file}: {finding}")));
}

#[test]
fn every_example_is_a_workload_without_a_finding() {
    let mut found = Vec::new();
    let shipped = files(&[".service"]).into_iter();
    for file in shipped.filter(|file| file.path.starts_with("deploy/examples/")) {
        let name = Path::new(&file.path).file_name().unwrap().to_str().unwrap();
        check(&file.path, name, &file.text, &mut found);
    }
    nothing(&found);
}

/// The code blocks of a document in one language.
fn blocks(document: &str, language: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root().join(document)).unwrap();
    let fence = format!("```{language}\n");
    let blocks = text.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap());
    let blocks: Vec<String> = blocks.map(str::to_owned).collect();
    assert!(!blocks.is_empty(), "{document} has no block of {language}");
    blocks
}

#[test]
fn every_unit_in_the_documents_is_a_workload_without_a_finding() {
    let mut found = Vec::new();
    for block in blocks("docs/units.md", "ini") {
        // A block that shows a few lines of a section stands in a unit that is complete.
        let unit = if block.contains("[Service]") {
            block
        } else {
            format!("[Service]\nExecStart=/bin/true\n{block}")
        };
        check("docs/units.md", "web@.service", &unit, &mut found);
    }
    nothing(&found);
}

#[test]
fn the_configuration_files_of_the_manual_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file.toml");
    let (mut coordinators, mut agents) = (0, 0);
    for block in blocks("docs/install.md", "toml") {
        std::fs::write(&path, &block).unwrap();
        if block.starts_with("domain") {
            kato_coordinator::Config::load(&path).unwrap();
            coordinators += 1;
        } else if block.starts_with("machine") {
            kato_agent::daemon::Config::load(&path).unwrap();
            agents += 1;
        }
    }
    assert_eq!((coordinators, agents), (1, 1), "docs/install.md shows one of each");
}

/// systemd reads every unit that is shipped. The program of Káto's own ones is not installed where this runs.
#[test]
fn systemd_takes_every_shipped_unit() {
    let directory = tempfile::tempdir().unwrap();
    let (mut own, mut examples) = (0, 0);
    for file in files(&[".service"]) {
        let mut text = file.text.clone();
        if file.path.starts_with("deploy/systemd/") {
            assert!(text.contains("=/usr/local/bin/kato "), "{}: another program", file.path);
            text = text.replace("/usr/local/bin/kato", "/bin/true");
            own += 1;
        } else if file.path.starts_with("deploy/examples/") {
            examples += 1;
        } else {
            continue;
        }
        let name = Path::new(&file.path).file_name().unwrap();
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        let output = match Command::new("systemd-analyze").arg("verify").arg(&path).output() {
            Ok(output) => output,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return not_run::not_run("systemd-analyze is not installed");
            }
            Err(error) => panic!("systemd-analyze: {error}"),
        };
        let said = String::from_utf8_lossy(&output.stderr);
        // Warnings about the machine's other units are not ours; about this file there may be none.
        let name = name.to_str().unwrap().trim_end_matches(".service").trim_end_matches('@');
        let ours: Vec<&str> = said.lines().filter(|line| line.contains(name)).collect();
        assert!(output.status.success() && ours.is_empty(), "{}: {said}", file.path);
    }
    assert!(own >= 2 && examples >= 3, "{own} of Káto's own, {examples} examples");
}
