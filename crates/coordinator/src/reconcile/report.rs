//! Tells every other coordinator what this datacenter's agents say: at a bounded rate, sooner when something
//! changed.

use std::sync::Arc;
use std::time::Duration;

use kato_core::State;
use kato_proto::mesh_v1 as pb;
use kato_proto::mesh_v1::reports_client::ReportsClient;
use tokio_util::sync::CancellationToken;

use crate::brake::Brake;
use crate::context::Context;
use crate::reports::Report;

/// The shortest time between two reports.
const PACE: Duration = Duration::from_millis(100);

pub(super) async fn run(context: Context, shutdown: CancellationToken) {
    let started = context.clock.boot();
    let mut brake = context.brake.subscribe();
    loop {
        let view = context.mesh.stale();
        let held = brake.borrow_and_update().as_ref().map(Brake::to_wire);
        let reported = report(&context, &view.state, view.index, started);
        let message = pb::ReportRequest { brake: held, ..reported };
        let own = Report::from_wire(message.clone(), context.clock.boot());
        context.reports.take(context.datacenter.clone(), own);
        tell(&context, &view.state, &message).await;
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(PACE) => {}
        }
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            () = context.agents.changed() => {}
            // The context has the other end.
            _ = brake.changed() => {}
            () = tokio::time::sleep(context.patience.report.saturating_sub(PACE)) => {}
        }
    }
}

/// Sends the report to all others at once; one that does not answer holds up nobody for longer than a report.
async fn tell(context: &Context, state: &State, message: &pb::ReportRequest) {
    let others = state.datacenters.values().filter(|found| found.spec.name != context.datacenter);
    let sending = others.map(|other| {
        let channel = context.peers.channel(&other.spec.name, &other.spec.address);
        let message = message.clone();
        async move {
            let mut client = ReportsClient::new(channel);
            let sent = client.report(message);
            match tokio::time::timeout(context.patience.report, sent).await {
                Ok(Ok(_)) => {}
                Ok(Err(status)) => {
                    tracing::debug!(to = %other.spec.name, %status, "a report was not taken");
                }
                Err(_) => tracing::debug!(to = %other.spec.name, "a report was not answered"),
            }
        }
    });
    futures_util::future::join_all(sending).await;
}

/// What the agents of this datacenter say. A machine whose agent has not attached since this coordinator started has
/// been silent since then.
fn report(context: &Context, state: &State, applied: u64, started: Duration) -> pb::ReportRequest {
    let attached = context.agents.all();
    let now = context.clock.boot();
    let machines = state.machines_of(&context.datacenter).map(|machine| {
        let id = &machine.spec.id;
        let found = attached.get(id);
        let heard = found.map_or(started, |found| found.heard);
        let silent_ms = u64::try_from(now.saturating_sub(heard).as_millis()).unwrap_or(u64::MAX);
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
    }
}

/// Answers the other coordinators' reports.
pub(crate) struct ReportService {
    pub(crate) context: Context,
}

#[tonic::async_trait]
impl pb::reports_server::Reports for ReportService {
    async fn report(
        &self,
        request: tonic::Request<pb::ReportRequest>,
    ) -> Result<tonic::Response<pb::ReportResponse>, tonic::Status> {
        let peer = request.extensions().get::<Arc<kato_net::Peer>>();
        let role = peer.map(|peer| peer.identity.role.clone());
        let Some(kato_net::Role::Coordinator(datacenter)) = role else {
            return Err(tonic::Status::permission_denied("only coordinators report"));
        };
        let message = request.into_inner();
        if message.datacenter != datacenter.as_str() {
            let text = format!("the certificate is {datacenter}'s, not {}'s", message.datacenter);
            return Err(tonic::Status::permission_denied(text));
        }
        let report = Report::from_wire(message, self.context.clock.boot());
        self.context.reports.take(datacenter, report);
        Ok(tonic::Response::new(pb::ReportResponse {}))
    }
}
