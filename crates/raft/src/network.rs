//! The calling side of consensus: what openraft sends, as gRPC calls to the other members.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, join_all, select};
use kato_net::{Expect, Role, Timeouts, Transport, channel};
use kato_proto::mesh_v1::raft_client::RaftClient;
use kato_proto::{Field, InvalidMessage, mesh_v1 as pb};
use openraft::error::{
    NetworkError, RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable,
};
use openraft::network::RPCOption;

use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{OptionalSend, RPCTypes, RaftNetworkFactory, RaftNetworkV2};
use openraft_rt::WatchReceiver as _;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::Error;
use crate::convert::Message;
use crate::disk::Source;
use crate::lost::Acknowledged;
use crate::machine::{Content, PIECE_BYTES, piece};
use crate::types::{LogId, Member, NodeId, Raft, Snapshot, TypeConfig, Vote};

/// The largest message between members, in bytes: one log entry may take half of it.
pub(crate) const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Between two looks whether connections to all voters are open.
const OPEN_AGAIN: Duration = Duration::from_secs(1);
/// A member that there is none of.
const NOBODY: NodeId = 0;

/// Makes clients for members. Clones share their connections: a handshake takes three round trips, and an election has
/// no time for one.
#[derive(Clone)]
pub(crate) struct Network {
    pub(crate) own: NodeId,
    transport: Arc<dyn Transport>,
    timeouts: Timeouts,
    acknowledged: Acknowledged,
    lines: Arc<Mutex<BTreeMap<NodeId, Line>>>,
}

/// The connections to one member. What is large has one of its own, so that no heartbeat and no vote waits behind it.
#[derive(Clone)]
struct Line {
    member: Member,
    short: RaftClient<Channel>,
    bulk: RaftClient<Channel>,
}

impl Network {
    pub(crate) fn new(
        own: NodeId,
        transport: Arc<dyn Transport>,
        timeouts: Timeouts,
        acknowledged: Acknowledged,
    ) -> Self {
        Self { own, transport, timeouts, acknowledged, lines: Arc::default() }
    }

    pub(crate) fn client(&self, target: NodeId, member: &Member) -> Client {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let line = match lines.get(&target) {
            Some(line) if line.member == *member => line.clone(),
            _ => {
                let (short, bulk) = (self.connection(member), self.connection(member));
                let line = Line { member: member.clone(), short, bulk };
                lines.insert(target, line.clone());
                line
            }
        };
        let acknowledged = self.acknowledged.clone();
        Client { own: self.own, target, grpc: line.short, bulk: line.bulk, acknowledged }
    }

    fn connection(&self, member: &Member) -> RaftClient<Channel> {
        let expect = Expect::Role(Role::Coordinator(member.datacenter.clone()));
        let transport = Arc::clone(&self.transport);
        let channel = channel(transport, member.address.clone(), expect, self.timeouts);
        RaftClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// Keeps the connections to all voters open: those are who elect.
    pub(crate) async fn keep_open(self, raft: Raft) -> Result<(), Error> {
        loop {
            let voters: Vec<(NodeId, Member)> = {
                let metrics = raft.metrics();
                let metrics = metrics.borrow_watched();
                let membership = metrics.membership_config.membership();
                let voter = |id| membership.get_node(&id).map(|member| (id, member.clone()));
                membership.voter_ids().filter_map(voter).collect()
            };
            let others = voters.iter().filter(|(id, _)| *id != self.own);
            let opening = join_all(others.map(|(id, member)| self.client(*id, member).open()));
            drop(tokio::time::timeout(OPEN_AGAIN, opening).await);
            tokio::time::sleep(OPEN_AGAIN).await;
        }
    }
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Client;

    async fn new_client(&mut self, target: NodeId, node: &Member) -> Client {
        self.client(target, node)
    }
}

/// Calls one member.
#[derive(Clone)]
pub(crate) struct Client {
    own: NodeId,
    target: NodeId,
    pub(crate) grpc: RaftClient<Channel>,
    /// For what is large.
    bulk: RaftClient<Channel>,
    acknowledged: Acknowledged,
}

type RpcError = RPCError<TypeConfig>;

impl Client {
    #[allow(clippy::unnecessary_wraps)]
    pub(crate) fn route(&self) -> Option<pb::Route> {
        Some(pb::Route { from: self.own, to: self.target })
    }

