//! A list is read to its end whatever its items weigh: no page is larger than what clients take.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use kato_core::UNIT_BYTES_MAX;
use kato_proto::{Message as _, v1};

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
