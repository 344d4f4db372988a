//! Answers the coordinator's wish for an instance's output with a call that pushes it.

use std::sync::Arc;

use futures_util::{StreamExt, future};
use kato_core::NameError;
use kato_proto::mesh_v1 as pb;
use kato_proto::mesh_v1::agents_client::AgentsClient;
use kato_units::engine::{BoxStream, LogLine, LogSource, UnitEngine};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

/// Lines of one chunk.
const LINES_PER_CHUNK: usize = 256;
/// Chunks that may wait for a slow reader.
const CHUNKS_MAX: usize = 4;

/// Pushes an instance's output until the reader goes, or its end.
pub(super) async fn push(
    engine: Arc<dyn UnitEngine>,
    mut client: AgentsClient<Channel>,
    request: pb::LogRequest,
) {
    let (outbox, chunks) = mpsc::channel(CHUNKS_MAX);
    let reading = read(engine, request, outbox);
    let pushing = client.push_log(ReceiverStream::new(chunks));
    if let ((), Err(status)) = future::join(reading, pushing).await {
        tracing::debug!(%status, "a log is no longer read");
    }
}

/// Reads the output into chunks. The first one goes at once and empty: it tells the reader that the log is there.
async fn read(
    engine: Arc<dyn UnitEngine>,
    request: pb::LogRequest,
    outbox: mpsc::Sender<pb::LogChunk>,
) {
    let id = request.id;
    let chunk = |lines, error| pb::LogChunk { id, lines, error };
    let mut lines = match open(&*engine, &request).await {
        Ok(lines) => lines.ready_chunks(LINES_PER_CHUNK),
        // Whoever does not hear the refusal has gone already.
        Err(error) => return drop(outbox.send(chunk(Vec::new(), error)).await),
    };
    let mut next = Vec::new();
    while outbox.send(chunk(next, String::new())).await.is_ok() {
        let more = tokio::select! {
            biased;
            () = outbox.closed() => return,
            more = lines.next() => more,
        };
        let Some(more) = more else { return };
        next = more.into_iter().map(line).collect();
    }
}

async fn open(
    engine: &dyn UnitEngine,
    request: &pb::LogRequest,
) -> Result<BoxStream<'static, LogLine>, String> {
    let instance = request.instance.parse().map_err(|error: NameError| error.to_string())?;
    let lines = request.lines as usize;
    engine.log(instance, request.follow, lines).await.map_err(|error| error.to_string())
}

fn line(line: LogLine) -> pb::LogLine {
    let stream = match line.source {
        LogSource::Stdout => "stdout",
        LogSource::Stderr => "stderr",
        LogSource::Engine => "kato",
    };
    pb::LogLine { at_unix_ms: line.at.0, stream: stream.to_owned(), text: line.text }
}
