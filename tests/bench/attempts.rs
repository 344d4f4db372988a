//! Writes as a user's client makes them where a leader may be lost: tried again, each with a deadline, through the
//! coordinators that are left.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kato_proto::v1 as pb;
use kato_proto::v1::workloads_client::WorkloadsClient;
use tokio::time::Instant;
use tonic::Status;
use tonic::transport::Channel;

use crate::wait::answer;

/// How long one attempt may take, and between two of them that failed.
pub(crate) const ATTEMPT: Duration = Duration::from_millis(500);
const PACE: Duration = Duration::from_millis(10);

/// Tries until one attempt is acknowledged, and returns when that was.
pub(crate) async fn until_accepted<F: Future<Output = Result<(), Status>>>(
    write: impl Fn() -> F,
) -> anyhow::Result<Instant> {
    let attempt = async || {
        let tried = tokio::time::timeout(ATTEMPT, write()).await;
        matches!(tried, Ok(Ok(()))).then(Instant::now)
    };
    answer("no write was accepted", PACE, attempt).await
}

/// Tries through all of these connections at once, and returns when the first attempt was acknowledged.
pub(crate) async fn first_accepted<F: Future<Output = Result<(), Status>>>(
    through: &[Channel],
    write: impl Fn(Channel) -> F,
) -> anyhow::Result<Instant> {
    let trying = through.iter().map(|channel| Box::pin(until_accepted(|| write(channel.clone()))));
    futures_util::future::select_all(trying).await.0
}

/// A wish that fits nowhere, another one each time: it is committed, and keeps no machine busy.
pub(crate) async fn wish(channel: Channel, next: &AtomicU64) -> Result<(), Status> {
    let number = next.fetch_add(1, Ordering::Relaxed);
    let spec = pb::WorkloadSpec {
        name: format!("w{}", number % 50),
        unit: "[Service]\nExecStart=/bin/true\n".to_owned(),
        datacenters: vec!["nowhere".to_owned()],
        latency_price_micros_per_ms_hour: Some(1 + i64::try_from(number % 900_000).unwrap_or(0)),
        ..pb::WorkloadSpec::default()
    };
    let source = Some(pb::apply_request::Source::Spec(spec));
    let request = pb::ApplyRequest { source, ..Default::default() };
    WorkloadsClient::new(channel).apply(request).await.map(drop)
}
