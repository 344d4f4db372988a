//! What a machine may lack: a test that needs it says so and ends, and the closing list (`zz_not_run`) says it again, so
//! that a test that did not run is never taken for one that passed. Every test program of the workspace includes this
//! file: they share no crate.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;

/// Turns every test that does not run into a failure.
const REQUIRE_ALL: &str = "KATO_REQUIRE_ALL";

/// Cargo's `target` directory: test programs lie in `target/PROFILE/deps`.
pub(crate) fn target() -> PathBuf {
    let own = std::env::current_exe().expect("this program has a path");
    own.ancestors().nth(3).expect("it lies in target/PROFILE/deps").to_owned()
}

/// Says that the test that calls this is not run. It returns after that.
///
/// # Panics
/// Where everything must run.
pub(crate) fn not_run(reason: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("unnamed").replace("::", "-");
    let line = format!("NOT RUN: {test}: {reason}");
    assert!(
        std::env::var_os(REQUIRE_ALL).is_none_or(|v| v != "1"),
        "{line}, and {REQUIRE_ALL} is set"
    );
    // Past the test harness, which would keep the line to itself.
    writeln!(std::io::stderr(), "{line}").expect("the standard error takes a line");
    let directory = target().join("not-run");
    fs::create_dir_all(&directory).expect("target/ can be written to");
    let file = OpenOptions::new().create(true).append(true).open(directory.join(&test));
    writeln!(file.expect("target/ can be written to"), "{line}").expect("it takes a line");
}
