//! Members of different builds in one mesh: nothing enters the log that one of them does not know, and one that cannot
//! go on says what it needs.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use kato_core::Command;
use kato_core::version::{FIRST, NEWEST};
use kato_raft::{DirDisk, Mesh, NodeId};

use crate::node::{PATIENCE, Site};
use crate::running::{self, Running};
use crate::work::{leader, settled, write};

/// In this time every coordinator reports several times.
const MANY_REPORTS: Duration = Duration::from_secs(3);

/// Starts a whole coordinator that knows mesh versions up to `knows`.
async fn start(site: &Site, id: NodeId, knows: u32) -> Result<Running> {
    let disk = Arc::new(DirDisk::open(site.store(id))?);
    running::start(site, id, knows, disk).await
}

/// Waits until a member has applied a mesh version.
async fn reaches(mesh: &Mesh, version: u32) -> Result<()> {
    let mut views = mesh.watch();
    let reached = views.wait_for(|view| view.state.version == version);
    tokio::time::timeout(PATIENCE, reached).await.context("the version stays")??;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_mesh_is_raised_once_the_last_old_member_is_gone() -> Result<()> {
    let site = Site::new()?;
    let versions = [NEWEST, FIRST, NEWEST];
    let starting = (1..).zip(versions).map(|(id, knows)| start(&site, id, knows));
    let mut running = futures_util::future::try_join_all(starting).await?;
    // Every coordinator has described itself, so every one reports to the others.
    let mut views = running[0].mesh.watch();
    let all = views.wait_for(|view| view.state.datacenters.len() == 3);
    tokio::time::timeout(PATIENCE, all).await.context("they do not meet")??;
    // Several times as long as a report takes.
    let raised = tokio::time::timeout(MANY_REPORTS, views.wait_for(|v| v.state.version != FIRST));
    ensure!(raised.await.is_err(), "ewr does not know it");
    write(&running[1].mesh, "extra", "written by ewr").await?;
    drop(views);
    running.remove(1).stop().await?;
    let back = start(&site, 2, NEWEST).await?;
    reaches(&back.mesh, NEWEST).await?;
    let state = back.mesh.stale().state;
    let raised = format!("from {FIRST} to {NEWEST}");
    ensure!(state.events.iter().any(|event| event.message.starts_with(&raised)));
    back.stop().await?;
    for member in running {
        member.stop().await?;
    }
    Ok(())
}

/// Whatever raised it: a member that does not know the version stops, with the reason, and comes back when it does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_is_too_old_stops_and_says_so() -> Result<()> {
    let mut site = Site::new()?;
    site.knows = [NEWEST + 1, NEWEST + 1, NEWEST];
    let mut nodes = site.start_all().await?;
    write(&nodes[0].mesh, "dub", "before").await?;
    if leader(&nodes[0], |_| true).await? == 3 {
        nodes[2].mesh.transfer(1).await?;
        leader(&nodes[2], |id| id == 1).await?;
    }
    // Its own build refuses to raise the mesh over itself.
    let raise = vec![Command::RaiseVersion { to: NEWEST + 1 }];
    let refused = nodes[2].mesh.propose(raise.clone(), PATIENCE).await.unwrap_err().to_string();
    let newer = NEWEST + 1;
    let needs = format!("needs mesh version {newer}, the mesh is at version {FIRST}");
    ensure!(refused.contains(&needs), "{refused}");
    ensure!(nodes[0].mesh.propose(raise, PATIENCE).await?[0].is_ok());
    let old = nodes.pop().context("three")?;
    let expected = format!(
        "needs mesh version {newer}, this kato knows versions up to {NEWEST}: start the newer binary"
    );
    let stopped = old.failed().await?;
    ensure!(stopped.contains(&expected), "{stopped}");
    write(&nodes[1].mesh, "dub", "after").await?;
    let again = site.start(3).await?.failed().await?;
    ensure!(again.contains(&expected), "{again}");
    site.knows = [NEWEST + 1; 3];
    nodes.push(site.start(3).await?);
    let states = settled(&nodes.iter().collect::<Vec<_>>()).await?;
    ensure!(states.iter().all(|state| *state == states[0]), "same-log-same-state");
    reaches(&nodes[2].mesh, NEWEST + 1).await?;
    for node in nodes {
        node.stop().await?;
    }
    Ok(())
}
