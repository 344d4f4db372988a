//! A leader that is asked to stop hands over first: nobody waits for an election.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use kato_core::version::NEWEST;
use kato_raft::Timing;
use kato_raft::rig::RigDisk;
use tokio::time::Instant;

use crate::node::{PATIENCE, Site};
use crate::running;
use crate::work::{address, write};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_stops_hands_over_before_anybody_misses_it() -> Result<()> {
    let site = Site::new()?;
    let starting =
        (1..=3).map(|id| running::start(&site, id, NEWEST, Arc::new(RigDisk::default())));
    let mut members = futures_util::future::try_join_all(starting).await?;
    write(&members[0].mesh, "extra", "before").await?;
    let leads = members.iter().position(|member| member.mesh.leadership().borrow().here);
    let leads = leads.context("a leader")?;
    let leader = members.swap_remove(leads);
    let mut leadership = members[0].mesh.leadership();
    let old = leadership.borrow().term;
    let begun = Instant::now();
    leader.shutdown.cancel();
    let next = leadership.wait_for(|now| now.term > old && now.leader.is_some());
    drop(tokio::time::timeout(PATIENCE, next).await.context("nobody takes over")??);
    let took = begun.elapsed();
    println!("from the signal to the next leader: {took:?}");
    // Whoever keeps faith in a leader, as all do for so long, stands for no election.
    let faith = Timing::for_rtt_ms(1)?.election_min;
    ensure!(took < faith, "it took {took:?}, which is an election");
    write(&members[1].mesh, "extra", "after").await?;
    ensure!(address(&members[0].mesh.read(PATIENCE).await?.state, "extra") == Some("after"));
    tokio::time::timeout(PATIENCE, leader.joined).await.context("it does not stop")???;
    for member in members {
        member.stop().await?;
    }
    Ok(())
}
