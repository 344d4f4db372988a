//! A network of pipes and a coordinator that says what a test wants, for tests in which an agent meets one in one process.

use std::io;

use futures_util::stream::BoxStream;
use kato_net::{BoxFuture, Expect, Identity, Io, Listener, Transport};
use kato_proto::mesh_v1 as pb;
use kato_proto::mesh_v1::agents_server::{Agents, AgentsServer};
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Request, Response, Status, Streaming};

/// Where connections to a coordinator go.
pub(crate) type Door = mpsc::UnboundedSender<io::Result<DuplexStream>>;

/// What an agent is told on its stream.
pub(crate) type Told = BoxStream<'static, Result<pb::CoordinatorMessage, Status>>;

/// A coordinator of agents.
pub(crate) struct Scripted<F> {
    /// Answers an agent's stream.
    pub(crate) attached: F,
    /// Whom it names when it is asked who serves a machine.
    pub(crate) served: Option<pb::Served>,
}

impl<F: Fn(Streaming<pb::AgentMessage>) -> Told + Send + Sync + 'static> Scripted<F> {
    /// Serves whoever comes in by the door, until the door is dropped.
    pub(crate) fn serve(self) -> Door {
        let (accepted, connections) = mpsc::unbounded_channel();
        let server = tonic::transport::Server::builder().add_service(AgentsServer::new(self));
        tokio::spawn(server.serve_with_incoming(UnboundedReceiverStream::new(connections)));
        accepted
    }
}

#[tonic::async_trait]
impl<F: Fn(Streaming<pb::AgentMessage>) -> Told + Send + Sync + 'static> Agents for Scripted<F> {
    type AttachStream = Told;

    async fn attach(
        &self,
        request: Request<Streaming<pb::AgentMessage>>,
    ) -> Result<Response<Told>, Status> {
        Ok(Response::new((self.attached)(request.into_inner())))
    }

    async fn push_log(
        &self,
        _: Request<Streaming<pb::LogChunk>>,
    ) -> Result<Response<pb::PushLogResponse>, Status> {
        Err(Status::unimplemented("there are no logs"))
    }

    async fn knock(
        &self,
        _: Request<pb::KnockRequest>,
    ) -> Result<Response<pb::KnockResponse>, Status> {
        Ok(Response::new(pb::KnockResponse { served: self.served.clone() }))
    }
}

/// The near end of a connection, the far end of which goes to a coordinator.
pub(crate) fn connect(door: &Door) -> Box<dyn Io> {
    let (near, far) = tokio::io::duplex(64 * 1024);
    // A coordinator that is gone closes it.
    let _ = door.send(Ok(far));
    Box::new(near)
}

/// Every connection goes to the same coordinator.
pub(crate) struct Pipes {
    pub(crate) identity: Identity,
    pub(crate) door: Door,
}

impl Transport for Pipes {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn connect<'a>(&'a self, _: &'a str, _: &'a Expect) -> BoxFuture<'a, io::Result<Box<dyn Io>>> {
        Box::pin(async { Ok(connect(&self.door)) })
    }

    fn listen<'a>(&'a self, _: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async { Err(io::ErrorKind::Unsupported.into()) })
    }
}
