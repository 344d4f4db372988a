//! Hosts that are network namespaces on one bridge, and cuts between them by nftables. What is made here ends with the
//! enclosure around it.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// The network that all hosts are in.
const PREFIX: &str = "10.99.0.";

/// Runs a command of the system, and returns what it said.
pub(crate) fn system(words: &[&str]) -> Result<String> {
    let output = Command::new(words[0]).args(&words[1..]).output();
    let output = output.with_context(|| format!("cannot run {}", words[0]))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {}", words.join(" "), errors.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A host's namespace, where `ip` keeps it.
fn name(host: usize) -> String {
    format!("host-{host}")
}

/// The address of a host.
pub(crate) fn address(host: usize) -> String {
    format!("{PREFIX}{}", host + 1)
}

/// The hosts of a run.
pub(crate) struct Net {
    hosts: usize,
}

impl Net {
    /// Makes so many hosts, and a bridge between them.
    pub(crate) fn new(hosts: usize) -> Result<Self> {
        system(&["ip", "link", "add", "bridge", "type", "bridge"])?;
        system(&["ip", "link", "set", "bridge", "up"])?;
        (0..hosts).try_for_each(Self::add)?;
        Ok(Self { hosts })
    }

    fn add(host: usize) -> Result<()> {
        let (name, here, address) = (name(host), format!("to-{host}"), address(host));
        system(&["ip", "netns", "add", &name])?;
        let link = ["ip", "link", "add", &here, "type", "veth", "peer", "name", "eth0"];
        system(&[&link[..], &["netns", &name]].concat())?;
        system(&["ip", "link", "set", &here, "master", "bridge", "up"])?;
        let address = format!("{address}/24");
        system(&["ip", "-n", &name, "address", "add", &address, "dev", "eth0"])?;
        system(&["ip", "-n", &name, "link", "set", "eth0", "up"])?;
        system(&["ip", "-n", &name, "link", "set", "lo", "up"])?;
        Self::filter(host, "add table inet kato")?;
        Self::filter(host, "add set inet kato unheard { type ipv4_addr; }")?;
        Self::filter(host, "add chain inet kato in { type filter hook input priority 0; }")?;
        Self::filter(host, "add rule inet kato in ip saddr @unheard drop")
    }

    fn filter(host: usize, rule: &str) -> Result<()> {
        let command = Self::on(host, "nft").arg(rule).output()?;
        let errors = String::from_utf8_lossy(&command.stderr);
        ensure!(command.status.success(), "nft {rule}: {}", errors.trim());
        Ok(())
    }

    /// A program on a host. The command becomes the program: its process is the program's.
    pub(crate) fn on(host: usize, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        // Not `ip netns exec`, which would hide control groups.
        command.arg(format!("--net=/run/netns/{}", name(host))).arg("--").arg(program);
        command
    }

    /// Every process on a host.
    pub(crate) fn processes(host: usize) -> Result<Vec<i32>> {
        let listed = system(&["ip", "netns", "pids", &name(host)])?;
        Ok(listed.lines().filter_map(|line| line.trim().parse().ok()).collect())
    }

    /// Lets nothing from the one hosts through to the others.
    pub(crate) fn cut(from: &[usize], to: &[usize]) -> Result<()> {
        let unheard: Vec<String> = from.iter().map(|host| address(*host)).collect();
        let rule = format!("add element inet kato unheard {{ {} }}", unheard.join(", "));
        to.iter().try_for_each(|host| Self::filter(*host, &rule))
    }

    /// Lets nothing through between them, in either direction.
    pub(crate) fn sever(one: &[usize], other: &[usize]) -> Result<()> {
        Self::cut(one, other)?;
        Self::cut(other, one)
    }

    /// Every host but these.
    pub(crate) fn all_but(&self, these: &[usize]) -> Vec<usize> {
        (0..self.hosts).filter(|host| !these.contains(host)).collect()
    }

    /// Lets everything through again.
    pub(crate) fn heal(&self) -> Result<()> {
        (0..self.hosts).try_for_each(|host| Self::filter(host, "flush set inet kato unheard"))
    }
}