    /// Opens both connections with a question to nobody, which is refused before anything is done for it.
    async fn open(self) {
        let (mut short, mut bulk) = (self.grpc.clone(), self.bulk.clone());
        let route = Some(pb::Route { from: self.own, to: NOBODY });
        let question = || pb::ReadIndexRequest { route };
        drop(tokio::join!(short.read_index(question()), bulk.read_index(question())));
    }

    /// Waits for an answer, within the time that openraft gives a call.
    async fn call<T>(
        &self,
        action: RPCTypes,
        option: &RPCOption,
        answer: impl Future<Output = Result<tonic::Response<T>, Status>>,
    ) -> Result<T, RpcError> {
        let timeout = option.soft_ttl();
        match tokio::time::timeout(timeout, answer).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(rpc_error(status)),
            Err(_) => Err(self.late(action, timeout).into()),
        }
    }

    fn late(&self, action: RPCTypes, timeout: Duration) -> Timeout<TypeConfig> {
        Timeout { action, id: self.own, target: self.target, timeout }
    }

    fn vote_message(&self, rpc: &VoteRequest<TypeConfig>) -> pb::VoteRequest {
        pb::VoteRequest {
            route: self.route(),
            vote: Some(rpc.vote.to_pb()),
            last: rpc.last_log_id.as_ref().map(Message::to_pb),
            leadership_transfer: rpc.leadership_transfer,
        }
    }
}

/// A member that cannot be reached gets a pause before the next try; another failure is tried again at once.
fn rpc_error(status: Status) -> RpcError {
    match status.code() {
        Code::Unavailable | Code::PermissionDenied | Code::FailedPrecondition => {
            RpcError::Unreachable(Unreachable::new(&status))
        }
        _ => RpcError::Network(NetworkError::new(&status)),
    }
}

fn nonsense(error: InvalidMessage) -> RpcError {
    RpcError::Network(NetworkError::new(&error))
}

