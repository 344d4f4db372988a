//! The history.

use std::pin::Pin;
use std::time::Duration;

use futures_util::Stream;
use kato_core::{Event, Revision};
use kato_proto::v1 as pb;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::Reading;
use super::driven::Driven;
use super::page::page;
use crate::view;

/// Events that may wait for one watcher.
const WATCHED_MAX: usize = 256;
/// The shortest time between two looks of a watch.
const WATCH_PACE: Duration = Duration::from_millis(50);

/// Answers about what happened.
pub(crate) struct EventService {
    pub(crate) reading: Reading,
}

/// Whether an event is about `subject` or an instance of it; an empty subject is everything.
fn about(event: &Event, subject: &str) -> bool {
    let rest = event.subject.strip_prefix(subject);
    subject.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('@'))
}

#[tonic::async_trait]
impl pb::events_server::Events for EventService {
    async fn list(
        &self,
        request: Request<pb::ListEventsRequest>,
    ) -> Result<Response<pb::ListEventsResponse>, Status> {
        let snapshot = self.reading.at(request.get_ref().consistency()).await?;
        let request = request.into_inner();
        let events = snapshot.view.state.events.iter().enumerate();
        let wanted = events.filter(|(_, event)| about(event, &request.subject));
        // Several events share a revision; their place in the history tells them apart.
        let named =
            wanted.map(|(place, event)| (format!("{:020}-{place:06}", event.revision.0), event));
        let (events, next_page_token) = page(named, request.page, view::event)?;
        let read = Some(snapshot.info.clone());
        Ok(Response::new(pb::ListEventsResponse { read, events, next_page_token }))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<pb::Event, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<pb::WatchEventsRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let request = request.into_inner();
        let (sender, receiver) = mpsc::channel(WATCHED_MAX);
        let watching = watch(self.reading.clone(), request, sender);
        let items = ReceiverStream::new(receiver);
        Ok(Response::new(Box::pin(Driven { work: Some(Box::pin(watching)), items })))
    }
}

async fn watch(
    reading: Reading,
    request: pb::WatchEventsRequest,
    sender: mpsc::Sender<Result<pb::Event, Status>>,
) {
    let mut since = Revision(request.since_revision);
    let mut views = reading.context.mesh.watch();
    loop {
        let view = views.borrow_and_update().clone();
        let news = view.state.events.iter().filter(|event| event.revision > since);
        for event in news.filter(|event| about(event, &request.subject)) {
            if sender.send(Ok(view::event(event))).await.is_err() {
                return;
            }
        }
        since = since.max(view.state.revision);
        tokio::time::sleep(WATCH_PACE).await;
        if views.changed().await.is_err() {
            return;
        }
    }
}
