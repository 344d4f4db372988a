//! A list is read to its end whatever its items weigh: no page is larger than what clients take, and no page is of
//! another list than the one before. What is larger than a message may be is refused with the limit.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use kato_core::UNIT_BYTES_MAX;
use kato_net::CALL_BYTES_MAX;
use kato_proto::{Message as _, v1};
use tonic::{Code, Status};
use v1::events_client::EventsClient;
use v1::placement_client::PlacementClient;
use v1::topology_client::TopologyClient;

use crate::coordinator::Alone;

/// More than 4 MiB of them, the largest message that gRPC clients take, on one page of the usual length.
const WORKLOADS: usize = 70;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_of_large_units_has_pages_that_a_client_can_take() -> Result<()> {
    let mesh = Alone::start().await?;
    for number in 0..WORKLOADS {
        mesh.apply(&format!("large-{number}"), UNIT_BYTES_MAX - 100).await?;
    }
    let (mut names, mut pages, mut token) = (BTreeSet::new(), Vec::new(), String::new());
    loop {
        let page = Some(v1::Page { size: 0, token });
        let request = v1::ListWorkloadsRequest { page, ..v1::ListWorkloadsRequest::default() };
        let answer = mesh.workloads().list(request).await?.into_inner();
        pages.push((answer.workloads.len(), answer.encoded_len()));
        let specs = answer.workloads.into_iter().filter_map(|workload| workload.spec);
        names.extend(specs.map(|spec| spec.name));
        token = answer.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    println!("items and bytes of the pages: {pages:?}");
    ensure!(names.len() == WORKLOADS, "{} of {WORKLOADS} came", names.len());
    mesh.stop().await
}

/// Asks every list for the page behind a token, and says what each calls itself and answers.
async fn every_list(mesh: &Alone, token: &str) -> Vec<(&'static str, Result<String, Status>)> {
    let page = || Some(v1::Page { size: 1, token: token.to_owned() });
    let calls = || mesh.calls.clone();
    macro_rules! list {
        ($client:expr, $method:ident, $request:ident) => {{
            let request = v1::$request { page: page(), ..v1::$request::default() };
            let answer = $client.$method(request).await;
            answer.map(|answer| answer.into_inner().next_page_token)
        }};
    }
    let mut topology = TopologyClient::new(calls());
    vec![
        ("workloads", list!(mesh.workloads(), list, ListWorkloadsRequest)),
        ("placements", list!(PlacementClient::new(calls()), list, ListPlacementsRequest)),
        ("datacenters", list!(topology, list_datacenters, ListDatacentersRequest)),
        ("cells", list!(topology, list_cells, ListCellsRequest)),
        ("machines", list!(topology, list_machines, ListMachinesRequest)),
        ("offers", list!(topology, list_offers, ListOffersRequest)),
        ("events", list!(EventsClient::new(calls()), list, ListEventsRequest)),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_list_refuses_a_token_that_is_not_its_own() -> Result<()> {
    let mesh = Alone::start().await?;
    for name in ["ant", "bee"] {
        mesh.apply(name, 0).await?;
    }
    let first: Vec<_> = every_list(&mesh, "").await;
    let token = |of: &str| {
        let found = first.iter().find(|(list, _)| *list == of).context("a list")?;
        found.1.clone().context("it is answered")
    };
    let (workloads, events) = (token("workloads")?, token("events")?);
    ensure!(!workloads.is_empty() && !events.is_empty(), "each has more than one page");
    for asked in ["nonsense", &workloads, &events] {
        for (list, answer) in every_list(&mesh, asked).await {
            if asked == token(list)? {
                ensure!(answer.is_ok(), "{list}: {answer:?}");
                continue;
            }
            let refused = answer.err().with_context(|| format!("{list} took {asked}"))?;
            ensure!(refused.code() == Code::InvalidArgument, "{list}: {refused:?}");
            let text =
                format!("page.token: this is no token of the list of {list}: begin without one");
            ensure!(refused.message() == text, "{refused:?}");
        }
    }
    // The same list, but of other things.
    let page = Some(v1::Page { size: 1, token: events });
    let subject = "ant".to_owned();
    let request = v1::ListEventsRequest { page, subject, ..v1::ListEventsRequest::default() };
    let refused = EventsClient::new(mesh.calls.clone()).list(request).await.err();
    let refused = refused.context("a token of all events was taken for those of ant")?;
    ensure!(refused.message().contains("no token of the list of events ant"), "{refused:?}");
    mesh.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_too_large_is_refused_with_the_limit() -> Result<()> {
    let mesh = Alone::start().await?;
    let refused = mesh.apply("huge", CALL_BYTES_MAX).await.err().context("it was taken")?;
    let refused: Status = refused.downcast()?;
    ensure!(refused.code() == Code::OutOfRange, "{refused:?}");
    ensure!(refused.message().contains("the limit is: 4194304 bytes"), "{refused:?}");
    // A unit has a limit of its own, far below.
    let refused = mesh.apply("large", UNIT_BYTES_MAX).await.err().context("it was taken")?;
    let refused: Status = refused.downcast()?;
    ensure!(refused.code() == Code::InvalidArgument, "{refused:?}");
    ensure!(refused.message().contains("the limit is 65536"), "{refused:?}");
    mesh.apply("ant", 0).await?;
    mesh.stop().await
}