impl RaftNetworkV2<TypeConfig> for Client {
    type SnapshotData = Content;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RpcError> {
        let request = pb::AppendRequest {
            route: self.route(),
            vote: Some(rpc.vote.to_pb()),
            prev: rpc.prev_log_id.as_ref().map(Message::to_pb),
            entries: rpc.entries.iter().map(Message::to_pb).collect(),
            commit: rpc.leader_commit.as_ref().map(Message::to_pb),
            acknowledged: self.acknowledged.by(self.target, &rpc.vote),
        };
        let mut grpc = if rpc.entries.is_empty() { self.grpc.clone() } else { self.bulk.clone() };
        let answer = self.call(RPCTypes::AppendEntries, &option, grpc.append(request)).await?;
        let answer = append_response(answer).map_err(nonsense)?;
        let upto = match &answer {
            AppendEntriesResponse::Success => {
                rpc.entries.last().map(|entry| entry.log_id).or(rpc.prev_log_id)
            }
            AppendEntriesResponse::PartialSuccess(last) => *last,
            _ => None,
        };
        if let Some(upto) = upto {
            self.acknowledged.note(self.target, &rpc.vote, upto.index);
        }
        Ok(answer)
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RpcError> {
        let mut grpc = self.grpc.clone();
        let request = self.vote_message(&rpc);
        let answer = self.call(RPCTypes::Vote, &option, grpc.vote(request)).await?;
        vote_response(answer).map_err(nonsense)
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RpcError> {
        let mut grpc = self.grpc.clone();
        let request = self.vote_message(&rpc);
        let answer = self.call(RPCTypes::Vote, &option, grpc.pre_vote(request)).await?;
        vote_response(answer).map_err(nonsense)
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let Content::Kept(file) = snapshot.snapshot else {
            let text = "only what was kept is sent";
            return Err(rpc_error(Status::internal(text)).into());
        };
        let bytes = file.length().map_err(|error| RpcError::Network(NetworkError::new(&error)))?;
        let header = pb::SnapshotHeader {
            route: self.route(),
            vote: Some(vote.to_pb()),
            meta: Some(snapshot.meta.to_pb()),
            bytes,
        };
        let mut grpc = self.bulk.clone();
        let answer = grpc.install_snapshot(chunks(header, file));
        let sent = self.call(RPCTypes::InstallSnapshot, &option, answer);
        match select(std::pin::pin!(sent), std::pin::pin!(cancel)).await {
            Either::Left((answer, _)) => {
                let vote = answer?.vote.field("vote").and_then(Vote::from_pb);
                Ok(SnapshotResponse::new(vote.map_err(nonsense)?))
            }
            Either::Right((closed, _)) => Err(StreamingError::Closed(closed)),
        }
    }

    async fn transfer_leader(
        &mut self,
        rpc: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RpcError> {
        // openraft tells every voter, so that the others end the leader's lease; the vote request of the one that
        // takes over does that too. Whoever hears this takes the leadership, so nobody else may.
        if *rpc.to_node_id() != self.target {
            return Ok(Ok(()));
        }
        let request = pb::TransferLeaderRequest {
            route: self.route(),
            vote: Some(rpc.from_leader().to_pb()),
            last: rpc.last_log_id().map(Message::to_pb),
        };
        let mut grpc = self.grpc.clone();
        let answer = self.call(RPCTypes::TransferLeader, &option, grpc.transfer_leader(request));
        let refused = answer.await?.refused;
        if refused.is_empty() {
            return Ok(Ok(()));
        }
        // openraft's own reasons do not cross the network; the leader only learns that it stays leader.
        Err(RpcError::Unreachable(Unreachable::new(&Status::failed_precondition(refused))))
    }
}

/// The snapshot as the messages of one stream, each read from the file when its turn comes. The header goes first,
/// alone. Where the file cannot be read the stream ends, and the other side sees that bytes are missing.
fn chunks(
    header: pb::SnapshotHeader,
    file: Arc<dyn Source>,
) -> impl futures_util::Stream<Item = pb::SnapshotChunk> + Send + 'static {
    let length = header.bytes;
    let first = pb::SnapshotChunk { header: Some(header), data: Bytes::new() };
    let starts = (0..length).step_by(PIECE_BYTES);
    let rest = starts.map_while(move |start| match piece(&*file, start, length) {
        Ok(data) => Some(pb::SnapshotChunk { header: None, data: data.into() }),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "cannot read the snapshot");
            None
        }
    });
    futures_util::stream::iter(std::iter::once(first).chain(rest))
}

fn append_response(
    answer: pb::AppendResponse,
) -> Result<AppendEntriesResponse<TypeConfig>, InvalidMessage> {
    use pb::append_response::Outcome;
    Ok(match answer.outcome.field("append.outcome")? {
        Outcome::Success(_) => AppendEntriesResponse::Success,
        Outcome::Partial(partial) => {
            AppendEntriesResponse::PartialSuccess(partial.last.map(LogId::from_pb).transpose()?)
        }
        Outcome::Conflict(_) => AppendEntriesResponse::Conflict,
        Outcome::HigherVote(vote) => AppendEntriesResponse::HigherVote(Vote::from_pb(vote)?),
    })
}

fn vote_response(answer: pb::VoteResponse) -> Result<VoteResponse<TypeConfig>, InvalidMessage> {
    let vote = Vote::from_pb(answer.vote.field("vote")?)?;
    let last = answer.last.map(LogId::from_pb).transpose()?;
    Ok(VoteResponse::new(vote, last, answer.granted))
}
