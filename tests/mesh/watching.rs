//! A client that watches workloads, breaks off anywhere and comes back, knows all in the end.

use anyhow::{Context as _, Result, bail, ensure};
use kato_proto::v1;
use tonic::{Code, Streaming};
use v1::watch_workloads_response::Event;

use crate::coordinator::Alone;
use crate::node::PATIENCE;

/// A watch, and the revision of the last message that came.
struct Watch {
    messages: Streaming<v1::WatchWorkloadsResponse>,
    last: u64,
}

impl Watch {
    async fn since(mesh: &Alone, since_revision: u64) -> Result<Self> {
        let request = v1::WatchWorkloadsRequest { since_revision };
        let messages = mesh.workloads().watch(request).await?.into_inner();
        Ok(Self { messages, last: since_revision })
    }

    async fn next(&mut self) -> Result<Event> {
        let next = tokio::time::timeout(PATIENCE, self.messages.message()).await;
        let message = next.context("no message comes")??.context("the watch ended")?;
        ensure!(message.revision >= self.last, "{} after {}", message.revision, self.last);
        self.last = message.revision;
        message.event.context("a message without an event")
    }

    async fn existing(&mut self) -> Result<Vec<String>> {
        match self.next().await? {
            Event::Existing(existing) if !existing.more => Ok(existing.names),
            other => bail!("not what exists: {other:?}"),
        }
    }

    async fn changed(&mut self) -> Result<(String, u64)> {
        match self.next().await? {
            Event::Changed(workload) => {
                Ok((workload.spec.unwrap_or_default().name, workload.revision))
            }
            other => bail!("not a change: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_that_goes_on_from_its_last_revision_misses_nothing() -> Result<()> {
    let mesh = Alone::start().await?;
    // The first change is of the workload whose name comes last.
    let zoo = mesh.apply("zoo", 0).await?;
    let ant = mesh.apply("ant", 0).await?;
    let mut watch = Watch::since(&mesh, 0).await?;
    ensure!(watch.existing().await? == ["ant", "zoo"]);
    ensure!(watch.changed().await? == ("zoo".to_owned(), zoo));
    let mut watch = Watch::since(&mesh, watch.last).await?;
    ensure!(watch.existing().await? == ["ant", "zoo"]);
    ensure!(watch.changed().await? == ("ant".to_owned(), ant), "the second one was lost");

    // It breaks off right behind the first message.
    let elk = mesh.apply("elk", 0).await?;
    let mut again = Watch::since(&mesh, watch.last).await?;
    again.existing().await?;
    let mut again = Watch::since(&mesh, again.last).await?;
    again.existing().await?;
    ensure!(again.changed().await? == ("elk".to_owned(), elk));

    // The one that stayed hears of a deletion; the one that was away is told what exists.
    ensure!(watch.changed().await? == ("elk".to_owned(), elk));
    let deleted = mesh.delete("zoo").await?;
    let told = watch.next().await?;
    ensure!(matches!(&told, Event::Deleted(name) if name == "zoo"), "{told:?}");
    ensure!(watch.last >= deleted);
    let mut back = Watch::since(&mesh, again.last).await?;
    ensure!(back.existing().await? == ["ant", "elk"]);
    drop((watch, again, back));
    mesh.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revision_that_the_mesh_has_not_reached_is_refused() -> Result<()> {
    let mesh = Alone::start().await?;
    let Err(error) = Watch::since(&mesh, 1_000_000).await else { bail!("it was taken") };
    let status = error.downcast_ref::<tonic::Status>().context("a status")?;
    ensure!(status.code() == Code::InvalidArgument, "{status:?}");
    ensure!(status.message().contains("since_revision: 1000000"), "{status:?}");
    mesh.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_ends_with_its_coordinator_and_says_so() -> Result<()> {
    let mesh = Alone::start().await?;
    let mut watch = Watch::since(&mesh, 0).await?;
    watch.existing().await?;
    mesh.stop().await?;
    let Err(error) = watch.next().await else { bail!("it goes on") };
    let status = error.downcast_ref::<tonic::Status>().context("a status")?;
    ensure!(status.code() == Code::Unavailable, "{status:?}");
    ensure!(status.message().contains("from the last revision"), "{status:?}");
    Ok(())
}
