//! From the death of the leader to the next write that is accepted: real processes, killed without a warning, etcd's in
//! turn.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::Instant;
use tonic::transport::Channel;

use crate::attempts::{first_accepted, wish};
use crate::etcd::{self, Etcd};
use crate::mesh::{Mesh, SITES};
use crate::rounds;
use crate::wait::{answer, until};

/// Between two questions to those that are left who leads.
const LOOK: Duration = Duration::from_millis(5);

/// Measures so many kills.
pub(crate) async fn run(count: u32) -> anyhow::Result<()> {
    rounds::heading(
        "from kill -9 of the leader to the next accepted write, three members, mutual TLS",
    );
    let mut mesh = Mesh::without_machines(Duration::ZERO).await?;
    let etcd = Etcd::start(&mesh.directory()).await;
    let mut etcd =
        etcd.inspect_err(|error| rounds::heading(&format!("etcd: NOT RUN: {error:#}"))).ok();
    let next = AtomicU64::new(0);
    let (mut elected, mut own, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..count {
        let (leader, write) = kato(&mut mesh, &next).await?;
        elected.push(leader.as_secs_f64());
        own.push(write.as_secs_f64());
        if let Some(etcd) = &mut etcd {
            theirs.push(peer(&mesh, etcd).await?.as_secs_f64());
        }
    }
    let ratios = own.iter().zip(&theirs).map(|(own, theirs)| own / theirs).collect();
    rounds::print("kill to a new leader that is known", "s", elected);
    rounds::print("kill to the next accepted write", "s", own);
    if etcd.is_some() {
        rounds::print("etcd 3.4: kill to the next accepted put", "s", theirs);
        rounds::print("write / etcd's put", "", ratios);
    }
    Ok(())
}

/// All but one.
fn without(one: usize, all: &[Channel]) -> Vec<Channel> {
    let rest = all.iter().enumerate().filter(|(member, _)| *member != one);
    rest.map(|(_, channel)| channel.clone()).collect()
}

/// Kills the leader; how long until another one is known, and until a write is accepted that was begun after that.
async fn kato(mesh: &mut Mesh, next: &AtomicU64) -> anyhow::Result<(Duration, Duration)> {
    let channels = (0..SITES.len()).map(|site| mesh.channel(site));
    let channels = channels.collect::<anyhow::Result<Vec<_>>>()?;
    let mut leader = None;
    until("nobody leads", async || {
        leader = mesh.leader(&channels[0]).await?;
        Ok(leader.is_some())
    })
    .await?;
    let leader = leader.unwrap_or_default();
    let rest = without(leader, &channels);
    // Every connection that will be needed stands.
    for channel in &rest {
        wish(channel.clone(), next).await?;
    }
    let began = Instant::now();
    mesh.end(leader, Signal::KILL)?;
    let other = async |channel: &Channel| {
        let is_another = async || match mesh.leader(channel).await {
            Ok(Some(found)) if found != leader => Some(Instant::now()),
            _ => None,
        };
        answer("nobody else leads", LOOK, is_another).await
    };
    let knowing = futures_util::future::select_all(rest.iter().map(|rest| Box::pin(other(rest))));
    let writing = first_accepted(&rest, |channel| wish(channel, next));
    let ((known, ..), written) = tokio::join!(knowing, writing);
    let figures = (known? - began, written? - began);
    mesh.restart(leader).await?;
    Ok(figures)
}

/// The same of etcd.
async fn peer(mesh: &Mesh, etcd: &mut Etcd) -> anyhow::Result<Duration> {
    let channels = (0..SITES.len()).map(|member| mesh.dial(etcd.address(member)));
    let channels = channels.collect::<anyhow::Result<Vec<_>>>()?;
    let mut leader = None;
    until("nobody leads etcd", async || {
        for (member, channel) in channels.iter().enumerate() {
            if etcd::leads(channel).await.unwrap_or(false) {
                leader = Some(member);
            }
        }
        Ok(leader.is_some())
    })
    .await?;
    let leader = leader.unwrap_or_default();
    let rest = without(leader, &channels);
    for channel in &rest {
        etcd.wait(channel).await?;
    }
    let began = Instant::now();
    etcd.kill(leader)?;
    let put = |channel| etcd::put(channel, "w".to_owned(), "a wish that fits nowhere".to_owned());
    let written = first_accepted(&rest, put).await? - began;
    etcd.restart(leader, &channels[leader]).await?;
    Ok(written)
}
