//! Tells every other coordinator what the agents say that this one serves: at a bounded rate, sooner when something
//! changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use kato_core::{DatacenterName, Revision, State};
use kato_net::{MESSAGE_BYTES_MAX, Peer, Role};
use kato_proto::mesh_v1 as pb;
use kato_proto::mesh_v1::reports_client::ReportsClient;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status};

use crate::brake::Brake;
use crate::context::Context;
use crate::reports::Report;
use crate::status;
use crate::view::millis;

/// The shortest time between two reports.
const PACE: Duration = Duration::from_millis(100);
/// How long the answer to one may take: longer than any round trip that a timing is made for, or one that is too long
/// could not be measured.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// Reports to one coordinator that may wait for their answers; one that does not answer holds up nobody else.
const UNANSWERED_MAX: usize = 4;

pub(super) async fn run(context: Context, shutdown: CancellationToken) {
    let mut serving = Serving::default();
    let mut brake = context.brake.subscribe();
    // How many reports to each are not answered yet.
    let mut unanswered: BTreeMap<DatacenterName, usize> = BTreeMap::new();
    let mut under_way = FuturesUnordered::new();
    loop {
        let view = context.mesh.stale();
        let held = brake.borrow_and_update().as_ref().map(Brake::to_wire);
        for name in serving.see(&view.state, &context.datacenter, context.clock.boot()) {
            context.agents.forget_gone(&name);
        }
        let reported = report(&context, &view.state, view.index, &serving);
        let message = pb::ReportRequest { brake: held, ..reported };
        let own = Report::from_wire(message.clone(), context.clock.boot());
        context.reports.take(context.datacenter.clone(), own);
        for other in view.state.datacenters.values() {
            let (name, address) = (&other.spec.name, &other.spec.address);
            let count = unanswered.entry(name.clone()).or_default();
            if *name != context.datacenter && *count < UNANSWERED_MAX {
                *count += 1;
                under_way.push(tell(&context, name.clone(), address.clone(), message.clone()));
            }
        }
        let mut pause = std::pin::pin!(pause(&context, &mut brake));
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                Some(name) = under_way.next() => {
                    unanswered.entry(name).and_modify(|count| *count -= 1);
                }
                () = &mut pause => break,
            }
        }
    }
}

/// Until the next report.
async fn pause(context: &Context, brake: &mut watch::Receiver<Option<Brake>>) {
    tokio::time::sleep(PACE).await;
    tokio::select! {
        biased;
        () = context.agents.changed() => {}
        // The context has the other end.
        _ = brake.changed() => {}
        () = tokio::time::sleep(context.patience().report.saturating_sub(PACE)) => {}
    }
}

/// Sends the report to another coordinator, measures the round trip, and returns the name.
async fn tell(
    context: &Context,
    name: DatacenterName,
    address: String,
    message: pb::ReportRequest,
) -> DatacenterName {
    let mut client = ReportsClient::new(context.peer(&name, &address))
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let began = context.clock.boot();
    let answer = tokio::time::timeout(ANSWER_MAX, client.report(message)).await;
    match answer {
        Ok(Ok(_)) => {
            context.round_trips.answered(&name, began, context.clock.boot());
            return name;
        }
        // Without reports this datacenter will be taken for lost.
        Ok(Err(status)) if status.code() == Code::OutOfRange => {
            tracing::error!(to = %name, %status, "a report is too large");
        }
        Ok(Err(status)) => tracing::debug!(to = %name, %status, "a report was not taken"),
        Err(_) => tracing::debug!(to = %name, "a report was not answered"),
    }
    context.round_trips.unanswered(&name);
    name
}

/// The datacenters that this coordinator serves, each with the term and since when, on its own boot clock.
#[derive(Default)]
struct Serving(BTreeMap<DatacenterName, (Revision, Duration)>);

impl Serving {
    /// Takes a state in, and returns those that it has begun to serve, or ended.
    fn see(
        &mut self,
        state: &State,
        own: &DatacenterName,
        now: Duration,
    ) -> BTreeSet<DatacenterName> {
        let before = std::mem::take(&mut self.0);
        let since = |name: &DatacenterName| {
            let term = state.datacenters[name].term();
            let known = before.get(name).filter(|(known, _)| *known == term);
            (name.clone(), known.copied().unwrap_or((term, now)))
        };
        self.0 = state.serving(own).map(since).collect();
        let ended = before.keys().filter(|name| !self.0.contains_key(*name));
        let begun = self.0.iter().filter(|(name, found)| before.get(*name) != Some(found));
        ended.chain(begun.map(|(name, _)| name)).cloned().collect()
    }
}

