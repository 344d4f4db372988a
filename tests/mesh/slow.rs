//! A client that watches and takes nothing: it costs a bounded amount of memory, holds up nobody, and is told in the
//! end why it was cut off.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use hyper_util::rt::TokioIo;
use kato_core::UNIT_BYTES_MAX;
use kato_net::Expect;
use kato_proto::{Message, v1};
use tokio::time::Instant;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt as _;
use v1::events_client::EventsClient;
use v1::workloads_client::WorkloadsClient;

use crate::coordinator::Alone;
use crate::forgetting::{make_events, watch};
use crate::node::PATIENCE;

/// How long a watcher may take nothing, and some more: as the coordinator's queue has it.
const STALLED: Duration = Duration::from_secs(12);
/// What gRPC's libraries take in ahead of the program, where nobody tells them otherwise, is 64 KiB.
const WINDOW: u32 = 65_535;
/// Workloads of the largest units: twice what may wait for a watcher.
const WORKLOADS: usize = 128;
/// Events of some size: several times what may wait for a watcher and lie in buffers.
const EVENTS: usize = 4_000;
const EVENT_BYTES: usize = 1_000;
/// What may wait for one watcher altogether: the queue, and the buffers of HTTP/2 on both sides.
const WAITING_BYTES_MAX: usize = 6 << 20;

/// A connection of a client that is not eager.
async fn connect(mesh: &Alone) -> Result<Channel> {
    let (transport, address) = (mesh.operator()?, mesh.address.clone());
    let connector = tower::service_fn(move |_: Uri| {
        let (transport, address) = (Arc::clone(&transport), address.clone());
        async move { transport.connect(&address, &Expect::AnyCoordinator).await.map(TokioIo::new) }
    });
    let endpoint = Endpoint::from_static("http://peer.kato.internal");
    let endpoint = endpoint.initial_stream_window_size(WINDOW);
    Ok(endpoint.connect_with_connector(connector).await?)
}

/// Takes all that waited, and returns how many bytes that was, and why nothing more comes.
async fn rest<M: Message>(mut messages: Streaming<M>) -> Result<(usize, Status)> {
    let mut bytes = 0;
    let taking = async {
        loop {
            match messages.message().await {
                Ok(Some(message)) => bytes += message.encoded_len(),
                Ok(None) => bail!("it ended without a word"),
                Err(status) => return Ok(status),
            }
        }
    };
    let status = tokio::time::timeout(PATIENCE, taking).await.context("it was not cut off")??;
    Ok((bytes, status))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watcher_that_takes_nothing_is_cut_off_and_told_why() -> Result<()> {
    let mesh = Alone::start().await?;
    for number in 0..WORKLOADS {
        mesh.apply(&format!("large-{number}"), UNIT_BYTES_MAX - 100).await?;
    }
    make_events(&mesh, EVENTS, EVENT_BYTES).await?;
    let calls = connect(&mesh).await?;
    let mut workloads = WorkloadsClient::new(calls.clone());
    let workloads = workloads.watch(v1::WatchWorkloadsRequest::default()).await?.into_inner();
    let events = watch(EventsClient::new(calls.clone()), 0).await?;

    // Meanwhile whoever takes what comes hears of every change.
    let begun = Instant::now();
    let last = mesh.mesh.stale().state.revision.0;
    let mut eager = watch(EventsClient::new(mesh.calls.clone()), last).await?;
    let mut heard = 0;
    while begun.elapsed() < STALLED {
        make_events(&mesh, 1, heard % 7).await?;
        let next = tokio::time::timeout(PATIENCE, eager.message()).await;
        next.context("it is held up")??.context("it ended")?;
        heard += 1;
    }
    println!("{heard} events reached the eager one");

    let (workloads, events) = tokio::join!(rest(workloads), rest(events));
    for (what, all, (bytes, status)) in [
        ("workloads", WORKLOADS * UNIT_BYTES_MAX, workloads?),
        ("events", EVENTS * EVENT_BYTES, events?),
    ] {
        println!("{what}: {bytes} bytes waited of {all}");
        ensure!(bytes < all && bytes < WAITING_BYTES_MAX, "{what}: {bytes} bytes waited of {all}");
        ensure!(status.code() == Code::ResourceExhausted, "{what}: {status:?}");
        let said = "nothing was taken for 10s while changes wait: watch again from the last ";
        ensure!(status.message().starts_with(said), "{what}: {status:?}");
        let info = status.get_details_error_info().context("a program can tell why")?;
        ensure!(info.reason == "TOO_SLOW", "{what}: {info:?}");
    }
    mesh.stop().await
}
