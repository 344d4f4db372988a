//! The far end: just enough of the API for the client's own behaviour to be seen. What a mesh does is tested
//! with a mesh.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::stream::{self, Stream};
use kato_net::{Peer, Role};
use kato_proto::v1::*;
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::samples as sample;

type Events = Pin<Box<dyn Stream<Item = Result<Event, Status>> + Send>>;
type Lines = Pin<Box<dyn Stream<Item = Result<LogLine, Status>> + Send>>;
type Changes = Pin<Box<dyn Stream<Item = Result<WatchWorkloadsResponse, Status>> + Send>>;

/// What was changed: the unit or workload, and the revision that was expected of it.
pub(crate) type Commit = (String, Option<u64>);

/// Whether it hears enough of the others.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Majority {
    Heard,
    Missing,
    /// It waits for one, for longer than anybody waits for it.
    Awaited,
}

/// What the far end pretends.
#[derive(Clone, Copy)]
pub(crate) struct Pretence {
    pub(crate) majority: Majority,
    /// What applying a unit would do.
    pub(crate) change: Change,
    pub(crate) unplaced: u32,
    /// Whether somebody else changes the workload between plan and apply.
    pub(crate) overtaken: bool,
    /// How often it says where a workload goes before the mesh changes, and it goes elsewhere.
    pub(crate) shifts_after: Option<usize>,
    /// Whether it is stopped once it has sent three events, or the lines of a log.
    pub(crate) stops: bool,
}

impl Default for Pretence {
    fn default() -> Self {
        Self {
            majority: Majority::Heard,
            change: Change::Updated,
            unplaced: 0,
            overtaken: false,
            shifts_after: None,
            stops: false,
        }
    }
}

/// A coordinator's answers, and what it was asked to change.
#[derive(Clone)]
pub(crate) struct Far {
    pretence: Pretence,
    planned: Arc<AtomicUsize>,
    watched: Arc<AtomicUsize>,
    pub(crate) commits: Arc<Mutex<Vec<Commit>>>,
}

type Answer<T> = Result<Response<T>, Status>;

impl Far {
    pub(crate) fn new(pretence: Pretence) -> Self {
        Self { pretence, planned: Arc::default(), watched: Arc::default(), commits: Arc::default() }
    }

    fn planned(&self) -> ApplyResponse {
        let unplaced = self.pretence.unplaced;
        let mut plan = ApplyResponse { unplaced, ..sample::plan(self.pretence.change) };
        let planned = self.planned.fetch_add(1, Ordering::SeqCst);
        if self.pretence.shifts_after.is_some_and(|times| planned >= times) {
            let candidates = &mut plan.decision.as_mut().unwrap().candidates;
            (candidates[0].chosen, candidates[1].chosen) = (0, 2);
        }
        plan
    }

    /// Whether it is stopped already.
    fn watch(&self) -> Result<(), Status> {
        let first = self.watched.fetch_add(1, Ordering::SeqCst) == 0;
        if first || !self.pretence.stops { Ok(()) } else { Err(Status::unavailable("stopped")) }
    }

    fn read(&self, consistency: i32) -> Result<Option<ReadInfo>, Status> {
        let stale = consistency == i32::from(Consistency::Stale);
        if self.pretence.majority == Majority::Missing && !stale {
            let details = ErrorDetails::with_error_info("NO_MAJORITY", "kato", []);
            let message = "no coordinator leads at the moment";
            return Err(Status::with_error_details(Code::Unavailable, message, details));
        }
        let age_ms = if stale { 12_000 } else { 0 };
        Ok(Some(ReadInfo { revision: 61, stale, age_ms, answered_by: "dub".to_owned() }))
    }
}

/// The unit of a request, with one mistake that is known.
fn unit(source: Option<apply_request::Source>) -> Result<UnitFile, Status> {
    let Some(apply_request::Source::Unit(unit)) = source else {
        return Err(Status::invalid_argument("no unit"));
    };
    if unit.text.contains("Neer=") {
        let details = ErrorDetails::with_bad_request_violation(
            format!("{}:2", unit.file_name),
            "unknown key \"Neer=\"; did you mean \"Near=\"?",
        );
        let message = "the unit file has 1 mistake";
        return Err(Status::with_error_details(Code::InvalidArgument, message, details));
    }
    Ok(unit)
}

/// One item a page, so that three are three pages.
fn page<T: Clone>(all: &[T], page: Option<Page>) -> (Vec<T>, String) {
    let at: usize = page.map_or(0, |page| page.token.parse().unwrap_or(0));
    let next = if at + 1 < all.len() { (at + 1).to_string() } else { String::new() };
    (all[at..].iter().take(1).cloned().collect(), next)
}

