//! Finding one thing by its name, and saying which one may have been meant where there is none.

use kato_core::InstanceId;
use kato_proto::v1;
use v1::placement_client::PlacementClient;
use v1::topology_client::TopologyClient;
use v1::workloads_client::WorkloadsClient;

use super::VerbError;
use crate::client::{Client, ClientError};
use crate::suggest;

/// The error for a name that is not among `known`.
pub(crate) fn unknown<'n>(
    kind: &'static str,
    name: &str,
    known: impl IntoIterator<Item = &'n str>,
) -> VerbError {
    let near = suggest::nearest(name, known).map(str::to_owned);
    VerbError::Unknown { kind, name: name.to_owned(), near }
}

/// A workload, and the state that it was read from.
pub(crate) async fn workload(
    client: &mut Client,
    name: &str,
    consistency: i32,
) -> anyhow::Result<v1::GetWorkloadResponse> {
    let request = v1::GetWorkloadRequest { name: name.to_owned(), consistency };
    let answer =
        client.read(async |calls| WorkloadsClient::new(calls).get(request.clone()).await).await;
    match answer {
        Err(error) if error.is_not_found() => {
            let known = workloads(client, consistency).await?.workloads;
            let names = known.iter().filter_map(|w| Some(w.spec.as_ref()?.name.as_str()));
            Err(unknown("workload", name, names).into())
        }
        answer => Ok(answer?),
    }
}

/// All workloads.
pub(crate) async fn workloads(
    client: &mut Client,
    consistency: i32,
) -> Result<v1::ListWorkloadsResponse, ClientError> {
    client
        .list(async |calls, page| {
            let request = v1::ListWorkloadsRequest { page, consistency };
            WorkloadsClient::new(calls).list(request).await
        })
        .await
}

/// The instances of a workload, or of all where it is empty.
pub(crate) async fn instances(
    client: &mut Client,
    workload: &str,
    consistency: i32,
) -> Result<v1::ListPlacementsResponse, ClientError> {
    client
        .list(async |calls, page| {
            let workload = workload.to_owned();
            let request = v1::ListPlacementsRequest { workload, page, consistency };
            PlacementClient::new(calls).list(request).await
        })
        .await
}

/// All datacenters.
pub(crate) async fn datacenters(
    client: &mut Client,
    consistency: i32,
) -> Result<v1::ListDatacentersResponse, ClientError> {
    client
        .list(async |calls, page| {
            let request = v1::ListDatacentersRequest { page, consistency };
            TopologyClient::new(calls).list_datacenters(request).await
        })
        .await
}

/// All machines.
pub(crate) async fn machines(
    client: &mut Client,
    consistency: i32,
) -> Result<v1::ListMachinesResponse, ClientError> {
    client
        .list(async |calls, page| {
            let request = v1::ListMachinesRequest { page, consistency };
            TopologyClient::new(calls).list_machines(request).await
        })
        .await
}

/// What happened to something, the oldest first.
pub(crate) async fn events(
    client: &mut Client,
    subject: &str,
    consistency: i32,
) -> Result<v1::ListEventsResponse, ClientError> {
    client
        .list(async |calls, page| {
            let subject = subject.to_owned();
            let request = v1::ListEventsRequest { page, consistency, subject };
            v1::events_client::EventsClient::new(calls).list(request).await
        })
        .await
}

/// The instance of that name among `all`.
pub(crate) fn instance(all: Vec<v1::Instance>, name: &str) -> Result<v1::Instance, VerbError> {
    let missing = unknown("placement", name, all.iter().map(|i| i.id.as_str()));
    all.into_iter().find(|i| i.id == name).ok_or(missing)
}

/// What to say of an instance that a coordinator does not know: which part of its name is wrong, and what may have
/// been meant.
pub(crate) async fn missing(
    client: &mut Client,
    id: &InstanceId,
    consistency: i32,
    error: ClientError,
) -> anyhow::Error {
    let name = id.workload.as_str();
    if let Err(unknown) = workload(client, name, consistency).await {
        return unknown;
    }
    let known = match instances(client, name, consistency).await {
        Ok(answer) => answer.instances,
        Err(error) => return error.into(),
    };
    match instance(known, &id.to_string()) {
        Err(unknown) => unknown.into(),
        // It was made meanwhile.
        Ok(_) => error.into(),
    }
}
