//! Workloads: applied, read, deleted, watched.

use std::sync::Arc;

use kato_core::{
    Batch, Command, Decision, RejectionKind, Revision, Rules, State, Workload, WorkloadName,
    WorkloadSpec,
};
use kato_net::task::Tasks;
use kato_proto::v1 as pb;
use kato_proto::v1::workloads_client::WorkloadsClient;
use tokio::sync::{AcquireError, Semaphore, SemaphorePermit};
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use super::page::page;
use super::spec::{Wanted, from_fields, from_unit};
use super::{Reading, watch};
use crate::admission::admit;
use crate::conflict::conflict;
use crate::planner::{Plan, Planner};
use crate::{status, view};

/// Marks a request that another coordinator has passed on.
const FORWARDED: &str = "kato-forwarded";
/// How many workloads are planned and committed at once.
const TURNS: u32 = 1_024;
/// How often a plan is made anew when the state changed under it.
const TRIES: u32 = 8;

/// Answers about workloads.
pub(crate) struct WorkloadService {
    reading: Reading,
    tasks: Arc<Tasks>,
    /// One is held while a workload is planned and committed; all of them where something depends on what else is applied.
    turns: Semaphore,
}

type Answer<T> = Result<Response<T>, Status>;

pub(super) fn name(text: &str) -> Result<WorkloadName, Status> {
    text.parse().map_err(|error: kato_core::NameError| status::bad_field("name", error.to_string()))
}

impl WorkloadService {
    pub(crate) fn new(reading: Reading, tasks: Arc<Tasks>) -> Self {
        Self { reading, tasks, turns: Semaphore::new(TURNS as usize) }
    }

    /// A client of the leader, or none if this coordinator leads. A request that was forwarded once is not sent on:
    /// two coordinators that are both behind would pass it to and fro.
    fn leader(&self, metadata: &MetadataMap) -> Result<Option<WorkloadsClient<Channel>>, Status> {
        let context = &self.reading.context;
        let leadership = context.mesh.leadership().borrow().clone();
        if leadership.here {
            return Ok(None);
        }
        if metadata.contains_key(FORWARDED) {
            let error = kato_raft::Error::Unavailable("the leader has just changed".to_owned());
            return Err(status::from_mesh(&error));
        }
        let member = leadership.leader.and_then(|(id, _)| leadership.voters.get(&id).cloned());
        let Some(member) = member else {
            let error =
                kato_raft::Error::Unavailable("no coordinator leads at the moment".to_owned());
            return Err(status::from_mesh(&error));
        };
        let channel = context.peer(&member.datacenter, &member.address);
        Ok(Some(WorkloadsClient::new(channel)))
    }

