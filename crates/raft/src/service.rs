//! The answering side of consensus: gRPC calls from other members, handed to openraft.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kato_core::{Command, Rejection, RejectionKind};
use kato_net::{Peer, Role};
use kato_proto::{Field, InvalidMessage, mesh_v1 as pb};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, TransferLeaderRequest, VoteRequest,
};
use openraft_rt::WatchReceiver as _;
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status, Streaming};

use crate::StoreError;
use crate::convert::Message;
use crate::engine::Engine;
use crate::error::chain;
use crate::lost::Lost;
use crate::machine::{Content, Receiver, Snapshots};
use crate::proposer::Proposer;
use crate::reader::Reader;
use crate::restore::{Restored, incarnation};
use crate::types::{
    Entry, LogId, Member, NodeId, Outcomes, Raft, Snapshot, SnapshotMeta, TypeConfig, Vote,
};
use crate::welcome::Welcome;

/// The largest snapshot that is taken from a leader, in bytes.
const SNAPSHOT_BYTES_MAX: u64 = 1 << 30;
/// Snapshots that are taken at once: each makes a state. Two, so that a leader that went away holds up no other.
pub(crate) const SNAPSHOTS_AT_ONCE: usize = 2;
/// How long the next piece of a snapshot may take.
const SNAPSHOT_PATIENCE: Duration = Duration::from_secs(10);

#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) own: NodeId,
    pub(crate) engine: Engine,
    /// Who the configuration says the members are, until the log says it.
    pub(crate) founders: Arc<BTreeMap<NodeId, Member>>,
    pub(crate) proposer: Proposer,
    pub(crate) reader: Reader,
    pub(crate) welcome: Arc<Welcome>,
    pub(crate) restored: Arc<Restored>,
    pub(crate) snapshots: Arc<Snapshots>,
    pub(crate) receiving: Arc<Semaphore>,
    pub(crate) lost: Lost,
}

type Answer<T> = Result<Response<T>, Status>;

impl Service {
    /// Refuses a call that was meant for another node, or that comes from a node which the certificate does not
    /// belong to. A number in a message proves nothing; the certificate does.
    fn admit<T>(&self, request: &Request<T>, route: Option<pb::Route>) -> Result<(), Status> {
        let route = route.field("route").map_err(invalid)?;
        if route.to != self.own {
            let text = format!("this is member {}, the call was for {}", self.own, route.to);
            return Err(Status::failed_precondition(text));
        }
        let peer = request.extensions().get::<Arc<Peer>>();
        let Some(Role::Coordinator(datacenter)) = peer.map(|peer| &peer.identity.role) else {
            return Err(Status::permission_denied("only coordinators take part in consensus"));
        };
        let metrics = self.raft()?.metrics();
        let known =
            metrics.borrow_watched().membership_config.membership().get_node(&route.from).cloned();
        match known.or_else(|| self.founders.get(&route.from).cloned()) {
            Some(member) if member.datacenter == *datacenter => Ok(()),
            Some(member) => Err(Status::permission_denied(format!(
                "member {} coordinates {}, the certificate is {datacenter}'s",
                route.from, member.datacenter
            ))),
            None => Err(Status::permission_denied(format!(
                "{} is not a member of this mesh",
                route.from
            ))),
        }
    }
}

impl Service {
    fn raft(&self) -> Result<Raft, Status> {
        self.engine.running().map(|running| running.raft).map_err(stopped)
    }

    /// Refuses what would make a founder part of the mesh that has lost its store.
    async fn admit_state<T>(
        &self,
        request: &Request<T>,
        route: Option<pb::Route>,
    ) -> Result<(), Status> {
        self.admit(request, route)?;
        if self.restored.is_pending() {
            // A mesh before that still lives must not hear of its terms.
            return Err(Status::unavailable(
                "this member begins with a backup, and waits for others",
            ));
        }
        let founder = self.founders.contains_key(&self.own);
        let may = !founder || self.welcome.is_given();
        if may || self.raft()?.is_initialized().await.map_err(stopped)? {
            return Ok(());
        }
        let text = format!("member {} has lost its store: it may not take part", self.own);
        tracing::error!("{text}; remove it, and join under a new member id");
        Err(Status::failed_precondition(text))
    }
}

impl Service {
    /// Refuses whoever is of the mesh before a restore, or of the one after it: what the one calls committed is not in the
    /// other's log, and openraft trusts in that.
    fn admit_mesh(&self, theirs: &Vote) -> Result<(), Status> {
        let Some(ours) = self.lost.vote() else { return Ok(()) };
        let (theirs, ours) = (theirs.leader_id.term, ours.leader_id.term);
        if ours == 0 || incarnation(theirs) == incarnation(ours) {
            return Ok(());
        }
        let text = format!(
            "term {theirs} is of another incarnation of the mesh than this store, which is at term {ours}"
        );
        if incarnation(theirs) > incarnation(ours) {
            tracing::error!("{text}: the mesh was restored, move the store away and start anew");
        }
        Err(Status::failed_precondition(text))
    }
}

