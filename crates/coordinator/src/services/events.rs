//! The history.

use std::pin::Pin;
use std::time::Duration;

use futures_util::Stream;
use kato_core::{EVENTS_MAX, Event, Revision};
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

/// Events with what a page may end with: the revision, and the place among its events. That is counted from the last
/// of them, because the history forgets its oldest events, and then the first of a revision is another one.
fn with_tokens<'a>(
    events: impl DoubleEndedIterator<Item = &'a Event>,
) -> impl Iterator<Item = (String, &'a Event)> {
    let (mut revision, mut following) = (Revision::default(), 0);
    let mut named: Vec<(String, &Event)> = events
        .rev()
        .map(|event| {
            following = if event.revision == revision { following + 1 } else { 0 };
            revision = event.revision;
            let place = EVENTS_MAX.saturating_sub(following);
            (format!("{:020}-{place:06}", event.revision.0), event)
        })
        .collect();
    named.reverse();
    named.into_iter()
}

#[tonic::async_trait]
impl pb::events_server::Events for EventService {
    async fn list(
        &self,
        request: Request<pb::ListEventsRequest>,
    ) -> Result<Response<pb::ListEventsResponse>, Status> {
        let snapshot = self.reading.at(request.get_ref().consistency()).await?;
        let request = request.into_inner();
        let named = with_tokens(snapshot.view.state.events.iter());
        let wanted = named.filter(|(_, event)| about(event, &request.subject));
        let (events, next_page_token) = page(wanted, request.page, view::event)?;
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

#[cfg(test)]
mod tests {
    use kato_core::{EventKind, Timestamp};

    use super::*;

    /// Events of these revisions.
    fn events(revisions: &[u64]) -> Vec<Event> {
        let event = |(number, revision): (usize, &u64)| Event {
            revision: Revision(*revision),
            at: Timestamp(0),
            kind: EventKind::InstancePlaced,
            subject: format!("web@{number}"),
            message: String::new(),
        };
        revisions.iter().enumerate().map(event).collect()
    }

    /// The history is bounded: between two pages the oldest events may be forgotten, and new ones come.
    #[test]
    fn pages_go_on_behind_the_last_event_however_many_were_forgotten() {
        let history = events(&[3, 3, 3, 4, 5, 5, 9]);
        for ended in 0..history.len() {
            let (token, _) = with_tokens(history.iter()).nth(ended).unwrap();
            let asked = pb::Page { size: 0, token };
            let expected: Vec<String> =
                history[ended + 1..].iter().map(|event| event.subject.clone()).collect();
            for forgotten in 0..=ended + 1 {
                let named = with_tokens(history[forgotten..].iter());
                let (rest, _) = page(named, Some(asked.clone()), view::event).unwrap();
                let rest: Vec<String> = rest.into_iter().map(|event| event.subject).collect();
                assert_eq!(rest, expected, "behind {ended}, without the first {forgotten}");
            }
        }
        let tokens: Vec<String> = with_tokens(history.iter()).map(|(token, _)| token).collect();
        assert!(tokens.is_sorted_by(|a, b| a < b), "{tokens:?}");
    }
}
