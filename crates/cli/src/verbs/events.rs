//! `kato events`: what happened in the mesh.

use kato_proto::v1::{self, Event, WatchEventsRequest};
use v1::events_client::EventsClient;

use super::reading::{ReadArgs, note_age};
use super::{connect, lookup};
use crate::cli::ConnectionArgs;
use crate::client::{Client, ClientError, Outage};
use crate::failure::Exit;
use crate::output::{self, Format, Reader, lists, units};

/// Show what happened, the oldest first
///
/// The mesh remembers a bounded number of events. With -w it goes on as things happen, at the next coordinator when
/// its own is gone; if none answers within the time of --timeout, it fails. Where events are forgotten that would be
/// next, it says so, and goes on with the oldest that is remembered.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only what happened to this: dub, web (its instances too), web@1
    subject: Option<String>,
    /// Go on as things happen, as one coordinator hears of them
    #[arg(short, long, conflicts_with = "read")]
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

async fn watch(client: &mut Client, args: &Args, subject: String) -> anyhow::Result<Exit> {
    let mut outage = Outage::default();
    let since_revision = args.since_revision;
    let mut request = WatchEventsRequest { since_revision, since_place: 0, subject };
    let mut stream =
        client.stream(async |calls| EventsClient::new(calls).watch(request.clone()).await).await?;
    loop {
        match client.message(&mut stream, true).await {
            Ok(Some(event)) => {
                outage.end();
                (request.since_revision, request.since_place) = (event.revision, event.place);
                if show(args.output, &event)? == Reader::Gone {
                    return Ok(Exit::Done);
                }
                continue;
            }
            Err(error) if error.is_compacted() && request.since_revision > 0 => {
                output::note(&format!(
                    "what happened right after revision {} is forgotten; going on with the oldest event that is not",
                    request.since_revision
                ));
                (request.since_revision, request.since_place) = (0, 0);
            }
            Err(error) if !error.may_pass() => return Err(error.into()),
            ended => broke_off(client, &mut outage, ended.err()),
        }
        let open = async |calls| EventsClient::new(calls).watch(request.clone()).await;
        stream = client.reopen(&mut outage, open).await.inspect_err(|_| {
            // Rather some events twice than one of the same revision not at all.
            let seen = request.since_revision.saturating_sub(1);
            output::note(&format!("--since-revision {seen} goes on from here"));
        })?;
    }
}

/// Says that a watch goes on elsewhere, or why it was ended, once for each trouble.
fn broke_off(client: &Client, outage: &mut Outage, error: Option<ClientError>) {
    if !outage.begin() {
        return;
    }
    let (address, within) = (client.address(), client.patience());
    output::note(&match error.filter(ClientError::is_too_slow) {
        Some(_) => {
            format!("the coordinator at {address} broke off, because nothing was taken; going on")
        }
        None => format!(
            "the coordinator at {address} broke off; going on with the next that answers within {within:?}"
        ),
    });
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
