//! The history.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use kato_core::{EVENTS_MAX, Event, Revision, State};
use kato_net::task::{OnError, Tasks};
use kato_proto::v1 as pb;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::Reading;
use super::page::page;
use super::queue::{End, Queue};
use crate::{status, view};

/// Events that may wait for one watcher.
const WAITING_MAX: usize = 256;
/// The shortest time between two looks of a watch.
const PACE: Duration = Duration::from_millis(50);
/// What a watcher does that is cut off.
const GO_ON: &str = "watch again from the last revision and place that were received";
/// The place of a revision's last event: the history has no more events than this, and so no revision has.
#[allow(clippy::cast_possible_truncation, reason = "some thousands")]
const LAST: u32 = EVENTS_MAX as u32;

/// Answers about what happened.
pub(crate) struct EventService {
    pub(crate) reading: Reading,
    pub(crate) tasks: Arc<Tasks>,
}

/// Where an event is in the history: its revision, and its place among the events of that. Places are counted from the
/// last of them, because the history forgets its oldest events, and then the first of a revision is another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
struct Position {
    revision: Revision,
    place: u32,
}

impl Position {
    /// Behind all events of a revision.
    fn behind(revision: Revision) -> Self {
        Self { revision, place: u32::MAX }
    }

    /// Where a watch begins.
    fn asked(request: &pb::WatchEventsRequest) -> Self {
        let revision = Revision(request.since_revision);
        match request.since_place {
            0 => Self::behind(revision),
            place => Self { revision, place },
        }
    }
}

/// Whether an event is about `subject` or an instance of it; an empty subject is everything.
fn about(event: &Event, subject: &str) -> bool {
    let rest = event.subject.strip_prefix(subject);
    subject.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('@'))
}

/// The events behind a position, with their own.
fn since<'a>(
    events: impl DoubleEndedIterator<Item = &'a Event>,
    position: Position,
) -> Vec<(Position, &'a Event)> {
    let (mut revision, mut place) = (Revision::default(), LAST);
    let positioned = events.rev().map(|event| {
        place = if event.revision == revision { place.saturating_sub(1) } else { LAST };
        revision = event.revision;
        (Position { revision, place }, event)
    });
    let mut found: Vec<_> = positioned.take_while(|(found, _)| *found > position).collect();
    found.reverse();
    found
}

/// The oldest revision to go on from, if a watcher who knows all up to `told` may have missed what is forgotten. A
/// whole history may have forgotten something; which revision its first event followed, nobody knows any more.
fn forgotten(state: &State, told: Position) -> Option<Revision> {
    let events = &state.events;
    let first = events.front().filter(|_| events.len() >= EVENTS_MAX)?.revision;
    let beside = events.iter().take_while(|event| event.revision == first).count();
    let place = (LAST + 1).saturating_sub(u32::try_from(beside).unwrap_or(LAST));
    // Whoever begins at 0 asks for what there is, and whoever had the event right before the first misses none.
    let before = Position { revision: first, place: place.saturating_sub(1) };
    (told.revision > Revision(0) && told < before).then_some(first)
}

/// An event with what a page may end with.
fn named(found: (Position, &Event)) -> (String, (Position, &Event)) {
    let (Position { revision, place }, _) = found;
    (format!("{:020}-{place:06}", revision.0), found)
}

fn message((position, event): (Position, &Event)) -> pb::Event {
    view::event(event, position.place)
}

#[tonic::async_trait]
impl pb::events_server::Events for EventService {
    async fn list(
        &self,
        request: Request<pb::ListEventsRequest>,
    ) -> Result<Response<pb::ListEventsResponse>, Status> {
        let snapshot = self.reading.at(request.get_ref().consistency()).await?;
        let request = request.into_inner();
        let events = since(snapshot.view.state.events.iter(), Position::default());
        let wanted = events.into_iter().filter(|(_, event)| about(event, &request.subject));
        let list = format!("events {}", request.subject);
        let wanted = wanted.map(named);
        let (events, next_page_token) = page(list.trim_end(), wanted, request.page, message)?;
        let read = Some(snapshot.info.clone());
        Ok(Response::new(pb::ListEventsResponse { read, events, next_page_token }))
    }

    type WatchStream = ReceiverStream<Result<pb::Event, Status>>;

    async fn watch(
        &self,
        request: Request<pb::WatchEventsRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let request = request.into_inner();
        let since = Revision(request.since_revision);
        // A coordinator that is behind gets there; a mesh that is, does not.
        if since > self.reading.here().view.state.revision {
            let snapshot = self.reading.at(pb::Consistency::Linearizable).await?;
            if since > snapshot.view.state.revision {
                return Err(status::beyond(since, snapshot.view.state.revision));
            }
        }
        let (queue, events) = Queue::new(WAITING_MAX, self.tasks.shutdown(), GO_ON);
        let reading = self.reading.clone();
        self.tasks.spawn("watch of events", OnError::Log, async move {
            let Err(end) = watch(reading, &request, &queue).await;
            queue.end(end);
            Ok::<(), Infallible>(())
        });
        Ok(Response::new(ReceiverStream::new(events)))
    }
}

