//! The first scenario: three members elect, write, lose the leader with its unsynced writes, write on, take the
//! lost one back by a snapshot, and agree.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use kato_raft::{Member, NodeId};
use turmoil::Sim;

use crate::host::Host;
use crate::trace::Trace;

/// The longest time that a phase may take.
const PHASE: Duration = Duration::from_mins(1);
/// Writes before and after the loss. More than the log keeps, so that the lost member needs a snapshot.
const WRITES: usize = 30;
const WRITES_WITHOUT: usize = 90;

/// What a run left behind.
pub(crate) struct Run {
    pub(crate) summary: String,
    pub(crate) trace: String,
}

pub(crate) fn run(seed: u64) -> Result<Run> {
    let trace = Trace::default();
    let hosts = [Host::new("dub", 1), Host::new("ewr", 2), Host::new("sin", 3)];
    let member = |host: &Host| -> Result<(NodeId, Member)> {
        Ok((
            host.id,
            Member { datacenter: host.name.parse()?, address: format!("{}:7440", host.name) },
        ))
    };
    let founders = hosts.iter().map(member).collect::<Result<BTreeMap<_, _>>>()?;
    let mut sim = turmoil::Builder::new()
        .rng_seed(seed)
        .tick_duration(Duration::from_millis(1))
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(5))
        .simulation_duration(Duration::from_mins(10))
        .build();
    for host in &hosts {
        let (running, founders, trace) = (host.clone(), founders.clone(), trace.clone());
        sim.host(host.name, move || running.clone().run(founders.clone(), seed, trace.clone()));
    }

    until(&mut sim, "a leader", || hosts.iter().any(Host::leads))?;
    let first = (seed % 3) as usize;
    write(&mut sim, &hosts[first], "before", WRITES)?;

    let lost = hosts.iter().find(|host| host.leads()).context("the leader went")?.clone();
    lost.crashed();
    sim.crash(lost.name);
    let left: Vec<&Host> = hosts.iter().filter(|host| host.id != lost.id).collect();
    until(&mut sim, "another leader", || left.iter().any(|host| host.leads()))?;
    write(&mut sim, left[first % 2], "without", WRITES_WITHOUT)?;

    sim.bounce(lost.name);
    let agree = || {
        let applied = hosts.each_ref().map(Host::applied);
        applied[0].0 > 0 && applied[0] == applied[1] && applied[1] == applied[2]
    };
    until(&mut sim, "agreement", agree)?;

    let (index, present) = hosts[0].applied();
    let acknowledged: Vec<String> = hosts.iter().flat_map(|host| host.acknowledged().0).collect();
    for name in &acknowledged {
        ensure!(present.contains(name), "acknowledged-is-durable: {name} is gone (seed {seed})");
    }
    let trace = trace.text();
    let installs = format!("{} answers /kato.mesh.v1.Raft/InstallSnapshot", lost.name);
    ensure!(trace.contains(&installs), "no snapshot reached the lost member (seed {seed})");
    let summary = format!(
        "seed {seed}: {} writes acknowledged and present, {index} entries, {} lost and back, \
         by a snapshot, {:.3} virtual s, {} events, fingerprint {:08x}",
        acknowledged.len(),
        lost.name,
        sim.elapsed().as_secs_f64(),
        trace.lines().count(),
        crc32c::crc32c(trace.as_bytes()),
    );
    Ok(Run { summary, trace })
}

/// Lets time pass until `reached`.
fn until(sim: &mut Sim<'_>, what: &str, reached: impl Fn() -> bool) -> Result<()> {
    let deadline = sim.elapsed() + PHASE;
    while !reached() {
        ensure!(sim.elapsed() < deadline, "no {what} within {PHASE:?} of virtual time");
        sim.step().map_err(|error| anyhow::anyhow!("a host failed: {error}"))?;
    }
    Ok(())
}

/// Has `host` write `count` datacenters, and waits until it is done with all of them.
fn write(sim: &mut Sim<'_>, host: &Host, what: &str, count: usize) -> Result<()> {
    let before = host.acknowledged().0.len();
    host.write((0..count).map(|number| format!("{what}-{number}")));
    until(sim, "end of the writes", || host.acknowledged().1 == 0)?;
    let acknowledged = host.acknowledged().0.len() - before;
    ensure!(acknowledged > count / 2, "only {acknowledged} of {count} writes were acknowledged");
    Ok(())
}
