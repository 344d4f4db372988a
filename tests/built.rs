//! The program `kato` that Cargo built: it lies in `target/PROFILE`, beside this package's programs and above its tests.
//! Each of them includes this file: they share no crate.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Where this package's programs are.
fn profile() -> PathBuf {
    let own = std::env::current_exe().expect("this program has a path");
    let directory = own.parent().expect("it lies in a directory");
    let tests = directory.file_name().is_some_and(|name| name == "deps");
    let profile = if tests { directory.parent() } else { Some(directory) };
    profile.expect("it lies in target/PROFILE").to_owned()
}

/// Makes it, or brings it up to date.
pub(crate) fn build() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "-p", "kato-cli"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    if profile().ends_with("release") {
        command.arg("--release");
    }
    let status = command.status().expect("there is a cargo");
    assert!(status.success(), "kato could not be built");
}

/// Its path. A workspace-wide `cargo test` has made it; where only this package is tested, it is made here, once.
pub(crate) fn kato() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let path = profile().join("kato");
        if !path.exists() {
            build();
        }
        assert!(path.exists(), "cargo build made no {}", path.display());
        path
    })
}
