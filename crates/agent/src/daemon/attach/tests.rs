//! The stream, with a coordinator at the other end of a pipe.

use std::io;

use kato_core::{Resources, UNIT_BYTES_MAX};
use kato_net::{BoxFuture, Identity, Io, Listener};
use kato_proto::mesh_v1::agents_server::{Agents, AgentsServer};
use tokio::io::DuplexStream;
use tonic::{Request, Response};

use super::*;
use crate::daemon::fake::{Engine, shared};

/// Tells every agent to run 100 instances with large units.
struct Coordinator;

fn large() -> pb::Assignments {
    let assignment = |number: u32| pb::Assignment {
        instance: format!("web@{number}"),
        epoch: 7,
        generation: 1,
        unit_name: "web@.service".to_owned(),
        unit: "#".repeat(UNIT_BYTES_MAX),
        request: Some(Resources::new(1, 1).into()),
        ports: Vec::new(),
        singleton: false,
    };
    pb::Assignments { revision: 9, instances: (1..=100).map(assignment).collect() }
}

#[tonic::async_trait]
impl Agents for Coordinator {
    type AttachStream =
        Pin<Box<dyn futures_util::Stream<Item = Result<pb::CoordinatorMessage, Status>> + Send>>;

    async fn attach(
        &self,
        _: Request<Streaming<pb::AgentMessage>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        let message =
            pb::CoordinatorMessage { message: Some(FromCoordinator::Assignments(large())) };
        let said = futures_util::stream::once(async { Ok(message) });
        Ok(Response::new(said.chain(futures_util::stream::pending()).boxed()))
    }

    async fn push_log(
        &self,
        _: Request<Streaming<pb::LogChunk>>,
    ) -> Result<Response<pb::PushLogResponse>, Status> {
        Err(Status::unimplemented("there are no logs"))
    }
}

/// Every connection is a pipe, the other end of which goes to the coordinator.
struct Pipes {
    identity: Identity,
    accepted: mpsc::UnboundedSender<io::Result<DuplexStream>>,
}

impl Transport for Pipes {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn connect<'a>(&'a self, _: &'a str, _: &'a Expect) -> BoxFuture<'a, io::Result<Box<dyn Io>>> {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let _ = self.accepted.send(Ok(far));
        Box::pin(async { Ok(Box::new(near) as Box<dyn Io>) })
    }

    fn listen<'a>(&'a self, _: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async { Err(io::ErrorKind::Unsupported.into()) })
    }
}

#[tokio::test]
async fn large_assignments_reach_the_agent() {
    let (accepted, connections) = mpsc::unbounded_channel();
    let connections = tokio_stream::wrappers::UnboundedReceiverStream::new(connections);
    let service = AgentsServer::new(Coordinator);
    let server = tonic::transport::Server::builder().add_service(service);
    let serving = tokio::spawn(server.serve_with_incoming(connections));
    let identity = "spiffe://demo.com/agent/core-1.cell-1.dub".parse().unwrap();
    let transport = Arc::new(Pipes { identity, accepted });

    let shared = shared(&Arc::new(Engine::default()));
    let mut wanted = shared.wanted.subscribe();
    let shutdown = CancellationToken::new();
    let agent = tokio::spawn(run(shared, transport, "dub:1".to_owned(), shutdown.clone()));
    let list = tokio::time::timeout(Duration::from_secs(20), wanted.wait_for(Option::is_some));
    let count = list.await.expect("it never came").unwrap().as_ref().unwrap().assignments.len();
    assert_eq!(count, 100);
    shutdown.cancel();
    agent.await.unwrap();
    serving.abort();
}
