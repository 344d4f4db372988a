//! The mesh: three datacenters with a coordinator and a machine each, every one of them a process on a host of its own.

use std::fs::File;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use kato_proto::v1;
use rustix::process::{Pid, Signal, kill_process};

use crate::files;
use crate::net::{Net, address};

/// The datacenters, each with a region and its place, degrees north and east.
pub(crate) const DATACENTERS: [(&str, &str, &str); 3] = [
    ("dub", "eu-west-1", "[53.4, -6.3]"),
    ("ewr", "us-east-1", "[40.7, -74.2]"),
    ("sin", "ap-southeast-1", "[1.4, 104.0]"),
];
/// The port of every coordinator.
pub(crate) const PORT: u16 = 7440;

/// The number of the host on which a datacenter's coordinator runs, that of its machine, and both.
pub(crate) fn coordinator_of(datacenter: usize) -> usize {
    datacenter * 2
}

pub(crate) fn machine_of(datacenter: usize) -> usize {
    datacenter * 2 + 1
}

pub(crate) fn hosts_of(datacenter: usize) -> [usize; 2] {
    [coordinator_of(datacenter), machine_of(datacenter)]
}

/// All hosts, with the process that each was made for.
pub(crate) struct Hosts {
    pub(crate) net: Net,
    directory: PathBuf,
    kato: PathBuf,
    running: Vec<Child>,
}

impl Hosts {
    /// Writes every file, and starts everything.
    pub(crate) fn start(kato: PathBuf, directory: &Path) -> Result<Self> {
        files::write(directory)?;
        let hosts = DATACENTERS.len() * 2;
        let (net, directory) = (Net::new(hosts)?, directory.to_owned());
        let mut mesh = Self { net, directory, kato, running: Vec::new() };
        mesh.running = (0..hosts).map(|host| mesh.spawn(host)).collect::<Result<_>>()?;
        Ok(mesh)
    }

    fn spawn(&self, host: usize) -> Result<Child> {
        let verb = if host.is_multiple_of(2) { "coordinator" } else { "agent" };
        let log = self.directory.join(format!("host-{host}.log"));
        let log = File::options().create(true).append(true).open(log)?;
        let mut command = Net::on(host, &self.kato.display().to_string());
        command.arg(verb).arg("--config").arg(files::config(&self.directory, host));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(command.spawn()?)
    }

    /// Sends a signal to the process that a host was made for.
    pub(crate) fn signal(&self, host: usize, signal: Signal) -> Result<()> {
        let sent = kill_process(Pid::from_child(&self.running[host]), signal);
        sent.with_context(|| format!("the process of host {host} is gone"))
    }

    /// Stops every process on a host, units and their guards too.
    pub(crate) fn freeze(host: usize) -> Result<()> {
        let mut stopped = Vec::new();
        loop {
            let processes = Net::processes(host)?;
            if processes == stopped {
                return Ok(());
            }
            // Again, for what was started while it went on.
            processes.iter().for_each(|process| send(*process, Signal::STOP));
            stopped = processes;
        }
    }

    /// Kills every process on a host, units and their guards too, as a power cut does.
    pub(crate) fn power_off(host: usize) -> Result<()> {
        loop {
            let processes = Net::processes(host)?;
            if processes.is_empty() {
                return Ok(());
            }
            processes.into_iter().for_each(|process| send(process, Signal::KILL));
        }
    }

    /// Makes everything good: heals cuts, wakes what stands still, starts what was killed. That something ended otherwise
    /// is an error.
    pub(crate) fn mend(&mut self) -> Result<()> {
        self.net.heal()?;
        for host in 0..self.running.len() {
            Net::processes(host)?.into_iter().for_each(|process| send(process, Signal::CONT));
            let Some(ended) = self.running[host].try_wait()? else { continue };
            ensure!(was_killed(ended), "the process of host {host} ended by itself: {ended}");
            self.running[host] = self.spawn(host)?;
        }
        Ok(())
    }

    /// An operator's command, on the host of the first coordinator.
    pub(crate) fn operate(&self, arguments: &[&str]) -> Result<String> {
        let path = |file: &str| self.directory.join(file);
        let addresses = (0..DATACENTERS.len()).map(coordinator_of);
        let addresses: Vec<String> =
            addresses.map(|host| format!("{}:{PORT}", address(host))).collect();
        let mut command = Net::on(coordinator_of(0), &self.kato.display().to_string());
        command.args(arguments).args(["--address", &addresses.join(","), "--timeout", "3s"]);
        command.arg("--ca").arg(path("ca.pem")).arg("--cert").arg(path("ada.pem"));
        command.arg("--key").arg(path("ada-key.pem"));
        command.env("KATO_CONTEXT_FILE", path("contexts.toml"));
        let output = command.output()?;
        let (said, errors) = (output.stdout, String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8(said)?;
        ensure!(output.status.success(), "kato {}: {said}{errors}", arguments.join(" "));
        Ok(said)
    }

    /// The number of the datacenter that leads.
    pub(crate) fn leader(&self) -> Result<usize> {
        let status = self.operate(&["status", "-o", "json"])?;
        let status: v1::GetStatusResponse = serde_json::from_str(&status)?;
        number(&status.leader)
    }

    /// The number of the datacenter where the only instance is placed.
    pub(crate) fn home(&self) -> Result<usize> {
        let placements = self.operate(&["get", "placements", "-o", "json"])?;
        let placements: v1::ListPlacementsResponse = serde_json::from_str(&placements)?;
        match &placements.instances[..] {
            [instance] => number(&instance.datacenter),
            others => bail!("there are {} instances", others.len()),
        }
    }
}

fn number(datacenter: &str) -> Result<usize> {
    let found = DATACENTERS.iter().position(|(name, ..)| *name == datacenter);
    found.with_context(|| format!("there is no datacenter \"{datacenter}\""))
}

fn send(process: i32, signal: Signal) {
    // It may have ended meanwhile.
    let _ = Pid::from_raw(process).map(|process| kill_process(process, signal));
}

fn was_killed(ended: ExitStatus) -> bool {
    ended.signal() == Some(Signal::KILL.as_raw())
}
