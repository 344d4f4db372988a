//! What instances print: fetched from the agent by the coordinator that serves it, which the others ask.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::{Stream, StreamExt};
use kato_core::InstanceId;
use kato_net::{Peer, Role};
use kato_proto::mesh_v1;
use kato_proto::v1 as pb;
use kato_proto::v1::logs_client::LogsClient;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status};

use super::Reading;
use crate::agents::LogRelay;
use crate::status;

/// Lines that are sent when no number is asked for, and the most that may be.
const LINES_DEFAULT: u32 = 100;
const LINES_MAX: u32 = 100_000;

/// Answers with output.
pub(crate) struct LogService {
    pub(crate) reading: Reading,
    pub(crate) relay: LogRelay,
}

#[tonic::async_trait]
impl pb::logs_server::Logs for LogService {
    type ReadStream = Pin<Box<dyn Stream<Item = Result<pb::LogLine, Status>> + Send>>;

    async fn read(
        &self,
        request: Request<pb::ReadLogsRequest>,
    ) -> Result<Response<Self::ReadStream>, Status> {
        let from_coordinator = request
            .extensions()
            .get::<Arc<Peer>>()
            .is_some_and(|peer| matches!(peer.identity.role, Role::Coordinator(_)));
        let request = request.into_inner();
        let id: InstanceId = request.instance.parse().map_err(|error: kato_core::NameError| {
            status::bad_field("instance", error.to_string())
        })?;
        let lines = match request.lines {
            0 => LINES_DEFAULT,
            lines => lines.min(LINES_MAX),
        };
        let context = &self.reading.context;
        let snapshot = self.reading.at(request.consistency()).await?;
        let state = &snapshot.view.state;
        let Some(instance) = state.instances.get(&id) else {
            return Err(status::not_found(format!("there is no instance {id}")));
        };
        let machine = instance.placement.as_ref().and_then(|placement| placement.machine.as_ref());
        let Some(machine) = machine else {
            let text = format!("{id} has no machine yet");
            return Err(status::because(Code::FailedPrecondition, "NO_MACHINE", text));
        };
        let name = state.served_by(&machine.cell.datacenter);
        if *name == context.datacenter {
            let chunks = self.relay.open(&context.agents, machine, &id, request.follow, lines)?;
            return Ok(Response::new(Box::pin(ReceiverStream::new(chunks).flat_map(spread))));
        }
        if from_coordinator && snapshot.info.stale {
            // Two old states may each point at the other: what was sent on once stays where it is.
            let text = format!(
                "the coordinator of {} does not serve the machine of {id}, that of {name} does",
                context.datacenter
            );
            return Err(status::because(Code::FailedPrecondition, "RUNS_ELSEWHERE", text));
        }
        let Some(datacenter) = state.datacenters.get(name) else {
            return Err(status::not_found(format!("there is no datacenter {name}")));
        };
        let channel = context.peer(name, &datacenter.spec.address);
        let answer = LogsClient::new(channel).read(request).await?;
        Ok(Response::new(Box::pin(answer.into_inner())))
    }
}

type Lines = Result<Vec<mesh_v1::LogLine>, Status>;

/// A chunk's lines, one by one.
fn spread(chunk: Lines) -> impl Stream<Item = Result<pb::LogLine, Status>> {
    let lines: Vec<_> = match chunk {
        Err(status) => vec![Err(status)],
        Ok(lines) => lines
            .into_iter()
            .map(|line| {
                Ok(pb::LogLine {
                    at_unix_ms: line.at_unix_ms,
                    stream: line.stream,
                    text: line.text,
                })
            })
            .collect(),
    };
    futures_util::stream::iter(lines)
}
