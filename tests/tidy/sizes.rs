//! Small files: one main type each, read at one sitting. How long a function may be is clippy's to check
//! (`too_many_lines`, `clippy.toml`).

use crate::nothing;
use crate::tree::files;

/// No source is longer.
const LINES_MAX: usize = 600;
/// Nearly all are at most this long …
const LINES_USUAL: usize = 350;
/// … all but this many in a hundred.
const LONG_PERCENT_MAX: usize = 5;
/// Half of all are at most this long.
const LINES_MEDIAN: usize = 150;

#[test]
fn sources_are_short() {
    let mut lengths: Vec<(usize, String)> =
        files(&[".rs"]).into_iter().map(|file| (file.text.lines().count(), file.path)).collect();
    lengths.sort();
    let too_long = lengths.iter().filter(|(lines, _)| *lines > LINES_MAX);
    let mut found: Vec<String> = too_long
        .map(|(lines, path)| format!("{path}: {lines} lines, {LINES_MAX} at most"))
        .collect();
    let long: Vec<_> = lengths.iter().filter(|(lines, _)| *lines > LINES_USUAL).collect();
    if long.len() * 100 > lengths.len() * LONG_PERCENT_MAX {
        found.push(format!(
            "{} of {} sources have more than {LINES_USUAL} lines, {LONG_PERCENT_MAX} % may: {long:?}",
            long.len(),
            lengths.len()
        ));
    }
    let median = lengths[lengths.len() / 2].0;
    if median > LINES_MEDIAN {
        found.push(format!("the median source has {median} lines, {LINES_MEDIAN} at most"));
    }
    nothing(&found);
}
