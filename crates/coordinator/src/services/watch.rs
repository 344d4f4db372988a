//! The watch of workloads. A client may break off behind any message, and a new watch from that message's revision
//! goes on as if nothing had happened: that is why changes are sent in the order of their revisions, and why a watch
//! begins with what exists.

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::time::Duration;

use kato_core::{Revision, State, Workload, WorkloadName};
use kato_net::task::{OnError, Tasks};
use kato_proto::v1 as pb;
use pb::watch_workloads_response::Event;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use super::Reading;
use super::read::Snapshot;
use crate::status;

/// Messages that may wait for one watcher: with the largest units about 4 MiB.
const WAITING_MAX: usize = 64;
/// How long a watcher may take nothing while messages wait for it. Until it is cut off it holds an old state.
const STALL: Duration = Duration::from_secs(10);
/// The shortest time between two looks of a watch.
const PACE: Duration = Duration::from_millis(100);
/// Names in one message: at most 63 bytes each, far below the 4 MiB that clients take.
const NAMES_MAX: usize = 10_000;

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
    let (queue, messages) = Queue::new(WAITING_MAX);
    let shutdown = tasks.shutdown();
    tasks.spawn("watch of workloads", OnError::Log, async move {
        run(reading, since, queue, shutdown).await;
        Ok::<(), Infallible>(())
    });
    ReceiverStream::new(messages)
}

/// Tells a watcher of every change, until it goes, is too slow, or the coordinator stops.
async fn run(reading: Reading, since: Revision, queue: Queue, shutdown: CancellationToken) {
    let mut views = reading.context.mesh.watch();
    let mut known: Option<State> = None;
    loop {
        views.borrow_and_update();
        let snapshot = reading.here();
        for one in news(known.as_ref(), &snapshot.view.state, since) {
            let told = tokio::select! {
                biased;
                () = shutdown.cancelled() => return queue.end(stopping()),
                told = queue.tell(message(&one, &snapshot)) => told,
            };
            match told {
                ControlFlow::Continue(()) => {}
                ControlFlow::Break(None) => return,
                ControlFlow::Break(Some(status)) => return queue.end(status),
            }
        }
        known = Some(snapshot.view.state);
        let changed = async {
            tokio::time::sleep(PACE).await;
            views.changed().await
        };
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return queue.end(stopping()),
            () = queue.sender.closed() => return,
            // The mesh is gone only when the coordinator stops.
            changed = changed => if changed.is_err() { return queue.end(stopping()) },
        }
    }
}

/// What to do after an end that is not the client's fault, or only a little.
const GO_ON: &str = "watch again from the last revision that was received";

fn stopping() -> Status {
    status::because(Code::Unavailable, "STOPPED", format!("this coordinator stops: {GO_ON}"))
}

fn too_slow() -> Status {
    let text = format!("nothing was taken for {STALL:?} while changes wait: {GO_ON}");
    status::because(Code::ResourceExhausted, "TOO_SLOW", text)
}

/// Messages on their way to a watcher.
struct Queue {
    sender: mpsc::Sender<Message>,
    /// Room for the reason of an end: it comes behind all that waits, however full the queue is.
    last: mpsc::OwnedPermit<Message>,
}

impl Queue {
    fn new(waiting_max: usize) -> (Self, mpsc::Receiver<Message>) {
        let (sender, messages) = mpsc::channel(waiting_max + 1);
        let last = sender.clone().try_reserve_owned();
        (Self { sender, last: last.expect("a new queue has room") }, messages)
    }

    /// Sends on. Breaks when the watcher went away, or with the reason to cut it off.
    async fn tell(&self, message: pb::WatchWorkloadsResponse) -> ControlFlow<Option<Status>> {
        match tokio::time::timeout(STALL, self.sender.send(Ok(message))).await {
            Ok(Ok(())) => ControlFlow::Continue(()),
            Ok(Err(_)) => ControlFlow::Break(None),
            Err(_) => ControlFlow::Break(Some(too_slow())),
        }
    }

    /// Says why nothing more comes.
    fn end(self, status: Status) {
        self.last.send(Err(status));
    }
}

#[cfg(test)]
mod tests;