    /// Applies here, as the leader.
    async fn apply_here(
        &self,
        wanted: Wanted,
        dry_run: bool,
        expected: Option<Revision>,
    ) -> Result<pb::ApplyResponse, Status> {
        let context = &self.reading.context;
        let Wanted { spec, warnings } = wanted;
        // What is said to be so must be so: a leader that has just begun may not have applied all that was
        // acknowledged. What is committed is checked by the log itself.
        let mut sure = dry_run;
        // Nobody closes them.
        let _turn = if dry_run { None } else { self.turn(&spec).await.ok() };
        for _ in 0..TRIES {
            let snapshot = if sure {
                self.reading.at(pb::Consistency::Linearizable).await?
            } else {
                self.reading.here()
            };
            let known = snapshot.view.state.workloads.get(&spec.name);
            let planner = context.planner(&snapshot.view);
            let Draft { put, plan, change } = Draft::new(&planner, &spec, dry_run);
            // Where nothing is to be placed, the decision that counts is the one that was made.
            let made = first_decision(&snapshot.view.state, &spec.name)
                .filter(|_| plan.targets.is_empty() && plan.left.is_empty());
            let survives = match change {
                pb::Change::None => Ok(Vec::new()),
                _ => admit(&planner, &spec, &put),
            };
            if (change == pb::Change::None || survives.is_err()) && !sure {
                sure = true;
                continue;
            }
            let survives = survives.map_err(|rejection| status::from_rejection(&rejection))?;
            let answer = |workload, plan: &Plan| pb::ApplyResponse {
                conflict: conflict_of(&planner, &spec, plan),
                workload: Some(workload),
                change: change.into(),
                decision: Some(view::decision(made.as_ref().unwrap_or(&plan.decision))),
                unplaced: plan.unplaced(),
                warnings: warnings.clone(),
                machines_to_buy: plan.machines_to_buy(),
                adds_micros_per_hour: plan.adds().0,
                survives: survives.iter().map(ToString::to_string).collect(),
            };
            if dry_run || change == pb::Change::None {
                check_expected(known, expected)?;
                let workload = known.map(|known| snapshot.whole().workload(known));
                let mut workload = workload.unwrap_or_default();
                workload.spec = Some(view::spec(&spec));
                if change != pb::Change::None {
                    try_out(&snapshot.view.state, put.put(Arc::clone(&spec), None))?;
                    workload.price_micros_per_hour = plan.price().0;
                    workload.placed = plan.placed();
                }
                return Ok(answer(workload, &plan));
            }
            let kept = plan.clone();
            match context.commit_one(plan.put(Arc::clone(&spec), expected)).await {
                Err(error) => return Err(status::from_mesh(&error)),
                Ok(Ok(_)) => {
                    let snapshot = self.reading.here();
                    let applied = snapshot.view.state.workloads.get(&spec.name);
                    let workload = applied.map(|applied| snapshot.whole().workload(applied));
                    return Ok(answer(workload.unwrap_or_default(), &kept));
                }
                Ok(Err(rejection)) if rejection.kind == RejectionKind::Conflict => {
                    if expected.is_some() {
                        check_expected(
                            self.reading.here().view.state.workloads.get(&spec.name),
                            expected,
                        )?;
                    }
                }
                Ok(Err(rejection)) => return Err(status::from_rejection(&rejection)),
            }
        }
        Err(status::overtaken("the mesh changes faster than a plan can be made"))
    }
}

/// What applying a workload would come to.
struct Draft {
    /// What is committed.
    put: Plan,
    /// What is shown: of a dry run, as if nothing of the workload had a place yet.
    plan: Plan,
    change: pb::Change,
}

impl Draft {
    fn new(planner: &Planner, spec: &WorkloadSpec, dry_run: bool) -> Self {
        let known = planner.state.workloads.get(&spec.name);
        let same = known.is_some_and(|known| *known.spec == *spec);
        let put = planner.put(spec);
        let plan = if dry_run && !same { planner.anew(spec) } else { put.clone() };
        let change = match known {
            None => pb::Change::Created,
            Some(_) if same && plan.targets.is_empty() => pb::Change::None,
            Some(_) => pb::Change::Updated,
        };
        Self { put, plan, change }
    }
}

impl WorkloadService {
    /// Two that are applied at the same moment do not see each other: whoever is applied where something depends on what else is
    /// waits until nobody else is.
    async fn turn(&self, spec: &WorkloadSpec) -> Result<SemaphorePermit<'_>, AcquireError> {
        let depends = |rules: &Rules| rules.survives.is_some() || !rules.neighbours.is_empty();
        let any_depends = || {
            let snapshot = self.reading.here();
            let mut others = snapshot.view.state.workloads.values();
            depends(&spec.rules) || others.any(|workload| depends(&workload.spec.rules))
        };
        let one_of_many = self.turns.acquire().await?;
        // Asked once nobody who is alone can commit any more.
        if !any_depends() {
            return Ok(one_of_many);
        }
        drop(one_of_many);
        self.turns.acquire_many(TURNS).await
    }
}

/// What keeps instances from a place, if some have none.
fn conflict_of(planner: &Planner, spec: &WorkloadSpec, plan: &Plan) -> Vec<String> {
    if plan.left.is_empty() { Vec::new() } else { conflict(planner, spec) }
}

/// Whether the state would take a command: asked of a copy, so that a dry run is refused like the real one.
fn try_out(state: &State, command: Command) -> Result<(), Status> {
    let batch = Batch { at: state.time, commands: vec![command] };
    let outcomes = state.clone().apply(&batch);
    let refused = outcomes.into_iter().find_map(Result::err);
    refused.map_or(Ok(()), |rejection| Err(status::from_rejection(&rejection)))
}

/// Why the first placed instance of a workload is where it is.
fn first_decision(state: &State, name: &WorkloadName) -> Option<Arc<Decision>> {
    let mut placements = state.instances_of(name).filter_map(|i| i.placement.as_ref());
    placements.next().map(|placement| Arc::clone(&placement.decision))
}

