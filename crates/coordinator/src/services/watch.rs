//! The watch of workloads. A client may break off behind any message, and a new watch from that message's revision
//! goes on as if nothing had happened: that is why changes are sent in the order of their revisions, and why a watch
//! begins with what exists.

use std::convert::Infallible;
use std::time::Duration;

use kato_core::{Revision, State, Workload, WorkloadName};
use kato_net::task::{OnError, Tasks};
use kato_proto::v1 as pb;
use pb::watch_workloads_response::Event;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::Reading;
use super::queue::{End, Queue};
use super::read::Snapshot;

/// Messages that may wait for one watcher: with the largest units about 4 MiB.
const WAITING_MAX: usize = 64;
/// The shortest time between two looks of a watch.
const PACE: Duration = Duration::from_millis(100);
/// Names in one message: at most 63 bytes each, far below the 4 MiB that clients take.
const NAMES_MAX: usize = 10_000;
/// What a watcher does that is cut off.
const GO_ON: &str = "watch again from the last revision that was received";

pub(super) type Message = Result<pb::WatchWorkloadsResponse, Status>;

/// What a watcher is told next, and from which revision it asks on once it knows.
#[derive(Debug, PartialEq)]
struct News<'a> {
    revision: Revision,
    what: What<'a>,
}

#[derive(Debug, PartialEq)]
enum What<'a> {
    /// All names, in parts. The last one has no `more`.
    Existing {
        names: Vec<&'a WorkloadName>,
        more: bool,
    },
    Changed(&'a Workload),
    Deleted(&'a WorkloadName),
}

/// What there is to tell of a state. A watcher knows another one, or nothing yet but all changes up to `since`.
fn news<'a>(known: Option<&'a State>, state: &'a State, since: Revision) -> Vec<News<'a>> {
    let mut news = Vec::new();
    if known.is_none() {
        let names: Vec<&WorkloadName> = state.workloads.keys().collect();
        // No workload at all is a message too.
        let parts = names.len().div_ceil(NAMES_MAX).max(1);
        let mut rest = names.into_iter();
        news.extend((1..=parts).map(|part| {
            let names = rest.by_ref().take(NAMES_MAX).collect();
            News { revision: since, what: What::Existing { names, more: part < parts } }
        }));
    }
    let before = |workload: &Workload| match known {
        None => workload.revision <= since,
        Some(known) => {
            let known = known.workloads.get(&workload.spec.name);
            known.is_some_and(|known| known.revision == workload.revision)
        }
    };
    let mut changed: Vec<&Workload> = state.workloads.values().filter(|w| !before(w)).collect();
    changed.sort_by_key(|workload| workload.revision);
    news.extend(changed.into_iter().map(|w| News { revision: w.revision, what: What::Changed(w) }));
    // After the changes, because whoever asks on from here has to have those.
    let gone = known.into_iter().flat_map(|known| known.workloads.keys());
    let gone = gone.filter(|name| !state.workloads.contains_key(*name));
    news.extend(gone.map(|name| News { revision: state.revision, what: What::Deleted(name) }));
    news
}

/// The message. Workloads are read at full length one by one: all of them together may be gigabytes.
fn message(news: &News<'_>, snapshot: &Snapshot) -> pb::WatchWorkloadsResponse {
    let event = match &news.what {
        What::Existing { names, more } => Event::Existing(pb::ExistingWorkloads {
            revision: snapshot.view.state.revision.0,
            names: names.iter().map(ToString::to_string).collect(),
            more: *more,
        }),
        What::Changed(workload) => Event::Changed(snapshot.whole().workload(workload)),
        What::Deleted(name) => Event::Deleted(name.to_string()),
    };
    pb::WatchWorkloadsResponse { revision: news.revision.0, event: Some(event) }
}

/// Begins a watch. It is a task of its own, so that a watcher who takes nothing is noticed all the same.
pub(super) fn start(reading: Reading, tasks: &Tasks, since: Revision) -> ReceiverStream<Message> {
    let (queue, messages) = Queue::new(WAITING_MAX, tasks.shutdown(), GO_ON);
    tasks.spawn("watch of workloads", OnError::Log, async move {
        let Err(end) = run(reading, since, &queue).await;
        queue.end(end);
        Ok::<(), Infallible>(())
    });
    ReceiverStream::new(messages)
}

/// Tells a watcher of every change, until there is a reason to end.
async fn run(
    reading: Reading,
    since: Revision,
    queue: &Queue<pb::WatchWorkloadsResponse>,
) -> Result<Infallible, End> {
    let mut views = reading.context.mesh.watch();
    let mut known: Option<State> = None;
    loop {
        views.borrow_and_update();
        let snapshot = reading.here();
        for one in news(known.as_ref(), &snapshot.view.state, since) {
            queue.tell(message(&one, &snapshot)).await?;
        }
        known = Some(snapshot.view.state);
        queue.wait(&mut views, PACE).await?;
    }
}

#[cfg(test)]
mod tests;
