//! A mesh of which nothing fails.

use anyhow::{Result, ensure};
use tokio::time::Instant;

use crate::node::{PATIENCE, Site};
use crate::work::{address, leader, settled, write};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_member_writes_and_every_member_reads_the_latest_write() -> Result<()> {
    let site = Site::new()?;
    let nodes = site.start_all().await?;
    for round in 0..10 {
        for (writer, node) in nodes.iter().enumerate() {
            let latest = format!("{round}-{writer}");
            write(&node.mesh, "dub", &latest).await?;
            for reader in &nodes {
                let view = reader.mesh.read(PATIENCE).await?;
                let seen = address(&view.state, "dub");
                ensure!(seen == Some(latest.as_str()), "{} saw {seen:?}, not {latest}", reader.id);
            }
        }
    }
    let states = settled(&nodes.iter().collect::<Vec<_>>()).await?;
    ensure!(states.iter().all(|state| *state == states[0]), "same-log-same-state");
    for node in nodes {
        node.stop().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leadership_goes_where_it_is_sent() -> Result<()> {
    let site = Site::new()?;
    let nodes = site.start_all().await?;
    let mut leads = leader(&nodes[0], |_| true).await?;
    let mut took = Vec::new();
    for round in 0..6 {
        write(&nodes[0].mesh, "dub", &format!("before-{round}")).await?;
        let next = leads % 3 + 1;
        let begun = Instant::now();
        let from = &nodes[usize::try_from(leads)? - 1];
        from.mesh.transfer(next).await?;
        let to = &nodes[usize::try_from(next)? - 1];
        leads = leader(to, |id| id == next).await?;
        let seen = begun.elapsed();
        write(&to.mesh, "dub", &format!("after-{round}")).await?;
        took.push((seen, begun.elapsed()));
    }
    took.sort();
    println!("transfer: leader seen, first write acknowledged: {took:?}");
    for node in nodes {
        node.stop().await?;
    }
    Ok(())
}
