//! The service that agents call. An agent can speak only about the machine that its certificate names.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use kato_core::{Command, DatacenterName, MachineId, MachineSpec, Revision};
use kato_net::task::{OnError, Tasks};
use kato_net::{Peer, Role};
use kato_proto::mesh_v1 as pb;
use kato_proto::mesh_v1::agent_message::Message;
use kato_raft::View;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status, Streaming};

use super::served::served;
use super::session::Session;
use super::{Leases, LogRelay, Seen};
use crate::context::Context;
use crate::status;

/// How long an answer waits for news of who serves a machine.
const NEWS_WAIT: Duration = Duration::from_secs(1);

/// Answers agents.
pub(crate) struct AgentService {
    pub(crate) context: Context,
    pub(crate) leases: Leases,
    pub(crate) logs: LogRelay,
    pub(crate) tasks: Arc<Tasks>,
}

/// The machine that the caller's certificate names.
fn caller<T>(request: &Request<T>) -> Result<MachineId, Status> {
    match request.extensions().get::<Arc<Peer>>().map(|peer| &peer.identity.role) {
        Some(Role::Agent(machine)) => Ok(machine.clone()),
        _ => Err(status::denied("only agents may speak of machines", &["agent".to_owned()])),
    }
}

impl AgentService {
    /// Whether this coordinator serves a datacenter's machines. Another one may have sent the agent here before this one
    /// knows of it.
    async fn is_served_here(&self, home: &DatacenterName) -> Result<(), Status> {
        let own = &self.context.datacenter;
        let mut views = self.context.mesh.watch();
        let here = views.wait_for(|view| view.state.served_by(home) == own);
        if matches!(tokio::time::timeout(NEWS_WAIT, here).await, Ok(Ok(_))) {
            return Ok(());
        }
        let view = self.context.mesh.stale();
        let by = view.state.served_by(home);
        let text = format!("this is the coordinator of {own}, that of {by} serves {home}");
        Err(status::because(Code::FailedPrecondition, "OTHER_DATACENTER", text))
    }
}

fn unread() -> Status {
    status::because(Code::Cancelled, "NOT_READ", "nobody reads this log any more")
}

#[tonic::async_trait]
impl pb::agents_server::Agents for AgentService {
    type AttachStream = Pin<Box<dyn Stream<Item = Result<pb::CoordinatorMessage, Status>> + Send>>;

    async fn attach(
        &self,
        request: Request<Streaming<pb::AgentMessage>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        let machine = caller(&request)?;
        self.is_served_here(&machine.cell.datacenter).await?;
        let mut messages = request.into_inner();
        let first = messages.message().await?.and_then(|message| message.message);
        let Some(Message::Hello(hello)) = first else {
            return Err(status::bad_field("hello", "an agent says hello first"));
        };
        let wrong = |text: String| status::bad_field("hello.machine", text);
        let spec = hello.machine.ok_or_else(|| wrong("there is none".to_owned()))?;
        let spec = MachineSpec::try_from(spec).map_err(|error| wrong(error.to_string()))?;
        if spec.id != machine {
            let text = format!("the certificate is {machine}'s, not {}'s", spec.id);
            return Err(status::because(Code::PermissionDenied, "OTHER_MACHINE", text));
        }
        let incarnation = spec.incarnation;
        let joined = self.context.commit_one(Command::JoinMachine(spec)).await;
        joined.map_err(|e| status::from_mesh(&e))?.map_err(|r| status::from_rejection(&r))?;
        let instances = hello.instances.into_iter().filter_map(Seen::from_wire).collect();
        let heard = self.context.clock.boot();
        let agents = &self.context.agents;
        let (number, outbox) = agents.attach(machine.clone(), incarnation, heard, instances);
        tracing::info!(%machine, incarnation, "an agent attached");
        let context = self.context.clone();
        let leases = self.leases.clone();
        let session = Session { context, leases, machine, incarnation, number };
        self.tasks.spawn("agent session", OnError::Log, async move {
            session.run(messages).await;
            Ok::<(), Status>(())
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(outbox).map(Ok))))
    }

    async fn knock(
        &self,
        request: Request<pb::KnockRequest>,
    ) -> Result<Response<pb::KnockResponse>, Status> {
        let home = caller(&request)?.cell.datacenter;
        let known = Revision(request.get_ref().term);
        self.context.knocks.note(home.clone(), self.context.clock.boot());
        let mut views = self.context.mesh.watch();
        let is_news = |view: &View| {
            let found = view.state.datacenters.get(&home);
            found.is_some_and(|found| found.term() > known)
        };
        // Without news the answer says what was known before: to a majority, or it says nothing.
        drop(tokio::time::timeout(NEWS_WAIT, views.wait_for(is_news)).await);
        let read = self.context.mesh.read(NEWS_WAIT).await;
        let served = read.ok().and_then(|view| served(&view.state, &home));
        Ok(Response::new(pb::KnockResponse { served }))
    }

    async fn push_log(
        &self,
        request: Request<Streaming<pb::LogChunk>>,
    ) -> Result<Response<pb::PushLogResponse>, Status> {
        let machine = caller(&request)?;
        let mut chunks = request.into_inner();
        let Some(first) = chunks.message().await? else {
            return Err(status::bad_field("id", "a log has at least one chunk"));
        };
        let reader = self.logs.answer(&machine, first.id)?;
        let mut next = Some(first);
        while let Some(chunk) = next {
            let lines = if chunk.error.is_empty() {
                Ok(chunk.lines)
            } else {
                Err(status::because(Code::FailedPrecondition, "LOG_UNREADABLE", chunk.error))
            };
            // A reader that went away ends the agent's call, and so its reading.
            if reader.send(lines).await.is_err() {
                return Err(unread());
            }
            next = tokio::select! {
                biased;
                () = reader.closed() => return Err(unread()),
                next = chunks.message() => next?,
            };
        }
        Ok(Response::new(pb::PushLogResponse {}))
    }
}