fn stream_of<T: Send + 'static>(
    items: impl Iterator<Item = T> + Send + 'static,
) -> Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>> {
    Box::pin(stream::iter(items.map(Ok)))
}

#[tonic::async_trait]
impl workloads_server::Workloads for Far {
    type WatchStream = Changes;

    async fn apply(&self, request: Request<ApplyRequest>) -> Answer<ApplyResponse> {
        let peer = request.extensions().get::<Arc<Peer>>().cloned();
        if peer.is_some_and(|peer| matches!(peer.identity.role, Role::Reader(_))) {
            return Err(Status::permission_denied("a reader may not apply"));
        }
        let request = request.into_inner();
        let unit = unit(request.source)?;
        if !request.dry_run {
            if self.pretence.overtaken {
                return Err(Status::aborted("\"web\" is at revision 44, not 41"));
            }
            self.commits.lock().unwrap().push((unit.file_name, request.expected_revision));
        }
        Ok(Response::new(self.planned()))
    }

    async fn plan(&self, request: Request<ApplyRequest>) -> Answer<ApplyResponse> {
        unit(request.into_inner().source)?;
        Ok(Response::new(self.planned()))
    }

    async fn get(&self, request: Request<GetWorkloadRequest>) -> Answer<GetWorkloadResponse> {
        let request = request.into_inner();
        let read = self.read(request.consistency)?;
        if request.name != "web" {
            return Err(Status::not_found(format!("there is no workload \"{}\"", request.name)));
        }
        Ok(Response::new(GetWorkloadResponse { read, workload: Some(sample::workload("web", 2)) }))
    }

    async fn list(&self, request: Request<ListWorkloadsRequest>) -> Answer<ListWorkloadsResponse> {
        let request = request.into_inner();
        let read = self.read(request.consistency)?;
        let all = [sample::workload("web", 2), sample::workload("worker", 1)];
        let (workloads, next_page_token) = page(&all, request.page);
        Ok(Response::new(ListWorkloadsResponse { read, workloads, next_page_token }))
    }

    async fn delete(
        &self,
        request: Request<DeleteWorkloadRequest>,
    ) -> Answer<DeleteWorkloadResponse> {
        let request = request.into_inner();
        self.commits.lock().unwrap().push((request.name, request.expected_revision));
        Ok(Response::new(DeleteWorkloadResponse { revision: 62 }))
    }

    async fn watch(&self, _: Request<WatchWorkloadsRequest>) -> Answer<Changes> {
        Err(Status::unimplemented(""))
    }
}

#[tonic::async_trait]
impl placement_server::Placement for Far {
    async fn decide(&self, _: Request<DecideRequest>) -> Answer<DecideResponse> {
        Err(Status::unimplemented(""))
    }

    async fn list(
        &self,
        request: Request<ListPlacementsRequest>,
    ) -> Answer<ListPlacementsResponse> {
        let request = request.into_inner();
        let read = self.read(request.consistency)?;
        let mut all = sample::instances();
        if request.workload == "far" {
            let (datacenter, machine) = ("fra".to_owned(), "core-1.cell-1.fra".to_owned());
            all.push(Instance {
                datacenter,
                machine,
                ..sample::instance("far@1", RunState::Unknown)
            });
        }
        let prefix = format!("{}@", request.workload);
        all.retain(|i| request.workload.is_empty() || i.id.starts_with(&prefix));
        let (instances, next_page_token) = page(&all, request.page);
        Ok(Response::new(ListPlacementsResponse { read, instances, next_page_token }))
    }

    async fn explain(&self, request: Request<ExplainRequest>) -> Answer<ExplainResponse> {
        let request = request.into_inner();
        let read = self.read(request.consistency)?;
        match request.instance.as_str() {
            "web@1" => Ok(Response::new(ExplainResponse { read, ..sample::explanation() })),
            other => Err(Status::not_found(format!("there is no instance \"{other}\""))),
        }
    }

    async fn what_if(&self, request: Request<WhatIfRequest>) -> Answer<WhatIfResponse> {
        let request = request.into_inner();
        let read = self.read(request.consistency)?;
        if request.without == ["ewr"] || request.capacity.get("ewr") == Some(&0) {
            return Ok(Response::new(WhatIfResponse { read, ..sample::what_if() }));
        }
        Ok(Response::new(WhatIfResponse { read, ..WhatIfResponse::default() }))
    }
}

