//! The leader is asked to stop, hands over, and writes go on: how long nobody's write was accepted, with coordinators
//! that are far from each other.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::Signal;
use tokio::time::Instant;
use tonic::transport::Channel;

use crate::attempts::{until_accepted, wish};
use crate::mesh::{Mesh, SITES};
use crate::rounds;
use crate::wait::until;

/// The round trip between two coordinators.
const ROUND_TRIP: Duration = Duration::from_millis(60);
/// How long writes are made before the leader is asked to stop, and after it.
const BEFORE: Duration = Duration::from_secs(2);
const AFTER: Duration = Duration::from_secs(3);

/// Measures so many handovers.
pub(crate) async fn run(count: u32) -> anyhow::Result<()> {
    let heading = format!("a leader that is asked to stop, {ROUND_TRIP:?} between coordinators");
    rounds::heading(&heading);
    let mut mesh = Mesh::without_machines(ROUND_TRIP).await?;
    let next = AtomicU64::new(0);
    let (mut steady, mut gaps, mut ends) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..count {
        let figures = once(&mut mesh, &next).await?;
        let [usual, gap, end] = figures.map(|figure| figure.as_secs_f64() * 1e3);
        steady.push(usual);
        gaps.push(gap);
        ends.push(end);
    }
    rounds::print("between two accepted writes, before", "ms", steady);
    rounds::print("the longest time without one, at the handover", "ms", gaps);
    rounds::print("from the signal to the end of that", "ms", ends);
    Ok(())
}

/// Writes through both of those that stay, and asks the leader to stop.
async fn once(mesh: &mut Mesh, next: &AtomicU64) -> anyhow::Result<[Duration; 3]> {
    let asked = mesh.channel(0)?;
    let mut leader = None;
    until("nobody leads", async || {
        leader = mesh.leader(&asked).await?;
        Ok(leader.is_some())
    })
    .await?;
    let leader = leader.unwrap_or_default();
    let rest = (0..SITES.len()).filter(|site| *site != leader).map(|site| mesh.channel(site));
    let rest = rest.collect::<anyhow::Result<Vec<_>>>()?;
    let (accepted, stop) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    let writing = async |channel: &Channel| {
        while !stop.load(Ordering::Relaxed) {
            let at = until_accepted(|| wish(channel.clone(), next)).await?;
            accepted.lock().unwrap_or_else(PoisonError::into_inner).push(at);
        }
        anyhow::Ok(())
    };
    let last = || accepted.lock().unwrap_or_else(PoisonError::into_inner).last().copied();
    let asking = async {
        let began = Instant::now();
        until("no write", async || Ok(last().is_some_and(|last| last > began + BEFORE))).await?;
        let signalled = Instant::now();
        mesh.end(leader, Signal::TERM)?;
        until("no write", async || Ok(last().is_some_and(|last| last > signalled + AFTER))).await?;
        stop.store(true, Ordering::Relaxed);
        anyhow::Ok(signalled)
    };
    let writers = futures_util::future::try_join_all(rest.iter().map(writing));
    let (signalled, _) = tokio::try_join!(asking, writers)?;
    let figures = figures(accepted.into_inner().unwrap_or_else(PoisonError::into_inner), signalled);
    mesh.restart(leader).await?;
    figures.context("writes before and after the signal")
}

/// The usual time between two of them, the longest one that ends after the signal, and when that ends.
fn figures(mut accepted: Vec<Instant>, signalled: Instant) -> Option<[Duration; 3]> {
    accepted.sort();
    let gaps = accepted.windows(2).map(|pair| (pair[1] - pair[0], pair[1]));
    let (after, before): (Vec<_>, Vec<_>) = gaps.partition(|(_, end)| *end > signalled);
    let mut before: Vec<Duration> = before.into_iter().map(|(gap, _)| gap).collect();
    before.sort();
    let (gap, end) = after.into_iter().max()?;
    Some([*before.get(before.len() / 2)?, gap, end - signalled])
}
