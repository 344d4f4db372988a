//! Members go: the leader, the majority, and one that is not who it should be.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::time::Instant;

use crate::node::{Node, PATIENCE, Site};
use crate::work::{address, leader, register, undecided, write};

/// How long a proposal waits that cannot be decided.
const SHORT: Duration = Duration::from_millis(700);

fn take(nodes: &mut Vec<Node>, id: u64) -> Result<Node> {
    let place = nodes.iter().position(|node| node.id == id).context("it runs")?;
    Ok(nodes.remove(place))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_leader_is_followed_by_another_with_every_acknowledged_write() -> Result<()> {
    let site = Site::new()?;
    let mut nodes = site.start_all().await?;
    for number in 0..20 {
        write(&nodes[number % 3].mesh, &format!("dc-{number}"), "kept").await?;
    }
    let lost = leader(&nodes[0], |_| true).await?;
    let begun = Instant::now();
    take(&mut nodes, lost)?.stop().await?;
    write(&nodes[0].mesh, "after", "the loss").await?;
    println!("leader stopped to first write acknowledged: {:?}", begun.elapsed());
    for node in &nodes {
        let view = node.mesh.read(PATIENCE).await?;
        for number in 0..20 {
            let kept = address(&view.state, &format!("dc-{number}"));
            ensure!(kept == Some("kept"), "acknowledged-is-durable: dc-{number} on {}", node.id);
        }
        ensure!(leader(node, |id| id != lost).await? != lost);
    }
    for node in nodes {
        node.stop().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_majority_proposals_fail_in_time_and_work_again_later() -> Result<()> {
    let site = Site::new()?;
    let mut nodes = site.start_all().await?;
    write(&nodes[0].mesh, "dub", "before").await?;
    let leads = leader(&nodes[0], |_| true).await?;
    // The leader stays: alone it may neither decide nor pretend to.
    let others: Vec<u64> = (1..=3).filter(|id| *id != leads).collect();
    for id in &others {
        take(&mut nodes, *id)?.stop().await?;
    }
    for number in 0..3 {
        let begun = Instant::now();
        let outcome = nodes[0].mesh.propose(register("dub", &number.to_string())?, SHORT).await;
        ensure!(undecided(&outcome), "{outcome:?}");
        ensure!(begun.elapsed() < SHORT * 3, "it took {:?}", begun.elapsed());
    }
    let read = nodes[0].mesh.read(SHORT).await;
    ensure!(read.is_err(), "a leader without a majority answered a linearizable read");
    nodes.push(site.start(others[0]).await?);
    write(&nodes[0].mesh, "dub", "again").await?;
    let view = nodes[1].mesh.read(PATIENCE).await?;
    ensure!(address(&view.state, "dub") == Some("again"));
    for node in nodes {
        node.stop().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_another_datacenter_takes_no_part() -> Result<()> {
    let site = Site::new()?;
    let mut nodes = site.start_all().await?;
    write(&nodes[0].mesh, "dub", "before").await?;
    take(&mut nodes, 3)?.stop().await?;
    let impostor = site.start_as(3, "ewr").await?;
    let before = impostor.mesh.stale().index;
    write(&nodes[0].mesh, "dub", "after").await?;
    // It is not reached at its own address, and what it asks of others is refused.
    let outcome = impostor.mesh.propose(register("dub", "forged")?, SHORT).await;
    ensure!(undecided(&outcome), "{outcome:?}");
    ensure!(impostor.mesh.read(SHORT).await.is_err());
    ensure!(
        impostor.mesh.stale().index <= before.max(1) && !impostor.mesh.leadership().borrow().here
    );
    let view = nodes[1].mesh.read(PATIENCE).await?;
    ensure!(address(&view.state, "dub") == Some("after"));
    impostor.stop().await?;
    let rightful = site.start(3).await?;
    let view = rightful.mesh.read(PATIENCE).await?;
    ensure!(address(&view.state, "dub") == Some("after"));
    rightful.stop().await?;
    for node in nodes {
        node.stop().await?;
    }
    Ok(())
}