#[tonic::async_trait]
impl topology_server::Topology for Far {
    async fn list_datacenters(
        &self,
        request: Request<ListDatacentersRequest>,
    ) -> Answer<ListDatacentersResponse> {
        let request = request.into_inner();
        let read = self.read(request.consistency)?;
        let (datacenters, next_page_token) = page(&sample::datacenters(), request.page);
        Ok(Response::new(ListDatacentersResponse { read, datacenters, next_page_token }))
    }

    async fn list_cells(&self, request: Request<ListCellsRequest>) -> Answer<ListCellsResponse> {
        let request = request.into_inner();
        let read = self.read(request.consistency)?;
        let (cells, next_page_token) = page(&sample::cells(), request.page);
        Ok(Response::new(ListCellsResponse { read, cells, next_page_token }))
    }

    async fn list_machines(
        &self,
        request: Request<ListMachinesRequest>,
    ) -> Answer<ListMachinesResponse> {
        let request = request.into_inner();
        let read = self.read(request.consistency)?;
        let (machines, next_page_token) = page(&sample::machines(), request.page);
        Ok(Response::new(ListMachinesResponse { read, machines, next_page_token }))
    }

    async fn list_offers(&self, request: Request<ListOffersRequest>) -> Answer<ListOffersResponse> {
        let request = request.into_inner();
        let read = self.read(request.consistency)?;
        let mut all = sample::offers();
        all.retain(|o| request.datacenter.is_empty() || o.datacenter == request.datacenter);
        let (offers, next_page_token) = page(&all, request.page);
        Ok(Response::new(ListOffersResponse { read, offers, next_page_token }))
    }
}

#[tonic::async_trait]
impl cluster_server::Cluster for Far {
    async fn get_status(&self, request: Request<GetStatusRequest>) -> Answer<GetStatusResponse> {
        let consistency = request.into_inner().consistency;
        let stale = consistency == i32::from(Consistency::Stale);
        if self.pretence.majority == Majority::Awaited && !stale {
            std::future::pending::<()>().await;
        }
        let read = self.read(consistency)?;
        let mut status = GetStatusResponse { read, ..sample::status() };
        if self.pretence.majority != Majority::Heard {
            status.leader.clear();
            status.members[1].heard = false;
        }
        Ok(Response::new(status))
    }

    async fn set_budget(&self, _: Request<SetBudgetRequest>) -> Answer<SetBudgetResponse> {
        let spent_micros_per_hour = 91_200;
        Ok(Response::new(SetBudgetResponse { revision: 41, spent_micros_per_hour }))
    }
}

#[tonic::async_trait]
impl events_server::Events for Far {
    type WatchStream = Events;

    async fn list(&self, request: Request<ListEventsRequest>) -> Answer<ListEventsResponse> {
        let request = request.into_inner();
        let read = self.read(request.consistency)?;
        let (events, next_page_token) = page(&sample::events(), request.page);
        Ok(Response::new(ListEventsResponse { read, events, next_page_token }))
    }

    /// Events without end, each revision with two of them.
    async fn watch(&self, request: Request<WatchEventsRequest>) -> Answer<Events> {
        self.watch()?;
        let WatchEventsRequest { since_revision, since_place, .. } = request.into_inner();
        let behind_all = since_place == 0 || since_place == 2;
        let first = 2 * since_revision + if behind_all { 2 } else { 1 };
        let event = sample::events().remove(2);
        let endless = (first..).map(move |number| {
            let message = format!("number {number}");
            let place = if number % 2 == 0 { 1 } else { 2 };
            Event { revision: number / 2, place, message, ..event.clone() }
        });
        Ok(Response::new(if self.pretence.stops {
            stream_of(endless.take(3))
        } else {
            stream_of(endless)
        }))
    }
}

#[tonic::async_trait]
impl logs_server::Logs for Far {
    type ReadStream = Lines;

    async fn read(&self, request: Request<ReadLogsRequest>) -> Answer<Lines> {
        self.watch()?;
        let request = request.into_inner();
        self.read(request.consistency)?;
        match request.instance.as_str() {
            "web@1" => {}
            // It runs in a datacenter that is lost.
            "far@1" => return Err(Status::unavailable("cannot reach 10.0.0.9:7440")),
            "web@2" => return Err(Status::failed_precondition("it has no machine yet")),
            other => return Err(Status::not_found(format!("there is no instance {other}"))),
        }
        let line = |stream: &str, text: &str| LogLine {
            at_unix_ms: sample::NOW,
            stream: stream.to_owned(),
            text: text.to_owned(),
        };
        let lines = [line("kato", "started, epoch 43"), line("stdout", "\u{1b}[1mready\u{1b}[0m")];
        Ok(Response::new(stream_of(lines.into_iter())))
    }
}
