//! The coordinators as a group.

use kato_core::MicroDollars;
use kato_proto::v1 as pb;
use tonic::{Request, Response, Status};

use super::Reading;
use crate::view::millis;

/// Answers about the group.
pub(crate) struct ClusterService {
    pub(crate) reading: Reading,
}

#[tonic::async_trait]
impl pb::cluster_server::Cluster for ClusterService {
    async fn get_status(
        &self,
        request: Request<pb::GetStatusRequest>,
    ) -> Result<Response<pb::GetStatusResponse>, Status> {
        let snapshot = self.reading.at(request.get_ref().consistency()).await?;
        let context = &self.reading.context;
        let state = &snapshot.view.state;
        let whole = snapshot.whole();
        let leadership = context.mesh.leadership().borrow().clone();
        let silence = millis(context.patience.silence);
        // Raft goes on naming the last leader, itself too, where nobody is heard any more.
        let confirmed = snapshot.info.age_ms <= silence;
        let leader = leadership.leader.filter(|_| confirmed);
        let leader = leader.map(|(_, datacenter)| datacenter.to_string());
        let members: Vec<pb::Member> = leadership
            .voters
            .iter()
            .map(|(id, member)| {
                let report = whole.reports.get(&member.datacenter);
                let silent = report.map(|report| millis(whole.now.saturating_sub(report.heard)));
                pb::Member {
                    id: *id,
                    datacenter: member.datacenter.to_string(),
                    address: member.address.clone(),
                    leader: leader.as_deref() == Some(member.datacenter.as_str()),
                    silent_ms: silent,
                    heard: silent.is_some_and(|silent| silent <= silence),
                }
            })
            .collect();
        let heard = members.iter().filter(|member| leader.is_some() && member.heard).count();
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let placed = state.instances.values().filter_map(|instance| instance.placement.as_ref());
        let price: MicroDollars = placed.map(|p| p.quote.price_micros_per_hour).sum();
        let suspended = state.machines.values().filter(|machine| machine.suspended.is_some());
        Ok(Response::new(pb::GetStatusResponse {
            domain: context.domain.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            term: leadership.term,
            leader: leader.unwrap_or_default(),
            may_lose: count(heard.saturating_sub(members.len() / 2 + 1)),
            lease_ms: state.settings.as_ref().map_or(0, |settings| settings.lease_ms),
            datacenters: count(state.datacenters.len()),
            machines: count(state.machines.len()),
            machines_suspended: count(suspended.count()),
            workloads: count(state.workloads.len()),
            instances: count(state.instances.len()),
            running: count(state.instances.values().filter(|i| whole.runs(i)).count()),
            unplaceable: count(
                state.instances.values().filter(|i| i.unplaceable.is_some()).count(),
            ),
            price_micros_per_hour: price.0,
            members,
            read: Some(snapshot.info.clone()),
        }))
    }
}
