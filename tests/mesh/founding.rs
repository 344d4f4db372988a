//! A mesh is founded once.

use anyhow::{Context as _, Result, ensure};

use crate::node::{PATIENCE, Site};
use crate::work::{leader, write};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wiped_founder_refuses_to_found_a_second_mesh() -> Result<()> {
    let site = Site::new()?;
    let mut nodes = site.start_all().await?;
    nodes[0].founded().await?;
    write(&nodes[0].mesh, "dub", "before").await?;
    let founder = nodes.remove(0);
    founder.stop().await?;
    leader(&nodes[0], |id| id != 1).await?;
    std::fs::remove_dir_all(site.store(1))?;
    let mut wiped = site.start(1).await?;
    let refused = wiped.founded().await.err().context("it founded a second mesh")?.to_string();
    ensure!(refused.contains("is part of a mesh already, this store is empty"), "{refused}");
    ensure!(refused.contains("under a new member id"), "{refused}");
    // As the coordinator does, whose start fails with that.
    wiped.stop().await?;
    write(&nodes[0].mesh, "dub", "after").await?;
    let view = nodes[1].mesh.read(PATIENCE).await?;
    ensure!(crate::work::address(&view.state, "dub") == Some("after"));
    for node in nodes {
        node.stop().await?;
    }
    Ok(())
}

/// A voter that has forgotten its votes may not vote: it is refused, and the others do not notice it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wiped_follower_takes_no_part_and_harms_nobody() -> Result<()> {
    let site = Site::new()?;
    let mut nodes = site.start_all().await?;
    write(&nodes[0].mesh, "dub", "before").await?;
    let leads = leader(&nodes[0], |_| true).await?;
    let follower = nodes.iter().position(|n| n.id != leads && n.id != 1).context("a follower")?;
    let gone = nodes.remove(follower);
    let id = gone.id;
    gone.stop().await?;
    write(&nodes[0].mesh, "dub", "without it").await?;
    std::fs::remove_dir_all(site.store(id))?;
    let mut wiped = site.start(id).await?;
    let refused = wiped.founded().await.err().context("it was taken back")?.to_string();
    ensure!(
        refused.contains("this store is empty: join that mesh under a new member id"),
        "{refused}"
    );
    // It stays up, as one might whose peers were down when it asked them.
    for number in 0..20 {
        write(&nodes[number % 2].mesh, "dub", &number.to_string()).await?;
    }
    ensure!(wiped.mesh.stale().index == 0 && wiped.mesh.leadership().borrow().term == 0);
    for node in &nodes {
        ensure!(leader(node, |_| true).await? == leads, "the leader went down");
    }
    wiped.stop().await?;
    for node in nodes {
        node.stop().await?;
    }
    Ok(())
}

/// A founder waits for the others, however late they come.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_founds_before_all_founders_answer() -> Result<()> {
    let site = Site::new()?;
    let first = site.start(1).await?;
    let second = site.start(2).await?;
    let outcome = second.mesh.read(std::time::Duration::from_millis(300)).await;
    ensure!(outcome.is_err() && first.mesh.leadership().borrow().leader.is_none());
    let third = site.start(3).await?;
    write(&third.mesh, "dub", "founded").await?;
    for node in [first, second, third] {
        node.stop().await?;
    }
    Ok(())
}
