//! The page of limits says what the code says: each constant that it names has the value that stands beside it, and no
//! limit of the crates that coordinators consist of is missing.

use crate::nothing;
use crate::tree::files;

/// Where the page lies.
const PAGE: &str = "docs/limits.md";
/// The crates whose limits users meet.
const CRATES: [&str; 4] =
    ["crates/coordinator/src/", "crates/core/src/", "crates/net/src/", "crates/raft/src/"];
/// Timeouts follow from round trips, and have a page of their own.
const ELSEWHERE: &str = "/timing.rs";

/// A line of the page: the limit as it is written, the file and the constant.
struct Row {
    value: String,
    path: String,
    name: String,
}

fn rows() -> Vec<Row> {
    let page = files(&[PAGE]).remove(0);
    let row = |line: &str| {
        let cells: Vec<&str> = line.strip_prefix("| ")?.split('|').map(str::trim).collect();
        let [_, value, _, constant, ""] = cells[..] else { return None };
        let mut code = constant.split('`').skip(1).step_by(2).map(str::to_owned);
        Some(Row { value: value.to_owned(), path: code.next()?, name: code.next()? })
    };
    page.text.lines().filter_map(row).collect()
}

/// What stands behind `const NAME: … =`.
fn defined<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let start = text.find(&format!("const {name}: "))?;
    let (_, value) = text[start..].split_once('=')?;
    Some(value.split_once(';')?.0.trim())
}

/// A constant's value: a number, in milliseconds where it is a time.
fn number(code: &str) -> Option<u64> {
    for (make, millis) in [("from_mins(", 60_000), ("from_secs(", 1_000), ("from_millis(", 1)] {
        if let Some((_, rest)) = code.split_once(make) {
            return Some(number(rest.strip_suffix(')')?)? * millis);
        }
    }
    if let Some((left, right)) = code.split_once(" - ") {
        return number(left)?.checked_sub(number(right)?);
    }
    if let Some((left, right)) = code.split_once(" << ") {
        return Some(number(left)? << number(right)?);
    }
    code.split(" * ").map(|factor| factor.replace('_', "").parse::<u64>().ok()).product()
}

/// The same of what people read: `4 MiB`, `10 s`, `4,096`.
fn written(text: &str) -> Option<u64> {
    let (figure, unit) = text.split_once(' ').unwrap_or((text, ""));
    let factor = match unit {
        "" | "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    Some(figure.replace(',', "").parse::<u64>().ok()? * factor)
}

#[test]
fn limits_are_what_the_page_says() {
    let (rows, sources) = (rows(), files(&[".rs"]));
    assert!(rows.len() > 40, "the page has {} lines that can be read", rows.len());
    let mut found = Vec::new();
    for Row { value, path, name } in &rows {
        let source = sources.iter().find(|file| file.path == *path);
        let code = source.and_then(|file| defined(&file.text, name));
        let Some(code) = code else {
            found.push(format!("{PAGE}: there is no {name} in {path}"));
            continue;
        };
        if written(value).is_none() || written(value) != number(code) {
            found.push(format!("{PAGE}: {name} is {value} there, and {code} in {path}"));
        }
    }
    nothing(&found);
}

#[test]
fn every_limit_is_on_the_page() {
    let rows = rows();
    let mut found = Vec::new();
    for file in files(&[".rs"]) {
        let own = CRATES.iter().any(|start| file.path.starts_with(start));
        if !own || file.path.ends_with(ELSEWHERE) {
            continue;
        }
        for (_, rest) in file.text.lines().filter_map(|line| line.split_once("const ")) {
            let Some((name, _)) = rest.split_once(": ") else { continue };
            let there = rows.iter().any(|row| row.path == file.path && row.name == name);
            if name.ends_with("_MAX") && !there {
                found.push(format!("{PAGE}: {name} of {} is missing", file.path));
            }
        }
    }
    nothing(&found);
}
