//! A mesh begins anew from a backup, and nobody of the mesh before comes between.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use kato_net::clock::{Clock as _, SystemClock};
use kato_raft::{Backup, StoreError, restore};

use crate::node::{Node, PATIENCE, Site};
use crate::work::{address, leader, settled, write};

async fn stop(nodes: Vec<Node>) -> Result<()> {
    for node in nodes {
        node.stop().await?;
    }
    Ok(())
}

/// Reads a store, once whoever had it before, in this process, has closed it.
async fn read(store: &Path) -> Result<Backup> {
    let closed = async {
        loop {
            match Backup::read(store) {
                Err(StoreError::InUse) => tokio::task::yield_now().await,
                read => return read,
            }
        }
    };
    Ok(tokio::time::timeout(PATIENCE, closed).await.context("the store stays in use")??)
}

/// Reads a backup, and gives it to the first member.
async fn begin_anew(site: &Site, backup: &Path) -> Result<u64> {
    let mut backup = read(backup).await?;
    backup.state.restore(SystemClock.wall(), &BTreeSet::new());
    restore(&site.store(1), 1, site.founders()?, &backup).await?;
    Ok(backup.entry)
}

/// Wipes the stores of members.
async fn wipe(site: &Site, members: impl IntoIterator<Item = u64>) -> Result<()> {
    for id in members {
        read(&site.store(id)).await?;
        std::fs::remove_dir_all(site.store(id))?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mesh_goes_on_from_a_backup_once_all_have_answered() -> Result<()> {
    let site = Site::new()?;
    let nodes = site.start_all().await?;
    write(&nodes[0].mesh, "dub", "before").await?;
    settled(&nodes.iter().collect::<Vec<_>>()).await?;
    stop(nodes).await?;
    let backup = site.store(3).with_extension("backup");
    read(&site.store(3)).await?;
    std::fs::rename(site.store(3), &backup)?;
    wipe(&site, [1, 2]).await?;
    let entry = begin_anew(&site, &backup).await?;

    // One is missing, and the first one is restarted meanwhile.
    let second = site.start(2).await?;
    for _ in 0..2 {
        let first = site.start(1).await?;
        let read = second.mesh.read(Duration::from_millis(1_500)).await;
        ensure!(read.is_err() && first.mesh.leadership().borrow().leader.is_none());
        first.stop().await?;
    }
    let mut nodes = vec![site.start(1).await?, second, site.start(3).await?];
    nodes[0].founded().await?;
    write(&nodes[2].mesh, "ewr", "after").await?;
    let view = nodes[1].mesh.read(PATIENCE).await?;
    ensure!(view.index > entry && address(&view.state, "dub") == Some("before"));
    ensure!(view.state.revision.incarnation() > 0 && view.state.quarantined.is_some());
    let states = settled(&nodes.iter().collect::<Vec<_>>()).await?;
    ensure!(states.iter().all(|state| *state == states[0]), "same-log-same-state");
    stop(nodes).await?;

    // From here on it is a mesh like any other.
    let nodes = site.start_all().await?;
    write(&nodes[0].mesh, "sin", "later").await?;
    stop(nodes).await
}

/// Two that were forgotten would be a majority of the mesh before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_was_forgotten_takes_nobody_back() -> Result<()> {
    let site = Site::new()?;
    let nodes = site.start_all().await?;
    write(&nodes[0].mesh, "dub", "before").await?;
    settled(&nodes.iter().collect::<Vec<_>>()).await?;
    stop(nodes).await?;
    wipe(&site, [1, 2]).await?;
    begin_anew(&site, &site.store(3)).await?;

    let second = site.start(2).await?;
    let third = site.start(3).await?;
    let mut first = site.start(1).await?;
    let refused = first.founded().await.err().context("it went on")?.to_string();
    ensure!(refused.contains("member 3 (sin) is part of a mesh already"), "{refused}");
    ensure!(refused.contains("stop that one, and move its store away"), "{refused}");
    let taken = third.mesh.read(Duration::from_secs(2)).await;
    ensure!(taken.is_err(), "the mesh before goes on");
    stop(vec![first, third]).await?;

    wipe(&site, [3]).await?;
    let nodes = vec![site.start(1).await?, second, site.start(3).await?];
    write(&nodes[0].mesh, "dub", "after").await?;
    stop(nodes).await
}

/// It was down while all the others were asked, and comes back with a longer log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_of_the_mesh_before_that_comes_late_overrules_nobody() -> Result<()> {
    let site = Site::new()?;
    let mut nodes = site.start_all().await?;
    write(&nodes[0].mesh, "dub", "before").await?;
    settled(&nodes.iter().collect::<Vec<_>>()).await?;
    let third = nodes.remove(2);
    let backup = site.store(3).with_extension("backup");
    third.stop().await?;
    read(&site.store(3)).await?;
    copy(&site.store(3), &backup)?;
    let third = site.start(3).await?;
    for number in 0..50 {
        write(&nodes[0].mesh, "dub", &number.to_string()).await?;
    }
    settled(&[&nodes[0], &nodes[1], &third]).await?;
    nodes.push(third);
    stop(nodes).await?;

    let late = site.store(3).with_extension("late");
    read(&site.store(3)).await?;
    std::fs::rename(site.store(3), &late)?;
    wipe(&site, [1, 2]).await?;
    begin_anew(&site, &backup).await?;
    let nodes = site.start_all().await?;
    write(&nodes[0].mesh, "ewr", "anew").await?;
    settled(&nodes.iter().collect::<Vec<_>>()).await?;
    let mut nodes = nodes;
    let new = nodes.remove(2);
    new.stop().await?;
    // Its new store is swapped for the old one.
    wipe(&site, [3]).await?;
    std::fs::rename(&late, site.store(3))?;
    let old = site.start(3).await?;
    leader(&nodes[0], |id| id != 3).await?;
    for number in 0..20 {
        write(&nodes[number % 2].mesh, "ewr", &number.to_string()).await?;
    }
    let view = nodes[1].mesh.read(PATIENCE).await?;
    ensure!(address(&view.state, "dub") == Some("before") && view.state.quarantined.is_some());
    let state = old.mesh.stale().state;
    ensure!(state.quarantined.is_none() && address(&state, "ewr").is_none(), "it was taken in");
    old.stop().await?;
    stop(nodes).await
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir(to)?;
    for entry in std::fs::read_dir(from)? {
        let path = entry?.path();
        std::fs::copy(&path, to.join(path.file_name().context("a name")?))?;
    }
    Ok(())
}
