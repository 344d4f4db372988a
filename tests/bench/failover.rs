//! From the death of a datacenter, shims and units included, to its instances running elsewhere: real processes.

use std::process::{Child, Command, Stdio};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

use crate::mesh::kato;
use crate::rounds;
use crate::wait::until;

/// Measures the loss of Newark with eight instances in it.
pub(crate) async fn run(count: u32) -> anyhow::Result<()> {
    rounds::heading("from kill -9 of a datacenter to its 8 instances running elsewhere");
    let mut figures = Vec::new();
    for _ in 0..count {
        figures.push(once().await?);
    }
    rounds::print("kill to running elsewhere", "s", figures);
    Ok(())
}

struct Dev {
    directory: tempfile::TempDir,
    child: Child,
}

impl Drop for Dev {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            kill_process(pid, Signal::INT).ok();
        }
        self.child.wait().ok();
    }
}

impl Dev {
    async fn kato(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = kato()?;
        command.args(arguments).stdout(Stdio::piped());
        command.env("KATO_CONTEXT_FILE", self.directory.path().join("contexts.toml"));
        let output = tokio::task::spawn_blocking(move || Command::output(&mut command)).await??;
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Instances that run outside Newark, or in it.
    async fn running(&self, newark: bool) -> anyhow::Result<usize> {
        let text = self.kato(&["get", "placements"]).await?;
        let there = |line: &&str| line.contains(" running ") && line.contains(" ewr ") == newark;
        Ok(text.lines().filter(there).count())
    }

    async fn until(&self, newark: bool) -> anyhow::Result<()> {
        until("the instances did not run", async || Ok(self.running(newark).await? >= 8)).await
    }
}

#[allow(clippy::disallowed_methods, reason = "a benchmark measures real time")]
async fn once() -> anyhow::Result<f64> {
    let directory = tempfile::tempdir()?;
    let contexts = directory.path().join("contexts.toml");
    let data = directory.path().join("mesh").display().to_string();
    let mut command = kato()?;
    command.args(["dev", "--data-dir", &data]).env("KATO_CONTEXT_FILE", &contexts);
    let dev = Dev { child: command.spawn()?, directory };
    until("kato dev was not ready", async || Ok(contexts.exists())).await?;
    let unit = dev.directory.path().join("idle@.service");
    std::fs::write(
        &unit,
        "[Service]\nExecStart=/bin/sh -c 'while :; do sleep 1; done'\n[X-Kato]\nCount=8\nCPU=10m\n\
         Memory=16M\nNear=EWR\n",
    )?;
    dev.kato(&["apply", "-y", &unit.display().to_string()]).await?;
    dev.until(true).await?;
    let began = Instant::now();
    dev.kato(&["dev", "lose", "ewr", "--data-dir", &data]).await?;
    dev.until(false).await?;
    Ok(began.elapsed().as_secs_f64())
}
