//! Load from many clients at once, each with one call in flight.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kato_proto::v1 as pb;
use kato_proto::v1::workloads_client::WorkloadsClient;
use tonic::transport::Channel;

use crate::mesh::{Mesh, SITES};
use crate::rounds;

/// Clients at once.
const CLIENTS: [usize; 4] = [1, 16, 64, 256];
/// Connections that they share, over all coordinators.
const CONNECTIONS: usize = 6;
/// How long one round lasts.
const ROUND: Duration = Duration::from_secs(3);

/// New workloads, each placed and committed by one call.
pub(crate) async fn placements(count: u32) -> anyhow::Result<()> {
    rounds::heading("committed placements, one RPC per workload, three coordinators, mutual TLS");
    for clients in CLIENTS {
        let mesh = Mesh::start().await?;
        let next = Arc::new(AtomicU64::new(0));
        let unit = |number: u64, _: u64| (format!("w{number}@.service"), text(number, 500));
        measure(&mesh, "placements", clients, count, &next, unit).await?;
    }
    Ok(())
}

/// Changes of workloads that exist: one durable write each, and no placement.
pub(crate) async fn writes(count: u32) -> anyhow::Result<()> {
    rounds::heading("durable writes (a changed workload), three coordinators, mutual TLS");
    let mesh = Mesh::start().await?;
    let next = Arc::new(AtomicU64::new(0));
    for clients in CLIENTS {
        // Each client has a workload of its own, and changes what latency costs it.
        let unit = |number: u64, client: u64| {
            (format!("c{client}@.service"), text(client, 1 + number % 900_000))
        };
        measure(&mesh, "writes", clients, count, &next, unit).await?;
    }
    Ok(())
}

/// A unit whose users are near one of the datacenters, each in turn.
fn text(number: u64, latency_price_micros: u64) -> String {
    let near = SITES[usize::try_from(number).unwrap_or_default() % SITES.len()].to_uppercase();
    format!(
        "[Service]\nExecStart=/bin/true\n[X-Kato]\nCPU=1m\nMemory=1M\nNear={near}\n\
         LatencyPrice=0.{latency_price_micros:06}\n"
    )
}

#[allow(clippy::disallowed_methods, reason = "a benchmark measures real time")]
async fn measure(
    mesh: &Mesh,
    what: &str,
    clients: usize,
    count: u32,
    next: &Arc<AtomicU64>,
    unit: impl Fn(u64, u64) -> (String, String) + Copy + Send + Sync + 'static,
) -> anyhow::Result<()> {
    let channels = (0..CONNECTIONS).map(|number| mesh.channel(number % SITES.len()));
    let channels = channels.collect::<anyhow::Result<Vec<Channel>>>()?;
    let (mut rates, mut medians, mut tails) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..count {
        let end = Instant::now() + ROUND;
        let work = (0..clients).map(|client| {
            let channel = channels[client % CONNECTIONS.min(clients)].clone();
            let next = Arc::clone(next);
            tokio::spawn(async move {
                let mut calls = WorkloadsClient::new(channel);
                let mut times = Vec::new();
                while Instant::now() < end {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let (file_name, text) = unit(number, client as u64);
                    let source = pb::apply_request::Source::Unit(pb::UnitFile { file_name, text });
                    let request = pb::ApplyRequest { source: Some(source), ..Default::default() };
                    let began = Instant::now();
                    calls.apply(request).await?;
                    times.push(began.elapsed().as_secs_f64() * 1e3);
                }
                Ok::<_, tonic::Status>(times)
            })
        });
        let mut times = Vec::new();
        for client in futures_util::future::join_all(work).await {
            times.extend(client??);
        }
        times.sort_by(f64::total_cmp);
        let at = |permille: usize| times.get(times.len() * permille / 1000).copied();
        #[allow(clippy::cast_precision_loss)]
        rates.push(times.len() as f64 / ROUND.as_secs_f64());
        medians.push(at(500).unwrap_or_default());
        tails.push(at(990).unwrap_or_default());
    }
    rounds::print(&format!("{what}, {clients} clients"), "/s", rates);
    rounds::print(&format!("{what}, {clients} clients, p50"), "ms", medians);
    rounds::print(&format!("{what}, {clients} clients, p99"), "ms", tails);
    Ok(())
}
