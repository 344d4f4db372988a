//! Certificates made by the verbs, checked by openssl where there is one.

#[path = "../../../../../tests/not_run.rs"]
mod not_run;

use std::path::Path;
use std::process::Command;

use clap::Parser;

use crate::cli;
use crate::failure::{Exit, render};

fn kato(words: &str, directory: &Path) -> Result<Exit, String> {
    let words = words.replace("DIR", directory.to_str().unwrap());
    let cli = cli::Cli::try_parse_from(words.split_whitespace()).map_err(|e| e.to_string())?;
    crate::verbs::run(cli).map_err(|error| {
        let text = anstream::adapter::strip_str(&render(&error)).to_string();
        text.replace(directory.to_str().unwrap(), "DIR")
    })
}

/// Whether openssl is there.
fn openssl_is_there() -> bool {
    if Command::new("openssl").arg("version").output().is_ok() {
        return true;
    }
    not_run::not_run("there is no openssl");
    false
}

fn verify(directory: &Path, words: &[&str]) {
    let mut command = Command::new("openssl");
    command.args(["verify", "-CAfile", "ca.pem"]).args(words).current_dir(directory);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
}

#[test]
fn a_whole_mesh_is_issued_and_nothing_is_written_over() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    assert_eq!(kato("kato pki init DIR --domain demo.com", dir), Ok(Exit::Done));
    for words in [
        "coordinator dub --san localhost,127.0.0.1",
        "operator ada",
        "reader grafana --days 30",
        "agent core-1.cell-1.dub",
        "authority ewr",
        "agent core-1.cell-1.ewr",
        "coordinator ewr",
    ] {
        let words = format!("kato pki issue {words} --dir DIR");
        assert_eq!(kato(&words, dir), Ok(Exit::Done), "{words}");
    }
    for name in
        ["ca", "coordinator-dub", "authority-dub", "operator-ada", "agent-core-1.cell-1.ewr"]
    {
        assert_eq!(kato(&format!("kato pki show DIR/{name}.pem"), dir), Ok(Exit::Done), "{name}");
    }
    let error = kato("kato pki issue operator ada --dir DIR", dir).unwrap_err();
    assert!(error.starts_with("error: DIR/operator-ada.pem exists already\n"), "{error}");
    assert!(error.contains("\n\nhint: nothing was written over; to renew it, move it"), "{error}");
    assert_eq!(kato("kato pki issue operator ada --dir DIR --out DIR/new", dir), Ok(Exit::Done));
    let error = kato("kato pki init DIR --domain demo.com", dir).unwrap_err();
    assert!(error.contains("\n\nhint: nothing was written over"), "{error}");
    if openssl_is_there() {
        verify(dir, &["coordinator-dub.pem", "operator-ada.pem", "reader-grafana.pem"]);
        verify(dir, &["authority-dub.pem"]);
        verify(dir, &["-untrusted", "authority-ewr.pem", "agent-core-1.cell-1.ewr.pem"]);
    }
}

#[test]
fn what_cannot_be_issued_is_explained() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    for (words, expected) in [
        ("issue operator ada --dir DIR", "hint: --dir names where ca.pem and ca-key.pem are"),
        ("issue agent core-1.cell-1.dub --dir DIR", "hint: kato pki issue authority dub"),
        ("issue agent core-1 --dir DIR", "hint: an agent's name is that of its machine"),
        ("issue operator Ada --dir DIR", "caused by: a name in the identity is wrong"),
        ("issue operator ada --dir DIR --days 0", "0 is not in 1..=36500"),
        ("init DIR --domain Demo", "\"Demo\" is not a domain"),
        ("show DIR/none.pem", "error: cannot read DIR/none.pem"),
    ] {
        let error = kato(&format!("kato pki {words}"), dir).unwrap_err();
        assert!(error.contains(expected), "{words} does not say {expected:?}: {error}");
    }
    assert_eq!(std::fs::read_dir(dir).unwrap().count(), 0, "something was written");
    std::fs::write(
        dir.join("key.pem"),
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    )
    .unwrap();
    let error = kato("kato pki show DIR/key.pem", dir).unwrap_err();
    assert!(error.contains("it holds \"PRIVATE KEY\""), "{error}");
}
