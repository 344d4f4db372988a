//! A watch that would go on with what the mesh has forgotten is told so, and from where it can go on; nobody else is.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use anyhow::{Context as _, Result, bail, ensure};
use kato_core::{EVENTS_MAX, Event};
use kato_proto::v1;
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt as _;
use v1::events_client::EventsClient;

use crate::coordinator::Alone;
use crate::node::PATIENCE;
use crate::work::register;

/// Changes that are proposed together.
const BATCH: usize = 1_000;

/// Makes so many events, each of a revision of its own and of so many bytes at least.
pub(crate) async fn make_events(mesh: &Alone, count: usize, bytes: usize) -> Result<()> {
    let mut made = 0;
    while made < count {
        let number = |number: usize| format!("{number}{}", "x".repeat(bytes));
        let batch = (made..count.min(made + BATCH)).map(|n| register("extra", &number(n)));
        let batch = batch.collect::<Result<Vec<_>>>()?.concat();
        made += batch.len();
        for outcome in mesh.mesh.propose(batch, PATIENCE).await? {
            ensure!(outcome?.changed, "nothing was changed");
        }
    }
    Ok(())
}

/// Watches events.
pub(crate) async fn watch(
    mut events: EventsClient<tonic::transport::Channel>,
    since_revision: u64,
) -> Result<Streaming<v1::Event>> {
    let request = v1::WatchEventsRequest { since_revision, ..v1::WatchEventsRequest::default() };
    Ok(events.watch(request).await?.into_inner())
}

async fn next(events: &mut Streaming<v1::Event>) -> Result<v1::Event> {
    let next = tokio::time::timeout(PATIENCE, events.message()).await;
    next.context("no event comes")??.context("the watch ended")
}

/// The revision of the oldest event that the mesh remembers.
fn oldest(mesh: &Alone) -> Result<u64> {
    let state = mesh.mesh.stale().state;
    let first: &Event = state.events.front().context("an event")?;
    Ok(first.revision.0)
}

/// The one thing that a watch says: from where it could go on.
async fn refused(mesh: &Alone, since: u64) -> Result<Status> {
    let mut events = watch(EventsClient::new(mesh.calls.clone()), since).await?;
    match next(&mut events).await {
        Err(error) => error.downcast().context("a status"),
        Ok(event) => bail!("behind {since} comes {event:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_behind_what_is_forgotten_says_from_where_it_can_go_on() -> Result<()> {
    let mesh = Alone::start().await?;
    let events = || EventsClient::new(mesh.calls.clone());
    make_events(&mesh, 10, 0).await?;
    let mut early = watch(events(), 1).await?;
    ensure!(next(&mut early).await?.revision == 2, "nothing is forgotten yet");
    drop(early);

    make_events(&mesh, EVENTS_MAX + 100, 0).await?;
    let first = oldest(&mesh)?;
    ensure!(first > 100, "{first}");
    for since in [1, first - 2] {
        let status = refused(&mesh, since).await?;
        ensure!(status.code() == Code::OutOfRange, "{status:?}");
        let told = format!("revision {since} is compacted, the oldest that a watch can go on from");
        ensure!(status.message().starts_with(&told), "{status:?}");
        let info = status.get_details_error_info().context("a program can tell why")?;
        ensure!(info.reason == "COMPACTED", "{info:?}");
        ensure!(info.metadata["oldest_revision"] == first.to_string(), "{info:?}");
    }
    // From there on, and from the oldest that there is, everything comes.
    for (since, expected) in [(first, first + 1), (0, first)] {
        let mut whole = watch(events(), since).await?;
        for revision in expected..first + EVENTS_MAX as u64 {
            let found = next(&mut whole).await?.revision;
            ensure!(found == revision, "{found} instead of {revision}, behind {since}");
        }
    }
    let beyond = watch(events(), 1_000_000).await.err().context("it was taken")?;
    let beyond: Status = beyond.downcast()?;
    ensure!(beyond.code() == Code::InvalidArgument, "{beyond:?}");
    ensure!(beyond.message().starts_with("since_revision: 1000000 is of another"), "{beyond:?}");
    mesh.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_lists_anew_what_is_not_forgotten() -> Result<()> {
    let mesh = Alone::start().await?;
    make_events(&mesh, EVENTS_MAX + 100, 0).await?;
    let first = oldest(&mesh)?;
    let mut command = mesh.kato(&["events", "-w", "--since-revision", "1", "-o", "json"]);
    let shown = tokio::task::spawn_blocking(move || -> Result<_> {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let lines = BufReader::new(child.stdout.take().context("its output")?).lines();
        let lines = lines.take(EVENTS_MAX).collect::<Result<Vec<_>, _>>()?;
        child.kill()?;
        Ok((lines, String::from_utf8(child.wait_with_output()?.stderr)?))
    });
    let (lines, said) = tokio::time::timeout(PATIENCE, shown).await???;
    let expected = "note: what happened right after revision 1 is forgotten; going on with the oldest event that is not\n";
    ensure!(said.ends_with(expected) && said.matches("note: ").count() == 1, "{said}");
    let mut revisions = Vec::new();
    for line in lines {
        let event: v1::Event = serde_json::from_str(&line)?;
        revisions.push(event.revision);
    }
    let (from, to) = (revisions.first(), revisions.last());
    let all = first..first + EVENTS_MAX as u64;
    ensure!(revisions.iter().copied().eq(all), "{from:?} to {to:?}, the oldest is {first}");
    mesh.stop().await
}