fn invalid(error: InvalidMessage) -> Status {
    Status::invalid_argument(error.to_string())
}

/// openraft has stopped, or never answers this one: the caller sees an unreachable member.
fn stopped(error: impl std::fmt::Display) -> Status {
    Status::unavailable(error.to_string())
}

#[tonic::async_trait]
impl pb::raft_server::Raft for Service {
    async fn append(&self, request: Request<pb::AppendRequest>) -> Answer<pb::AppendResponse> {
        self.admit_state(&request, request.get_ref().route).await?;
        let acknowledged = request.get_ref().acknowledged;
        let rpc = append_request(request.into_inner()).map_err(invalid)?;
        self.admit_mesh(&rpc.vote)?;
        self.lost.check(&rpc.vote, acknowledged).map_err(Status::failed_precondition)?;
        let answer = self.raft()?.append_entries(rpc).await.map_err(stopped)?;
        Ok(Response::new(append_response(answer)))
    }

    async fn vote(&self, request: Request<pb::VoteRequest>) -> Answer<pb::VoteResponse> {
        self.admit_state(&request, request.get_ref().route).await?;
        let rpc = vote_request(request.into_inner()).map_err(invalid)?;
        self.admit_mesh(&rpc.vote)?;
        let answer = self.raft()?.vote(rpc).await.map_err(stopped)?;
        Ok(Response::new(vote_response(&answer)))
    }

    async fn pre_vote(&self, request: Request<pb::VoteRequest>) -> Answer<pb::VoteResponse> {
        self.admit_state(&request, request.get_ref().route).await?;
        let rpc = vote_request(request.into_inner()).map_err(invalid)?;
        self.admit_mesh(&rpc.vote)?;
        let answer = self.raft()?.pre_vote(rpc).await.map_err(stopped)?;
        Ok(Response::new(vote_response(&answer)))
    }

    async fn install_snapshot(
        &self,
        mut request: Request<Streaming<pb::SnapshotChunk>>,
    ) -> Answer<pb::InstallSnapshotResponse> {
        let first = request.get_mut().message().await?;
        let header = first.and_then(|chunk| chunk.header).field("header").map_err(invalid)?;
        self.admit_state(&request, header.route).await?;
        let vote = header.vote.field("vote").and_then(Vote::from_pb).map_err(invalid)?;
        self.admit_mesh(&vote)?;
        let meta = header.meta.field("meta").and_then(SnapshotMeta::from_pb).map_err(invalid)?;
        let Ok(_permit) = self.receiving.try_acquire() else {
            let text = format!("{SNAPSHOTS_AT_ONCE} other snapshots are on their way here");
            return Err(Status::unavailable(text));
        };
        let receiver = Receiver::new(Arc::clone(&self.snapshots)).map_err(refused)?;
        let snapshot = receive(request.get_mut(), header.bytes, receiver).await?;
        let snapshot = Snapshot { meta, snapshot };
        let answer = self.raft()?.install_full_snapshot(vote, snapshot).await.map_err(stopped)?;
        Ok(Response::new(pb::InstallSnapshotResponse { vote: Some(answer.vote.to_pb()) }))
    }

    async fn transfer_leader(
        &self,
        request: Request<pb::TransferLeaderRequest>,
    ) -> Answer<pb::TransferLeaderResponse> {
        self.admit_state(&request, request.get_ref().route).await?;
        let message = request.into_inner();
        let vote = message.vote.field("vote").and_then(Vote::from_pb).map_err(invalid)?;
        let last = message.last.map(LogId::from_pb).transpose().map_err(invalid)?;
        let rpc = TransferLeaderRequest::<TypeConfig>::new(vote, self.own, last);
        let answer = self.raft()?.handle_transfer_leader(rpc).await.map_err(stopped)?;
        let refused = answer.err().map(|error| error.to_string()).unwrap_or_default();
        Ok(Response::new(pb::TransferLeaderResponse { refused }))
    }

    async fn propose(&self, request: Request<pb::ProposeRequest>) -> Answer<pb::ProposeResponse> {
        self.admit(&request, request.get_ref().route)?;
        let commands = request.into_inner().commands.into_iter().map(Command::try_from);
        let commands = commands.collect::<Result<Vec<_>, _>>().map_err(invalid)?;
        let outcomes = self.proposer.propose_here(commands).await?;
        Ok(Response::new(propose_response(&outcomes)))
    }

    async fn read_index(
        &self,
        request: Request<pb::ReadIndexRequest>,
    ) -> Answer<pb::ReadIndexResponse> {
        self.admit(&request, request.get_ref().route)?;
        let index = self.reader.index_here().await?;
        Ok(Response::new(pb::ReadIndexResponse { index }))
    }