fn check_expected(known: Option<&Workload>, expected: Option<Revision>) -> Result<(), Status> {
    let found = known.map_or(Revision(0), |known| known.revision);
    match expected {
        Some(expected) if expected != found => {
            Err(status::from_rejection(&kato_core::Rejection::new(
                RejectionKind::Conflict,
                format!("the workload is at revision {found}, {expected} was expected"),
            )))
        }
        _ => Ok(()),
    }
}

#[tonic::async_trait]
impl pb::workloads_server::Workloads for WorkloadService {
    async fn apply(&self, request: Request<pb::ApplyRequest>) -> Answer<pb::ApplyResponse> {
        let leader = self.leader(request.metadata());
        let request = request.into_inner();
        let ips = &self.reading.context.ip_locations;
        let wanted = match &request.source {
            Some(pb::apply_request::Source::Unit(unit)) => from_unit(unit, ips)?,
            Some(pb::apply_request::Source::Spec(spec)) => from_fields(spec, ips)?,
            None => return Err(status::bad_field("source", "a unit or a spec is needed")),
        };
        if let Some(mut leader) = leader? {
            let mut request = Request::new(request);
            request.metadata_mut().insert(FORWARDED, MetadataValue::from_static("yes"));
            return leader.apply(request).await;
        }
        let expected = request.expected_revision.map(Revision);
        self.apply_here(wanted, request.dry_run, expected).await.map(Response::new)
    }

    async fn plan(&self, request: Request<pb::ApplyRequest>) -> Answer<pb::ApplyResponse> {
        self.apply(request.map(|wish| pb::ApplyRequest { dry_run: true, ..wish })).await
    }

    async fn get(
        &self,
        request: Request<pb::GetWorkloadRequest>,
    ) -> Answer<pb::GetWorkloadResponse> {
        let name = name(&request.get_ref().name)?;
        let snapshot = self.reading.at(request.get_ref().consistency()).await?;
        let Some(workload) = snapshot.view.state.workloads.get(&name) else {
            return Err(status::not_found(format!("there is no workload {name}")));
        };
        let workload = Some(snapshot.whole().workload(workload));
        Ok(Response::new(pb::GetWorkloadResponse { workload, read: Some(snapshot.info) }))
    }

    async fn list(
        &self,
        request: Request<pb::ListWorkloadsRequest>,
    ) -> Answer<pb::ListWorkloadsResponse> {
        let consistency = request.get_ref().consistency();
        let snapshot = self.reading.at(consistency).await?;
        let workloads = snapshot.view.state.workloads.iter();
        let named = workloads.map(|(name, workload)| (name.to_string(), workload));
        let (whole, asked) = (snapshot.whole(), request.into_inner().page);
        let (workloads, next_page_token) =
            page("workloads", named, asked, |found| whole.workload(found))?;
        let read = Some(snapshot.info);
        Ok(Response::new(pb::ListWorkloadsResponse { read, workloads, next_page_token }))
    }

    async fn delete(
        &self,
        request: Request<pb::DeleteWorkloadRequest>,
    ) -> Answer<pb::DeleteWorkloadResponse> {
        let request = request.into_inner();
        let expected = request.expected_revision.map(Revision);
        let command = Command::DeleteWorkload { name: name(&request.name)?, expected };
        let outcome = self.reading.context.commit_one(command).await;
        let applied = outcome
            .map_err(|error| status::from_mesh(&error))?
            .map_err(|rejection| status::from_rejection(&rejection))?;
        Ok(Response::new(pb::DeleteWorkloadResponse { revision: applied.revision.0 }))
    }

    type WatchStream = ReceiverStream<watch::Message>;

    async fn watch(
        &self,
        request: Request<pb::WatchWorkloadsRequest>,
    ) -> Answer<Self::WatchStream> {
        let since = Revision(request.into_inner().since_revision);
        let snapshot = self.reading.at(pb::Consistency::Linearizable).await?;
        let reached = snapshot.view.state.revision;
        if since > reached {
            return Err(status::beyond(since, reached));
        }
        Ok(Response::new(watch::start(self.reading.clone(), &self.tasks, since)))
    }
}
