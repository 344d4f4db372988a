//! `SkyPilot` itself: installed once, then run as a process for each round.

use std::path::{Path, PathBuf};
use std::process::Command;

use kato_core::MicroDollars;
use serde_json::{Value, json};

use super::{Answer, Request};
use crate::Failure;
use crate::page::Page;
use crate::world::World;

const VERSION: &str = "0.14.1";
/// What calls its optimizer without a network.
const SCRIPT: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/tools/skypilot_optimize.py");

/// Where it is, and what it is run on.
pub(super) struct Peer {
    directory: PathBuf,
    script: PathBuf,
    catalogue: PathBuf,
}

impl Peer {
    /// Installs it beside what cargo builds, unless it is there.
    pub(super) fn install(world: &World, page: &mut Page) -> Result<Self, Failure> {
        let program = std::env::current_exe()?;
        let target = program.ancestors().nth(3).ok_or("this program is in no target directory")?;
        let directory = target.join(format!("skypilot-{VERSION}"));
        let script = world.options.script.clone().unwrap_or_else(|| SCRIPT.to_owned());
        let script = std::fs::canonicalize(&script)
            .map_err(|error| format!("no script at {script} (--skypilot SCRIPT): {error}"))?;
        let catalogue = std::fs::canonicalize(&world.options.path)?;
        let done = directory.join("installed");
        if !done.exists() {
            page.say(&format!("installing SkyPilot {VERSION} into {}", directory.display()))?;
            run(Command::new("python3").args(["-m", "venv"]).arg(&directory))?;
            let package = format!("skypilot[aws]=={VERSION}");
            let pip = directory.join("bin/pip");
            run(Command::new(pip).args(["install", "--quiet", "--no-input", &package]))?;
            std::fs::write(done, VERSION)?;
        }
        Ok(Self { directory, script, catalogue })
    }

    /// Its answers, in the order of the requests.
    pub(super) fn answer(&self, requests: &[Request]) -> Result<Vec<Answer>, Failure> {
        let asked: Vec<Value> = requests.iter().map(Request::json).collect();
        let path = self.directory.join("requests.json");
        std::fs::write(&path, serde_json::to_string(&asked)?)?;
        let mut command = Command::new(self.directory.join("bin/python"));
        command.arg(&self.script).arg(&self.catalogue).arg(&path);
        command.env("SKYTEST_HOME", self.home()?);
        let text = run(&mut command)?;
        // Between its answers it may tell of other things.
        let lines = text.lines().filter(|line| line.starts_with('{'));
        let lines: Result<Vec<Value>, _> = lines.map(serde_json::from_str).collect();
        let answers: Vec<Answer> =
            lines?.iter().filter(|line| line.get("ms").is_some()).map(read).collect();
        if answers.len() != requests.len() {
            return Err(format!("SkyPilot answered {} requests", answers.len()).into());
        }
        Ok(answers)
    }

    fn home(&self) -> Result<PathBuf, Failure> {
        let home: &Path = &self.directory.join("home");
        std::fs::create_dir_all(home)?;
        Ok(home.to_owned())
    }
}

impl Request {
    /// As the script reads it.
    fn json(&self) -> Value {
        let Self { cpus, gib, spot, region, nodes } = self;
        json!({
            "name": "request",
            "cpus": format!("{cpus}+"),
            "memory": format!("{gib}+"),
            "spot": spot,
            "region": region,
            "nodes": nodes,
        })
    }
}

fn read(line: &Value) -> Answer {
    let text = |key: &str| line.get(key).and_then(Value::as_str).unwrap_or_default();
    let number = |key: &str| line.get(key).and_then(Value::as_f64);
    // Dollars of some thousands at the most.
    #[allow(clippy::cast_possible_truncation)]
    let price = number("usd_hour_total").map(|usd| MicroDollars((usd * 1e6).round() as i64));
    let what = match price {
        Some(_) => format!("{} {}", text("instance"), text("region")),
        None => text("error").to_owned(),
    };
    Answer { what, price, shared: None, seconds: vec![number("ms").unwrap_or_default() / 1e3] }
}

/// What a command prints; what it complains of where it fails.
fn run(command: &mut Command) -> Result<String, Failure> {
    let output = command.output().map_err(|error| format!("cannot run {command:?}: {error}"))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        return Err(format!("SkyPilot cannot be run ({command:?}):\n{complaint}").into());
    }
    Ok(String::from_utf8(output.stdout)?)
}