/// Tells a watcher of every event, until there is a reason to end. No state is held while a watcher takes its time.
async fn watch(
    reading: Reading,
    request: &pb::WatchEventsRequest,
    queue: &Queue<pb::Event>,
) -> Result<Infallible, End> {
    let mut told = Position::asked(request);
    let mut views = reading.context.mesh.watch();
    loop {
        let state = views.borrow_and_update().state.clone();
        if let Some(oldest) = forgotten(&state, told) {
            return Err(End::Because(status::compacted(told.revision, oldest)));
        }
        let news = since(state.events.iter(), told);
        let all = news.len() <= WAITING_MAX;
        let wanted = |(position, event): (Position, &Event)| {
            (position, about(event, &request.subject).then(|| message((position, event))))
        };
        let news: Vec<_> = news.into_iter().take(WAITING_MAX).map(wanted).collect();
        let reached = state.revision;
        drop(state);
        for (position, event) in news {
            if let Some(event) = event {
                queue.tell(event).await?;
            }
            told = position;
        }
        if all {
            // All events of a revision are in the same state.
            told = told.max(Position::behind(reached));
            queue.wait(&mut views, PACE).await?;
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

    fn subjects<'a>(found: &[(Position, &'a Event)]) -> Vec<&'a str> {
        found.iter().map(|(_, event)| event.subject.as_str()).collect()
    }

    /// The history is bounded: between two pages the oldest events may be forgotten, and new ones come.
    #[test]
    fn pages_go_on_behind_the_last_event_however_many_were_forgotten() {
        let history = events(&[3, 3, 3, 4, 5, 5, 9]);
        let listed = |forgotten: usize, asked: pb::Page| {
            let all = since(history[forgotten..].iter(), Position::default());
            page("events", all.into_iter().map(named), Some(asked), message).unwrap()
        };
        for ended in 0..history.len() - 1 {
            let size = u32::try_from(ended + 1).unwrap();
            let (_, token) = listed(0, pb::Page { size, token: String::new() });
            let expected: Vec<String> =
                history[ended + 1..].iter().map(|event| event.subject.clone()).collect();
            for forgotten in 0..=ended + 1 {
                let (rest, _) = listed(forgotten, pb::Page { size: 0, token: token.clone() });
                let rest: Vec<String> = rest.into_iter().map(|event| event.subject).collect();
                assert_eq!(rest, expected, "behind {ended}, without the first {forgotten}");
            }
        }
    }

    /// Whoever breaks off behind any event, and goes on from its revision and place, hears the rest.
    #[test]
    fn every_event_is_one_to_go_on_from() {
        let history = events(&[3, 3, 3, 4, 5, 5, 9]);
        let whole = since(history.iter(), Position::asked(&pb::WatchEventsRequest::default()));
        assert_eq!(whole.len(), history.len());
        for (ended, found) in whole.iter().enumerate() {
            let pb::Event { revision, place, .. } = message(*found);
            assert!(place > 0, "0 asks for what is behind the whole revision");
            let request = pb::WatchEventsRequest {
                since_revision: revision,
                since_place: place,
                ..Default::default()
            };
            for forgotten in 0..=ended + 1 {
                let rest = since(history[forgotten..].iter(), Position::asked(&request));
                assert_eq!(subjects(&rest), subjects(&whole[ended + 1..]), "behind {ended}");
            }
        }
    }

    #[test]
    fn a_revision_alone_asks_for_what_is_behind_all_of_it() {
        let history = events(&[3, 3, 3, 4, 5, 5, 9]);
        for (since_revision, expected) in
            [(0, 0), (2, 0), (3, 3), (4, 4), (5, 6), (8, 6), (9, 7), (10, 7)]
        {
            let request = pb::WatchEventsRequest { since_revision, ..Default::default() };
            let rest = since(history.iter(), Position::asked(&request));
            assert_eq!(rest.len(), history.len() - expected, "behind {since_revision}");
        }
    }

    /// A whole history whose first event is not the first of its revision.
    #[test]
    fn what_is_forgotten_is_said_to_whoever_may_have_missed_it() {
        let whole = |revisions: &[u64]| {
            let rest = EVENTS_MAX - revisions.len();
            let rest = (0..rest as u64).map(|number| 100 + number);
            let events = events(&revisions.iter().copied().chain(rest).collect::<Vec<_>>());
            State { events: events.into_iter().collect(), ..State::default() }
        };
        let history = whole(&[7, 7, 9]);
        let at = |revision, place| Position { revision: Revision(revision), place };
        let behind = |revision| Position::behind(Revision(revision));
        for (told, expected) in [
            (Position::default(), None),
            (Position::asked(&pb::WatchEventsRequest::default()), None),
            (behind(1), Some(7)),
            (behind(6), Some(7)),
            // Its first events are gone, the one right before the first that is left among them.
            (at(7, LAST - 3), Some(7)),
            (at(7, LAST - 2), None),
            (at(7, LAST - 1), None),
            (behind(7), None),
            (behind(9), None),
            (behind(1_000_000), None),
        ] {
            assert_eq!(forgotten(&history, told), expected.map(Revision), "{told:?}");
        }
        let mut shorter = history.clone();
        shorter.events.pop_back();
        assert_eq!(forgotten(&shorter, behind(1)), None, "nothing was forgotten yet");
    }
}
