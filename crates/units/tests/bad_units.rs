//! The corpus of unit files that are wrong, each with what an operator is told about it. To see what a
//! new file gives, run the test with `KATO_BLESS=1` and read the `.expected` file that it writes.

// Clippy takes only functions marked #[test] for tests; what they call is one too.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use kato_core::Coordinates;
use kato_units::{Finding, Located, decode, parse_workload};

/// The phrases that tell what would be right.
const REMEDIES: [&str; 12] = [
    "write ",
    "did you mean",
    "use ",
    "remove ",
    "add ",
    "give ",
    "name the file",
    "save ",
    "close ",
    "move ",
    "merge ",
    "put these right",
];

fn corpus() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad");
    let entries = std::fs::read_dir(directory).unwrap();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_none_or(|extension| extension != "expected"))
        .collect();
    files.sort();
    files
}

fn resolve(place: &str) -> Result<Vec<Located>, String> {
    let at = match place {
        "Dublin" | "DUB" => "53.35,-6.26",
        "London" => "51.51,-0.13",
        "Paris" => {
            return Err("\"Paris\" is more than one place: write Paris, FR or Paris, US".to_owned());
        }
        _ => {
            return Err(format!(
                "no place is called \"{place}\": write a city, an airport code such as DUB, \
                 or coordinates such as 53.35,-6.26"
            ));
        }
    };
    Ok(vec![at.parse::<Coordinates>().unwrap().into()])
}

fn findings(path: &Path) -> Vec<Finding> {
    let name = path.file_name().unwrap().to_str().unwrap();
    let bytes = std::fs::read(path).unwrap();
    let parsed = decode(name, &bytes).and_then(|text| parse_workload(name, text, &resolve));
    match parsed {
        Err(findings) => findings,
        Ok(parsed) => panic!("{name} was taken as {:?}", parsed.spec),
    }
}

/// A finding without a line is about the file's name or size, or about something that is missing.
fn may_lack_a_line(finding: &Finding) -> bool {
    finding.section.is_none() || finding.message.contains("add a [Service] section")
}

#[test]
fn every_bad_unit_is_refused_with_the_expected_findings() {
    let bless = std::env::var_os("KATO_BLESS").is_some();
    let files = corpus();
    assert!(files.len() >= 50, "the corpus has only {} files", files.len());
    let mut wrong = String::new();
    for path in files {
        let findings = findings(&path);
        let lines: Vec<String> = findings.iter().map(Finding::to_string).collect();
        let said = lines.join("\n") + "\n";
        let mut beside = path.clone().into_os_string();
        beside.push(".expected");
        if bless {
            std::fs::write(&beside, &said).unwrap();
        }
        let expected = std::fs::read_to_string(&beside).unwrap_or_default();
        if said != expected {
            wrong +=
                &["--- ", &path.to_string_lossy(), "\nexpected:\n", &expected, "said:\n", &said]
                    .concat();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_finding_says_where_it_is_and_what_would_be_right() {
    for path in corpus() {
        let name = path.file_name().unwrap().to_str().unwrap();
        for finding in findings(&path) {
            let shown = finding.to_string();
            assert_eq!(finding.file, name);
            assert!(finding.line.is_some() || may_lack_a_line(&finding), "no line: {shown}");
            assert!(finding.key.is_none() || finding.section.is_some(), "no section: {shown}");
            let remedy = REMEDIES.iter().any(|remedy| finding.message.contains(remedy));
            assert!(remedy, "does not say what would be right: {shown}");
            assert!(!shown.ends_with('.') && shown.len() < 400, "not one short line: {shown}");
        }
    }
}
