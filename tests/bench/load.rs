//! Load from many clients at once, each with one call in flight.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kato_proto::v1 as pb;
use kato_proto::v1::workloads_client::WorkloadsClient;
use tonic::Status;
use tonic::transport::Channel;

use crate::etcd::{self, Etcd};
use crate::mesh::{Mesh, SITES};
use crate::rounds;

/// Connections that the clients share, over all coordinators.
const CONNECTIONS: usize = 6;
/// How long one round lasts.
const ROUND: Duration = Duration::from_secs(3);

/// New workloads, each placed and committed by one call.
pub(crate) async fn placements(count: u32, clients: &[usize]) -> anyhow::Result<()> {
    rounds::heading("committed placements, one RPC per workload, three coordinators, mutual TLS");
    for &clients in clients {
        let mut figures = Vec::new();
        for _ in 0..count {
            // A mesh of its own: each would otherwise begin with all that the one before has placed.
            let mesh = Mesh::start().await?;
            let channels = connect(|number| mesh.channel(number))?;
            let next = AtomicU64::new(0);
            let call = async |channel, _| {
                let number = next.fetch_add(1, Ordering::Relaxed);
                apply(channel, format!("w{number}@.service"), text(number, 500)).await
            };
            figures.push(round(clients, &channels, call).await?);
        }
        print("placements", clients, &figures);
    }
    Ok(())
}

/// Changes of workloads that exist: one durable write each, and no placement. etcd's puts of the same bytes in turn.
pub(crate) async fn writes(count: u32, clients: &[usize]) -> anyhow::Result<()> {
    rounds::heading(
        "durable writes, three members, mutual TLS: a changed workload, or a put of its text",
    );
    let mesh = Mesh::start().await?;
    let channels = connect(|number| mesh.channel(number))?;
    let etcd = Etcd::start(&mesh.directory()).await;
    let etcd = etcd.inspect_err(|error| rounds::heading(&format!("etcd: NOT RUN: {error:#}"))).ok();
    let peers = match &etcd {
        None => Vec::new(),
        Some(etcd) => {
            let peers = connect(|number| mesh.dial(etcd.address(number)))?;
            etcd.wait(&peers[0]).await?;
            peers
        }
    };
    let next = AtomicU64::new(0);
    // Each client has a workload of its own, and changes what latency costs it.
    let changed = |client: u64| {
        let number = next.fetch_add(1, Ordering::Relaxed);
        (format!("c{client}@.service"), text(client, 1 + number % 900_000))
    };
    let apply = async |channel, client| {
        let (name, text) = changed(client);
        apply(channel, name, text).await
    };
    let put = async |channel, client| {
        let (name, text) = changed(client);
        etcd::put(channel, name, text).await
    };
    for &clients in clients {
        let (mut own, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..count {
            own.push(round(clients, &channels, apply).await?);
            if etcd.is_some() {
                theirs.push(round(clients, &peers, put).await?);
            }
        }
        print("writes", clients, &own);
        if etcd.is_some() {
            print("etcd 3.4 puts", clients, &theirs);
            let pairs = own.iter().zip(&theirs);
            let ratios = pairs.map(|(own, theirs)| own.per_second / theirs.per_second).collect();
            rounds::print(&format!("writes / etcd's puts, {clients} clients"), "", ratios);
        }
    }
    Ok(())
}

fn connect(channel: impl Fn(usize) -> anyhow::Result<Channel>) -> anyhow::Result<Vec<Channel>> {
    let channels = (0..CONNECTIONS).map(|number| channel(number % SITES.len()));
    channels.collect()
}

/// A unit whose users are near one of the datacenters, each in turn.
fn text(number: u64, latency_price_micros: u64) -> String {
    let near = SITES[usize::try_from(number).unwrap_or_default() % SITES.len()].to_uppercase();
    format!(
        "[Service]\nExecStart=/bin/true\n[X-Kato]\nCPU=1m\nMemory=1M\nNear={near}\n\
         LatencyPrice=0.{latency_price_micros:06}\n"
    )
}

async fn apply(channel: Channel, file_name: String, text: String) -> Result<(), Status> {
    let source = pb::apply_request::Source::Unit(pb::UnitFile { file_name, text });
    let request = pb::ApplyRequest { source: Some(source), ..Default::default() };
    match WorkloadsClient::new(channel).apply(request).await?.get_ref().unplaced {
        0 => Ok(()),
        _ => Err(Status::resource_exhausted("the mesh of the benchmark is full")),
    }
}

/// What one round gave.
struct Round {
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
}

/// Calls from all clients for the length of a round.
#[allow(clippy::disallowed_methods, reason = "a benchmark measures real time")]
async fn round<F: Future<Output = Result<(), Status>>>(
    clients: usize,
    channels: &[Channel],
    call: impl Fn(Channel, u64) -> F,
) -> anyhow::Result<Round> {
    let end = Instant::now() + ROUND;
    let work = (0..clients).map(async |client| {
        let channel = &channels[client % channels.len().min(clients)];
        let mut times = Vec::new();
        while Instant::now() < end {
            let began = Instant::now();
            call(channel.clone(), client as u64).await?;
            times.push(began.elapsed().as_secs_f64() * 1e3);
        }
        Ok::<_, Status>(times)
    });
    let mut times = Vec::new();
    for client in futures_util::future::join_all(work).await {
        times.extend(client?);
    }
    times.sort_by(f64::total_cmp);
    let at = |permille: usize| times.get(times.len() * permille / 1000).copied();
    #[allow(clippy::cast_precision_loss)]
    Ok(Round {
        per_second: times.len() as f64 / ROUND.as_secs_f64(),
        p50_ms: at(500).unwrap_or_default(),
        p99_ms: at(990).unwrap_or_default(),
    })
}

fn print(what: &str, clients: usize, rounds: &[Round]) {
    let figures = |figure: fn(&Round) -> f64| rounds.iter().map(figure).collect();
    rounds::print(&format!("{what}, {clients} clients"), "/s", figures(|round| round.per_second));
    rounds::print(&format!("{what}, {clients} clients, p50"), "ms", figures(|round| round.p50_ms));
    rounds::print(&format!("{what}, {clients} clients, p99"), "ms", figures(|round| round.p99_ms));
}
