//! Every example in `deploy/examples` is a workload without a single warning, and the real systemd takes
//! it too: that one file serves both is a promise of the format.

// Clippy takes only functions marked #[test] for tests; what they call is one too.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kato_core::Coordinates;
use kato_units::{Located, Parsed, Service, Specifiers, UnitFile, parse_workload, port_variable};

fn examples() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/examples");
    let entries = std::fs::read_dir(directory).unwrap();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "service"))
        .collect();
    files.sort();
    assert!(files.len() >= 3, "the examples have gone: {files:?}");
    files
}

fn resolve(place: &str) -> Result<Vec<Located>, String> {
    let at = match place {
        "Dublin" => "53.35,-6.26",
        "London" => "51.51,-0.13",
        _ => return Err(format!("{place} is not a place that the examples use")),
    };
    Ok(vec![at.parse::<Coordinates>().unwrap().into()])
}

fn parse(path: &Path) -> (String, Parsed) {
    let name = path.file_name().unwrap().to_str().unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    let parsed = parse_workload(name, &text, &resolve)
        .unwrap_or_else(|findings| panic!("{name} is refused: {findings:#?}"));
    (text, parsed)
}

#[test]
fn every_example_is_a_workload_without_warnings() {
    for path in examples() {
        let (_, parsed) = parse(&path);
        assert_eq!(parsed.warnings, [], "{}", path.display());
    }
}

#[test]
fn the_first_example_answers_with_what_it_was_given() {
    let path = examples().into_iter().find(|path| path.ends_with("web@.service")).unwrap();
    let (text, Parsed { spec, .. }) = parse(&path);
    assert_eq!((spec.count, spec.latency_ms_max), (2, Some(60)));
    let file = UnitFile::parse("web@.service", &text).unwrap();
    let specifiers = Specifiers::new("web@2".parse().unwrap(), true, "core-1");
    let service = Service::for_instance(&file, &specifiers).unwrap();
    let mut environment: BTreeMap<String, String> = service.environment;
    // Without Káto, the unit's own stand-ins serve.
    let argv = service.exec_start[0].argv(&environment);
    assert_eq!(argv[4..], ["8080", "web@2", "in", "nowhere,", "epoch", "0"]);
    let port = port_variable(spec.ports.first().unwrap());
    for (name, value) in [(port.as_str(), "31000"), ("KATO_DATACENTER", "dub"), ("KATO_EPOCH", "7")]
    {
        environment.insert(name.to_owned(), value.to_owned());
    }
    let argv = service.exec_start[0].argv(&environment);
    assert_eq!(argv[..3], ["python3", "-u", "-c"]);
    assert_eq!(argv[4..], ["31000", "web@2", "in", "dub,", "epoch", "7"]);
}
