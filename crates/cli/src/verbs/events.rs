//! `kato events`: what happened in the mesh.

use kato_proto::v1::{self, Event, WatchEventsRequest};
use v1::events_client::EventsClient;

use super::reading::{ReadArgs, note_age};
use super::{connect, lookup};
use crate::cli::ConnectionArgs;
use crate::client::{Client, Outage};
use crate::failure::Exit;
use crate::output::{self, Format, Reader, lists, units};

/// Show what happened, the oldest first
///
/// The mesh remembers a bounded number of events. With -w it goes on as things happen, at the next coordinator when
/// its own is gone; if none answers within the time of --timeout, it fails.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only what happened to this: dub, web (its instances too), web@1
    subject: Option<String>,
    /// Go on as things happen
    #[arg(short, long)]
    watch: bool,
    /// Begin after this revision
    #[arg(long, value_name = "N", default_value_t = 0)]
    since_revision: u64,
    /// The form of the answer
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    read: ReadArgs,
}

/// Runs the verb.
pub(crate) async fn run(args: Args, connection: ConnectionArgs) -> anyhow::Result<Exit> {
    let mut client = connect(&connection).await?;
    let subject = args.subject.clone().unwrap_or_default();
    if args.watch {
        return watch(&mut client, &args, subject).await;
    }
    let mut answer = lookup::events(&mut client, &subject, args.read.consistency()).await?;
    note_age(answer.read.as_ref());
    answer.events.retain(|event| event.revision > args.since_revision);
    if args.output.is_document() {
        output::print_document(args.output, &answer)?;
    } else if answer.events.is_empty() {
        output::note("nothing is remembered");
    } else {
        output::print(&lists::events(&answer.events).render())?;
    }
    Ok(Exit::Done)
}

/// Where a watch is in the history.
struct Place {
    since_revision: u64,
    /// The revision of the last event, and how many of that revision were shown: one change may tell of several.
    last: Option<(u64, usize)>,
    /// How many of those come again, because a watch begins after a revision and not within one.
    again: usize,
}

impl Place {
    /// The revision to begin after.
    fn resume(&mut self) -> u64 {
        let Some((revision, shown)) = self.last else { return self.since_revision };
        self.again = shown;
        revision - 1
    }

    /// Whether the event was not shown before.
    fn is_new(&mut self, event: &Event) -> bool {
        match &mut self.last {
            Some((revision, _)) if *revision == event.revision && self.again > 0 => {
                self.again -= 1;
                return false;
            }
            Some((revision, shown)) if *revision == event.revision => *shown += 1,
            last => *last = Some((event.revision, 1)),
        }
        self.again = 0;
        true
    }
}

async fn watch(client: &mut Client, args: &Args, subject: String) -> anyhow::Result<Exit> {
    let mut place = Place { since_revision: args.since_revision, last: None, again: 0 };
    let mut outage = Outage::default();
    let mut request = WatchEventsRequest { since_revision: args.since_revision, subject };
    let mut stream =
        client.stream(async |calls| EventsClient::new(calls).watch(request.clone()).await).await?;
    loop {
        match client.message(&mut stream, true).await {
            Ok(Some(event)) => {
                outage.end();
                if place.is_new(&event) && show(args.output, &event)? == Reader::Gone {
                    return Ok(Exit::Done);
                }
                continue;
            }
            Err(error) if !error.may_pass() => return Err(error.into()),
            Ok(None) | Err(_) => {}
        }
        if outage.begin() {
            output::note(&format!(
                "the coordinator at {} broke off; going on with the next that answers within {:?}",
                client.address(),
                client.patience()
            ));
        }
        request.since_revision = place.resume();
        let open = async |calls| EventsClient::new(calls).watch(request.clone()).await;
        stream = client.reopen(&mut outage, open).await.inspect_err(|_| {
            let seen = request.since_revision;
            output::note(&format!("--since-revision {seen} goes on from here"));
        })?;
    }
}

/// One event as it comes: a line, whose columns cannot know of those that follow.
fn show(format: Format, event: &Event) -> anyhow::Result<Reader> {
    let text = match format {
        // A line each, as `jq` and log shippers take them.
        Format::Json => format!("{}\n", serde_json::to_string(event)?),
        Format::Yaml => {
            output::print_document(format, event)?;
            String::new()
        }
        Format::Table | Format::Wide => {
            output::plain(&format!(
                "{}  {:>8}  {:<20}  {:<20}  {}",
                units::moment(event.at_unix_ms),
                event.revision,
                event.kind,
                event.subject,
                event.message
            )) + "\n"
        }
    };
    Ok(output::print_raw(&text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_goes_on_after_the_last_event_even_within_a_revision() {
        let history = [(1, "a"), (3, "b"), (3, "c"), (3, "d"), (4, "e")];
        let event = |(revision, kind): &(u64, &str)| Event {
            revision: *revision,
            kind: (*kind).to_owned(),
            ..Event::default()
        };
        for breaks in 0..=history.len() {
            let mut place = Place { since_revision: 0, last: None, again: 0 };
            let mut shown = Vec::new();
            for _ in 0..2 {
                let since = place.resume();
                let sent = history.iter().map(event).filter(|event| event.revision > since);
                let limit = if shown.is_empty() { breaks } else { history.len() };
                let new: Vec<_> = sent.take(limit).filter(|event| place.is_new(event)).collect();
                shown.extend(new.into_iter().map(|event| event.kind));
            }
            if breaks > 0 {
                assert_eq!(shown, ["a", "b", "c", "d", "e"], "broken after {breaks}");
            }
        }
    }
}
