//! Members take another timing one after the other, while everybody writes and reads.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result, ensure};
use kato_raft::{Mesh, Timing};

use crate::node::{PATIENCE, Site};
use crate::work::{address, leader, settled, undecided, write};

/// Writes through one member until told to end; returns the last that was acknowledged.
async fn write_on(mesh: &Mesh, name: &str, over: &AtomicBool) -> Result<u32> {
    let mut acknowledged = 0;
    for number in 1.. {
        let outcome = mesh.propose(crate::work::register(name, &number.to_string())?, PATIENCE);
        let outcome = outcome.await;
        match outcome {
            Ok(_) => acknowledged = number,
            Err(_) if undecided(&outcome) => {}
            Err(error) => return Err(error.into()),
        }
        if over.load(Ordering::Relaxed) {
            return Ok(acknowledged);
        }
    }
    Ok(acknowledged)
}

/// The index of what a member shows never goes back.
async fn look_on(mesh: &Mesh, over: &AtomicBool) -> Result<()> {
    let mut seen = 0;
    while !over.load(Ordering::Relaxed) {
        let view = mesh.read(PATIENCE).await?;
        ensure!(view.index >= seen, "entry {} was shown after {seen}", view.index);
        seen = view.index;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_take_another_timing_while_everybody_writes() -> Result<()> {
    let mut site = Site::new()?;
    site.snapshot_every = 50;
    let nodes = site.start_all().await?;
    write(&nodes[0].mesh, "dub", "before").await?;
    let over = AtomicBool::new(false);
    let work = async {
        let (a, b, c) = tokio::join!(
            write_on(&nodes[0].mesh, "a", &over),
            write_on(&nodes[1].mesh, "b", &over),
            write_on(&nodes[2].mesh, "c", &over),
        );
        Ok::<_, anyhow::Error>([a?, b?, c?])
    };
    let change = async {
        for rtt_ms in [50, 100, 25] {
            let timing = Timing::for_rtt_ms(rtt_ms)?;
            let leads = leader(&nodes[0], |_| true).await?;
            let followers = nodes.iter().filter(|node| node.id != leads);
            let next = followers.clone().next().context("a follower")?;
            for node in followers.clone() {
                node.mesh.retime(timing).await?;
                // It takes part again before the next one is silent.
                write(&node.mesh, "between", &format!("{rtt_ms} {}", node.id)).await?;
            }
            let led = nodes.iter().find(|node| node.id == leads).context("a leader")?;
            led.mesh.transfer(next.id).await?;
            leader(led, |id| id != leads).await?;
            led.mesh.retime(timing).await?;
            ensure!(nodes.iter().all(|node| node.mesh.timing() == timing));
            write(&led.mesh, "between", &format!("{rtt_ms} {leads}")).await?;
        }
        over.store(true, Ordering::Relaxed);
        Ok::<_, anyhow::Error>(())
    };
    let looking = async {
        let looks = nodes.iter().map(|node| look_on(&node.mesh, &over));
        futures_util::future::try_join_all(looks).await
    };
    let (acknowledged, (), _) = tokio::try_join!(work, change, looking)?;
    let view = nodes[0].mesh.read(PATIENCE).await?;
    for (name, last) in ["a", "b", "c"].into_iter().zip(acknowledged) {
        ensure!(last > 10, "{name} wrote {last} times");
        let written = address(&view.state, name).context("it was written")?.parse::<u32>()?;
        ensure!(written >= last, "{name}: {last} was acknowledged, {written} is there");
    }
    let states = settled(&nodes.iter().collect::<Vec<_>>()).await?;
    ensure!(states.iter().all(|state| *state == states[0]), "same-log-same-state");
    for node in nodes {
        node.stop().await?;
    }
    // All of it is on the disks.
    let nodes = site.start_all().await?;
    let after = settled(&nodes.iter().collect::<Vec<_>>()).await?;
    ensure!(after.iter().all(|state| *state == states[0]), "after a restart of all");
    for node in nodes {
        node.stop().await?;
    }
    Ok(())
}
