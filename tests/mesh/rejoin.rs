//! A follower that was away catches up: by the log, and by a snapshot where the log is gone.

use anyhow::{Context as _, Result, ensure};
use kato_raft::{StoreError, offline};

use crate::node::{Node, PATIENCE, Site};
use crate::work::{leader, settled, write};

/// Stops a follower, writes `count` times `bytes` more each, starts it again: it must arrive at the same state.
async fn away_for(site: &Site, count: usize, bytes: usize) -> Result<()> {
    let mut nodes = site.start_all().await?;
    write(&nodes[0].mesh, "dub", "before").await?;
    let leads = leader(&nodes[0], |_| true).await?;
    let place = nodes.iter().position(|node| node.id != leads).context("a follower")?;
    let follower = nodes.remove(place);
    let id = follower.id;
    follower.stop().await?;
    for number in 0..count {
        let text = format!("{number}{}", "x".repeat(bytes));
        write(&nodes[number % 2].mesh, &format!("dc-{}", number % 40), &text).await?;
    }
    let back = site.start(id).await?;
    let states = settled(&[&nodes[0], &nodes[1], &back]).await?;
    ensure!(states.iter().all(|state| *state == states[0]), "same-log-same-state");
    // It takes full part: it writes, and reads its own write.
    write(&back.mesh, "back", "again").await?;
    back.stop().await?;
    for node in nodes {
        node.stop().await?;
    }
    // Everybody starts again from what lies on disk.
    let nodes = site.start_all().await?;
    let states = settled(&nodes.iter().collect::<Vec<_>>()).await?;
    ensure!(states.iter().all(|state| *state == states[0]), "after a restart of all");
    for node in nodes {
        node.stop().await?;
    }
    Ok(())
}

fn snapshots(site: &Site, id: u64) -> Result<usize> {
    let names = std::fs::read_dir(site.store(id))?;
    let names = names.collect::<Result<Vec<_>, _>>()?.into_iter().map(|entry| entry.file_name());
    Ok(names.filter(|name| name.to_string_lossy().starts_with("snapshot-")).count())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_catches_up_by_the_log() -> Result<()> {
    let site = Site::new()?;
    away_for(&site, 60, 0).await?;
    for id in 1..=3 {
        ensure!(snapshots(&site, id)? == 0, "member {id} has a snapshot that nobody asked for");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_catches_up_by_a_snapshot() -> Result<()> {
    let mut site = Site::new()?;
    site.snapshot_every = 20;
    away_for(&site, 120, 0).await?;
    for id in 1..=3 {
        let kept = snapshots(&site, id)?;
        ensure!((1..=2).contains(&kept), "member {id} keeps {kept} snapshots");
    }
    Ok(())
}

/// Its snapshot takes many messages.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_catches_up_by_a_large_snapshot() -> Result<()> {
    let mut site = Site::new()?;
    site.snapshot_every = 20;
    away_for(&site, 120, 40_000).await?;
    for id in 1..=3 {
        let names = std::fs::read_dir(site.store(id))?.collect::<Result<Vec<_>, _>>()?;
        let sizes = names.iter().filter(|entry| entry.path().extension() == Some("kato".as_ref()));
        let largest = sizes.map(|entry| Ok(entry.metadata()?.len())).collect::<Result<Vec<_>>>()?;
        ensure!(
            largest.iter().any(|bytes| *bytes > 1_000_000),
            "member {id} has {largest:?} bytes"
        );
        ensure!(names.iter().all(|entry| entry.path().extension() != Some("tmp".as_ref())));
    }
    Ok(())
}

/// Waits until the one who had a store open, in this process, has closed it.
async fn closed(site: &Site, id: u64) -> Result<()> {
    let closing = async {
        while matches!(offline::log(&site.store(id)), Err(StoreError::InUse)) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, closing).await.context("the store stays in use")
}

/// A log in order that lacks what its member has acknowledged: damage of the very last write can look like this, and so
/// does a directory that somebody put back. Only the leader can tell, and it must not suffer by it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_lost_what_it_acknowledged_is_told_to_come_back_as_another() -> Result<()> {
    let site = Site::new()?;
    let mut nodes = site.start_all().await?;
    write(&nodes[0].mesh, "dub", "before").await?;
    let leads = leader(&nodes[0], |_| true).await?;
    let place = nodes.iter().position(|node| node.id != leads).context("a follower")?;
    let follower = nodes.remove(place);
    let id = follower.id;
    follower.stop().await?;
    closed(&site, id).await?;
    let copied: Vec<_> = ["log.redb", "log.mark"].map(|name| site.store(id).join(name)).into();
    let contents = copied.iter().map(std::fs::read).collect::<Result<Vec<_>, _>>()?;
    let follower = site.start(id).await?;
    // The leader sends it an entry once it has seen the one before acknowledged.
    for number in 0..5 {
        write(&nodes[0].mesh, "dub", &format!("acknowledged {number}")).await?;
        settled(&[&nodes[0], &follower]).await?;
    }
    follower.stop().await?;
    closed(&site, id).await?;
    for (path, content) in copied.iter().zip(contents) {
        std::fs::write(path, content)?;
    }
    let term = |node: &Node| node.mesh.leadership().borrow().term;
    let before = term(&nodes[0]);
    let why = site.start(id).await?.failed().await;
    let why = why.with_context(|| format!("in term {before} and {}", term(&nodes[0])))?;
    ensure!(why.contains("this member has lost what it acknowledged: its log ends at"), "{why}");
    ensure!(why.contains(&format!("member {leads} has seen it acknowledge entry")), "{why}");
    ensure!(why.contains("join this coordinator under a new id"), "{why}");
    // It has noted that: it does not vote before the leader speaks to it again.
    let again = site.start(id).await.err().context("it started")?;
    ensure!(format!("{again:#}").contains("has lost what it acknowledged"), "{again:#}");
    // Nobody else has noticed.
    write(&nodes[0].mesh, "dub", "after").await?;
    for node in &nodes {
        ensure!(leader(node, |_| true).await? == leads, "the leader went down");
    }
    for node in nodes {
        node.stop().await?;
    }
    Ok(())
}