/// What the agents say. A machine whose agent has not attached since this coordinator began to serve it has been silent
/// since then.
fn report(
    context: &Context,
    state: &State,
    applied: u64,
    Serving(serving): &Serving,
) -> pb::ReportRequest {
    let attached = context.agents.all();
    let now = context.clock.boot();
    let machines = serving.iter().flat_map(|(name, (_, since))| {
        state.machines_of(name).map(move |machine| (machine, *since))
    });
    let machines = machines.map(|(machine, since)| {
        let id = &machine.spec.id;
        let found = attached.get(id);
        let heard = found.map_or(since, |found| found.heard.max(since));
        let silent_ms = millis(now.saturating_sub(heard));
        let instances = found.map(|found| &found.instances);
        pb::MachineReport {
            machine: id.to_string(),
            incarnation: found.map_or(0, |found| found.incarnation),
            connected: found.is_some_and(crate::agents::Attached::connected),
            silent_ms,
            settled: found.map_or(0, |found| found.settled.0),
            instances: instances.into_iter().flatten().map(|(id, seen)| seen.to_wire(id)).collect(),
        }
    });
    pb::ReportRequest {
        datacenter: context.datacenter.to_string(),
        applied,
        machines: machines.collect(),
        brake: None,
        knows: context.knows,
        round_trips: context.round_trips.to_wire(),
        silences: silences(context, now),
        timing_rtt_ms_max: context.mesh.timing().rtt_ms_max,
        disk_alarm: context.mesh.disk_alarm().borrow().as_ref().map(|alarm| pb::DiskAlarm {
            free_bytes: alarm.free,
            needed_bytes: alarm.needed,
            path: alarm.path.display().to_string(),
        }),
    }
}

/// How long each of the others has not been heard here.
fn silences(context: &Context, now: Duration) -> Vec<pb::Silence> {
    let mut others = context.reports.all();
    others.remove(&context.datacenter);
    let silence = |(name, report): (DatacenterName, Arc<Report>)| pb::Silence {
        datacenter: name.to_string(),
        silent_ms: millis(now.saturating_sub(report.heard)),
    };
    others.into_iter().map(silence).collect()
}

/// The datacenter that a caller may report of, if that is the one that it names.
fn reporter(peer: Option<&Peer>, named: &str) -> Result<DatacenterName, Status> {
    let Some(Role::Coordinator(datacenter)) = peer.map(|peer| &peer.identity.role) else {
        return Err(status::denied("only coordinators report", &["coordinator".to_owned()]));
    };
    if named != datacenter.as_str() {
        let text = format!("the certificate is {datacenter}'s, not {named}'s");
        return Err(status::because(Code::PermissionDenied, "OTHER_DATACENTER", text));
    }
    Ok(datacenter.clone())
}

/// Answers the other coordinators' reports.
pub(crate) struct ReportService {
    pub(crate) context: Context,
}

#[tonic::async_trait]
impl pb::reports_server::Reports for ReportService {
    async fn report(
        &self,
        request: Request<pb::ReportRequest>,
    ) -> Result<Response<pb::ReportResponse>, Status> {
        let peer = request.extensions().get::<Arc<Peer>>().cloned();
        let message = request.into_inner();
        let datacenter = reporter(peer.as_deref(), &message.datacenter)?;
        let report = Report::from_wire(message, self.context.clock.boot());
        self.context.reports.take(datacenter, report);
        Ok(Response::new(pb::ReportResponse {}))
    }
}

#[cfg(test)]
mod tests {
    use tonic_types::StatusExt;

    use super::*;

    #[test]
    fn a_coordinator_reports_of_its_own_datacenter_alone_and_is_told_why() {
        let peer = |role: &str| Peer {
            identity: format!("spiffe://demo.com/{role}").parse().unwrap(),
            address: "127.0.0.1:1".parse().unwrap(),
        };
        let (dub, reader) = (peer("coordinator/dub"), peer("reader/grafana"));
        assert_eq!(reporter(Some(&dub), "dub").unwrap().as_str(), "dub");
        for (peer, named, reason) in [
            (Some(&dub), "ewr", "OTHER_DATACENTER"),
            (Some(&reader), "dub", "ROLE_NOT_ADMITTED"),
            (None, "dub", "ROLE_NOT_ADMITTED"),
        ] {
            let status = reporter(peer, named).unwrap_err();
            assert_eq!(status.code(), Code::PermissionDenied);
            let info = status.get_details_error_info().expect("a program can tell why");
            assert_eq!((&*info.reason, &*info.domain), (reason, "kato"));
        }
    }
}
