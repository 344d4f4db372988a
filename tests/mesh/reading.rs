//! Many readers at once: whoever waits shares one question to the leader, on a follower as on the leader, and still
//! nobody misses a write that was acknowledged before.

use anyhow::{Result, ensure};
use futures_util::future::try_join_all;
use tokio::time::Instant;

use crate::node::{Node, PATIENCE, Site};
use crate::work::{address, leader, write};

/// Readers that ask at once.
const READERS: usize = 1_000;
/// Rounds that a burst of them may take: those under way, one for all who wait, and some for a machine that is busy.
const ROUNDS_MAX: u64 = 10;
/// Questions with which three members keep two connections to each other open, if all of them come just then.
const OPENING: u64 = 12;

/// Reads from all readers at once, each of which must see `latest`.
async fn burst(node: &Node, latest: &str) -> Result<()> {
    let reading = (0..READERS).map(async |_| {
        let view = node.mesh.read(PATIENCE).await?;
        let seen = address(&view.state, "dub");
        ensure!(seen == Some(latest), "{seen:?}, not {latest}");
        Ok(())
    });
    try_join_all(reading).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_of_readers_shares_its_questions_to_the_leader() -> Result<()> {
    let site = Site::new()?;
    let nodes = site.start_all().await?;
    write(&nodes[0].mesh, "dub", "first").await?;
    let leads = leader(&nodes[0], |_| true).await?;
    for node in &nodes {
        let latest = format!("by {}", node.id);
        write(&node.mesh, "dub", &latest).await?;
        let asked = site.calls("/kato.mesh.v1.Raft/ReadIndex");
        let appended = site.calls("/kato.mesh.v1.Raft/Append");
        let begun = Instant::now();
        burst(node, &latest).await?;
        let took = begun.elapsed();
        let asked = site.calls("/kato.mesh.v1.Raft/ReadIndex") - asked;
        let appended = site.calls("/kato.mesh.v1.Raft/Append") - appended;
        println!("{READERS} reads in {took:?}: {asked} questions, {appended} calls to followers");
        if node.id == leads {
            ensure!(asked <= OPENING, "the leader asked {asked} times");
        } else {
            ensure!((1..=ROUNDS_MAX + OPENING).contains(&asked), "{asked} questions");
        }
        // Two followers, and heartbeats of their own at least ten times a second.
        let beats = u64::try_from(took.as_millis())? / 100 + 1;
        ensure!(appended <= 2 * (ROUNDS_MAX + beats), "{appended} calls within {took:?}");
    }
    for node in nodes {
        node.stop().await?;
    }
    Ok(())
}
