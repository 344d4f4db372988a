//! What sources and documents say: each begins with why it exists, none holds what was left for later, none
//! knows the machine that it was written on, and links lead somewhere.

use std::path::Path;

use crate::nothing;
use crate::tree::{File, files, root};

/// Words that mean "later". Put together here, so that this file does not hold them.
const LATER: [[&str; 2]; 5] =
    [["TO", "DO"], ["FIX", "ME"], ["todo", "!("], ["unimple", "mented!("], ["#[ig", "nore"]];
/// Where a path begins that only one machine has. A home directory in an example is `/home/ada`.
const MACHINES: [[&str; 2]; 3] = [["/ro", "ot/"], ["/wo", "rk/"], ["/hom", "e/"]];
const EXAMPLE_HOME: &str = "/home/ada";

#[test]
fn every_source_says_why_it_exists() {
    let silent = files(&[".rs"]).into_iter().filter(|file| !file.text.starts_with("//! "));
    let found: Vec<String> =
        silent.map(|file| format!("{}: does not begin with //!", file.path)).collect();
    nothing(&found);
}

#[test]
fn every_protocol_file_says_what_it_is_for() {
    let silent = files(&[".proto"]).into_iter().filter(|file| !file.text.starts_with("// "));
    let found: Vec<String> =
        silent.map(|file| format!("{}: does not begin with a comment", file.path)).collect();
    nothing(&found);
}

#[test]
fn nothing_is_left_for_later() {
    let mut found = Vec::new();
    for File { path, text } in files(&[".rs", ".proto"]) {
        for (number, line) in (1..).zip(text.lines()) {
            let words = LATER.iter().map(|word| word.concat());
            found.extend(
                words.filter(|word| line.contains(word)).map(|w| format!("{path}:{number}: {w}")),
            );
        }
    }
    nothing(&found);
}

#[test]
fn no_text_knows_the_machine_that_it_was_written_on() {
    let mut found = Vec::new();
    let ends = [".rs", ".md", ".toml", ".proto", ".service", ".yml", ".snap", ".ci/run"];
    for File { path, text } in files(&ends) {
        for (number, line) in (1..).zip(text.lines()) {
            let own = MACHINES.iter().map(|parts| parts.concat());
            let names = own.filter(|start| begins_a_path(line, start));
            found.extend(names.map(|start| format!("{path}:{number}: a path in {start}")));
        }
    }
    nothing(&found);
}

/// Whether `start` stands in the line where a path begins, and not in the middle of one.
fn begins_a_path(line: &str, start: &str) -> bool {
    line.match_indices(start).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let inside = before.is_some_and(|c| c.is_alphanumeric() || "_.-})>%*$@".contains(c));
        !inside && !line[at..].starts_with(EXAMPLE_HOME)
    })
}

#[test]
fn links_lead_somewhere() {
    let mut found = Vec::new();
    for File { path, text } in files(&[".md"]) {
        let directory = root().join(&path).parent().unwrap().to_owned();
        for rest in text.split("](").skip(1) {
            let target = rest.split([')', '#']).next().unwrap_or_default();
            let elsewhere = target.is_empty() || target.contains("://");
            if !elsewhere && !Path::new(&directory).join(target).exists() {
                found.push(format!("{path}: there is no {target}"));
            }
        }
    }
    nothing(&found);
}