    async fn probe(&self, request: Request<pb::ProbeRequest>) -> Answer<pb::ProbeResponse> {
        self.admit(&request, request.get_ref().route)?;
        let founding = self.founders.keys().next().copied();
        let from = request.get_ref().route.map(|route| route.from);
        let founded =
            self.raft()?.is_initialized().await.map_err(stopped)? && !self.restored.is_pending();
        if !founded && from == founding && !request.get_ref().only_asks {
            self.welcome.give().map_err(stopped)?;
        }
        Ok(Response::new(pb::ProbeResponse { founded }))
    }
}

/// Takes a snapshot of exactly `bytes` bytes, as it comes.
async fn receive(
    stream: &mut Streaming<pb::SnapshotChunk>,
    bytes: u64,
    mut receiver: Receiver,
) -> Result<Content, Status> {
    if bytes > SNAPSHOT_BYTES_MAX {
        let text = format!("a snapshot of {bytes} bytes, at most {SNAPSHOT_BYTES_MAX} are taken");
        return Err(Status::resource_exhausted(text));
    }
    let mut came = 0;
    loop {
        let next = tokio::time::timeout(SNAPSHOT_PATIENCE, stream.message());
        let late = |_| Status::deadline_exceeded("the snapshot did not go on");
        let Some(chunk) = next.await.map_err(late)?? else { break };
        came += chunk.data.len() as u64;
        if came > bytes {
            break;
        }
        receiver.push(&chunk.data).map_err(refused)?;
    }
    if came != bytes {
        let text = format!("{came} bytes of a snapshot came, {bytes} were announced");
        return Err(Status::data_loss(text));
    }
    receiver.finish().map(Content::Received).map_err(refused)
}

/// The leader hears what is wrong with its snapshot, or with the disk here.
fn refused(error: StoreError) -> Status {
    tracing::warn!(error = &error as &dyn std::error::Error, "a snapshot was not taken");
    let text = chain(&error);
    match error {
        StoreError::Io { .. } => Status::resource_exhausted(text),
        _ => Status::data_loss(text),
    }
}

fn append_request(
    message: pb::AppendRequest,
) -> Result<AppendEntriesRequest<TypeConfig>, InvalidMessage> {
    Ok(AppendEntriesRequest {
        vote: Vote::from_pb(message.vote.field("vote")?)?,
        prev_log_id: message.prev.map(LogId::from_pb).transpose()?,
        entries: message.entries.into_iter().map(Entry::from_pb).collect::<Result<_, _>>()?,
        leader_commit: message.commit.map(LogId::from_pb).transpose()?,
    })
}

fn append_response(answer: AppendEntriesResponse<TypeConfig>) -> pb::AppendResponse {
    use pb::append_response::Outcome;
    let outcome = match answer {
        AppendEntriesResponse::Success => Outcome::Success(pb::Success {}),
        AppendEntriesResponse::PartialSuccess(last) => {
            Outcome::Partial(pb::PartialSuccess { last: last.as_ref().map(Message::to_pb) })
        }
        AppendEntriesResponse::Conflict => Outcome::Conflict(pb::Conflict {}),
        AppendEntriesResponse::HigherVote(vote) => Outcome::HigherVote(vote.to_pb()),
    };
    pb::AppendResponse { outcome: Some(outcome) }
}

fn vote_request(message: pb::VoteRequest) -> Result<VoteRequest<TypeConfig>, InvalidMessage> {
    let vote = Vote::from_pb(message.vote.field("vote")?)?;
    let last = message.last.map(LogId::from_pb).transpose()?;
    let mut rpc = VoteRequest::new(vote, last);
    rpc.leadership_transfer = message.leadership_transfer;
    Ok(rpc)
}

fn vote_response(answer: &openraft::raft::VoteResponse<TypeConfig>) -> pb::VoteResponse {
    pb::VoteResponse {
        vote: Some(answer.vote.to_pb()),
        granted: answer.vote_granted,
        last: answer.last_log_id.as_ref().map(Message::to_pb),
    }
}

fn propose_response(outcomes: &Outcomes) -> pb::ProposeResponse {
    use pb::outcome::Outcome;
    let one = |outcome: &Result<kato_core::Applied, Rejection>| pb::Outcome {
        outcome: Some(match outcome {
            Ok(applied) => Outcome::Applied(pb::Applied {
                revision: applied.revision.0,
                changed: applied.changed,
            }),
            Err(rejection) => Outcome::Rejected(pb::Rejection {
                kind: kind_to_pb(rejection.kind).into(),
                message: rejection.message.clone(),
            }),
        }),
    };
    pb::ProposeResponse { outcomes: outcomes.iter().map(one).collect() }
}

fn kind_to_pb(kind: RejectionKind) -> pb::RejectionKind {
    match kind {
        RejectionKind::NotFound => pb::RejectionKind::NotFound,
        RejectionKind::Conflict => pb::RejectionKind::Conflict,
        RejectionKind::Limit => pb::RejectionKind::Limit,
        RejectionKind::Invalid => pb::RejectionKind::Invalid,
    }
}
