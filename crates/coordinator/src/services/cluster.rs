//! The coordinators as a group.

use std::time::Duration;

use kato_core::{Command, Datacenter, Health, MicroDollars, Offer, Revision, State};
use kato_proto::v1 as pb;
use kato_raft::Leadership;
use tonic::{Request, Response, Status};

use super::Reading;
use crate::brake::Brake;
use crate::context::Context;
use crate::planner::Planner;
use crate::status;
use crate::view::{Whole, millis};
use crate::what_if::{Hypothesis, Loss, what_if};

/// Answers about the group.
pub(crate) struct ClusterService {
    pub(crate) reading: Reading,
}

/// What the mesh costs an hour, seen from both sides.
#[derive(Debug, PartialEq, Eq)]
struct Spending {
    /// What the instances were quoted.
    shares: MicroDollars,
    /// How many machines the mesh bought, and their prices.
    bought: (usize, MicroDollars),
    /// The same of those that are on order.
    ordered: (usize, MicroDollars),
}

impl Spending {
    fn of(state: &State) -> Self {
        let placed = state.instances.values().filter_map(|instance| instance.placement.as_ref());
        let machines = state.machines.values().map(|machine| &machine.spec);
        let bought = machines.filter(|spec| spec.order.is_some()).map(|spec| &*spec.offer);
        Self {
            shares: placed.map(|placement| placement.quote.price_micros_per_hour).sum(),
            bought: total(bought),
            ordered: total(state.orders.values().map(|order| &*order.offer)),
        }
    }
}

fn total<'a>(offers: impl Iterator<Item = &'a Offer>) -> (usize, MicroDollars) {
    let prices: Vec<MicroDollars> = offers.map(|offer| offer.price_micros_per_hour).collect();
    (prices.len(), prices.into_iter().sum())
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// How long the coordinators wait for each other, and what that is measured by.
fn timing(context: &Context, state: &State) -> pb::Timing {
    let (own, heard) = (context.mesh.timing(), context.heard());
    let pairs = heard.iter().flat_map(|(from, report)| {
        let others = report.round_trips.iter().filter(|(to, _)| heard.contains_key(*to));
        others.map(move |(to, found)| (found.bound, from, to))
    });
    let agreed = state.agreed.map_or(own.rtt_ms_max, |agreed| agreed.timing.rtt_ms_max);
    let behind = heard.iter().filter(|(_, report)| report.timing_rtt_ms_max != agreed);
    pb::Timing {
        rtt_ms_max: own.rtt_ms_max,
        failover_ms: millis(own.failover()),
        longest: pairs.max().map(|(bound, from, to)| pb::RoundTrip {
            from: from.to_string(),
            to: to.to_string(),
            bound_us: micros(bound),
        }),
        behind: behind.map(|(name, _)| name.to_string()).collect(),
    }
}

/// Every coordinator that votes, as the one that answers sees it.
fn members(
    context: &Context,
    whole: &Whole,
    leadership: &Leadership,
    leader: Option<&str>,
) -> Vec<pb::Member> {
    let silence = millis(context.patience().silence);
    leadership
        .voters
        .iter()
        .map(|(id, member)| {
            let silent = whole.silent(&member.datacenter).map(millis);
            let report = whole.reports.get(&member.datacenter);
            let alarm = report.and_then(|report| report.disk_alarm.clone());
            pb::Member {
                id: *id,
                datacenter: member.datacenter.to_string(),
                address: member.address.clone(),
                leader: leader == Some(member.datacenter.as_str()),
                silent_ms: silent,
                heard: silent.is_some_and(|silent| silent <= silence),
                knows: report.map_or(0, |report| report.knows),
                rtt_us: context.round_trips.get(&member.datacenter).map(|rtt| micros(rtt.median)),
                disk_alarm: alarm.map(|alarm| pb::DiskAlarm {
                    free_bytes: alarm.free_bytes,
                    needed_bytes: alarm.needed_bytes,
                    path: alarm.path,
                }),
            }
        })
        .collect()
}

/// The largest budget: a billion dollars an hour.
const BUDGET_MICROS_MAX: i64 = 1_000_000_000_000_000;
/// Instances of a mesh beyond which the losses of its datacenters are not planned for a status.
const SURVEYED_MAX: usize = 2_000;

/// What the loss of each datacenter that is up would come to.
fn losses(planner: &Planner) -> Vec<pb::Loss> {
    let up = planner.state.datacenters.values().filter(|found| found.health == Health::Up);
    let loss = |datacenter: &Datacenter| {
        let name = &datacenter.spec.name;
        let without = [Loss::Datacenter(name.clone())].into();
        let outcome = what_if(planner, &Hypothesis { without, ..Hypothesis::default() });
        pb::Loss {
            datacenter: name.to_string(),
            moved: outcome.moving(),
            stranded: outcome.left(),
            machines_to_buy: outcome.machines_to_buy,
            adds_micros_per_hour: outcome.adds.0,
        }
    };
    up.map(loss).collect()
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
        let asked = request.get_ref().losses && state.instances.len() <= SURVEYED_MAX;
        let losses = if asked { losses(&context.planner(&snapshot.view)) } else { Vec::new() };
        let whole = snapshot.whole();
        let leadership = context.mesh.leadership().borrow().clone();
        // Raft goes on naming the last leader, itself too, where nobody is heard any more.
        let felt = context.pulse.was_felt_within(context.patience().silence);
        let confirmed = !snapshot.info.stale || felt;
        let leader = leadership.leader.clone().filter(|_| confirmed);
        let brake = leader.as_ref().and_then(|(_, datacenter)| whole.brake(datacenter));
        let leader = leader.map(|(_, datacenter)| datacenter.to_string());
        let members = members(context, &whole, &leadership, leader.as_deref());
        let heard = members.iter().filter(|member| leader.is_some() && member.heard).count();
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let Spending { shares, bought, ordered } = Spending::of(state);
        let suspended = state.machines.values().filter(|machine| machine.suspended.is_some());
        Ok(Response::new(pb::GetStatusResponse {
            domain: context.domain.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            mesh_version: state.version,
            term: leadership.term,
            leader: leader.unwrap_or_default(),
            may_lose: count(heard.saturating_sub(members.len() / 2 + 1)),
            lease_ms: state.lease_ms().unwrap_or_default(),
            quarantined: state.quarantined.is_some(),
            datacenters: count(state.datacenters.len()),
            machines: count(state.machines.len()),
            machines_suspended: count(suspended.count()),
            workloads: count(state.workloads.len()),
            instances: count(state.instances.len()),
            running: count(state.instances.values().filter(|i| whole.runs(i)).count()),
            unplaceable: count(
                state.instances.values().filter(|i| i.unplaceable.is_some()).count(),
            ),
            price_micros_per_hour: shares.0,
            machines_bought: count(bought.0),
            machines_bought_micros_per_hour: bought.1.0,
            machines_ordered: count(ordered.0),
            machines_ordered_micros_per_hour: ordered.1.0,
            losses,
            budget: state.budget.map(|budget| pb::Budget {
                max_micros_per_hour: budget.max_micros_per_hour.0,
                spent_micros_per_hour: state.spending().0,
                revision: budget.since.0,
            }),
            members,
            brake: brake.map(Brake::to_client),
            timing: Some(timing(context, state)),
            read: Some(snapshot.info.clone()),
        }))
    }

    async fn set_budget(
        &self,
        request: Request<pb::SetBudgetRequest>,
    ) -> Result<Response<pb::SetBudgetResponse>, Status> {
        let pb::SetBudgetRequest { max_micros_per_hour, expected_revision } = request.into_inner();
        let field = "max_micros_per_hour";
        if max_micros_per_hour.is_some_and(|max| !(0..=BUDGET_MICROS_MAX).contains(&max)) {
            let text = format!("between 0 and {BUDGET_MICROS_MAX} millionths of a dollar");
            return Err(status::bad_field(field, text));
        }
        let max = max_micros_per_hour.map(MicroDollars);
        let command = Command::SetBudget { max, expected: expected_revision.map(Revision) };
        let outcome = self.reading.context.commit_one(command).await;
        let applied = outcome
            .map_err(|error| status::from_mesh(&error))?
            .map_err(|rejection| status::from_rejection(&rejection))?;
        Ok(Response::new(pb::SetBudgetResponse {
            revision: max.map_or(0, |_| applied.revision.0),
            spent_micros_per_hour: self.reading.here().view.state.spending().0,
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::time::Duration;

    use kato_core::{Machine, MachineSpec, Order, OrderId, Resources, Timestamp};

    use super::*;
    use crate::reports::Report;
    use crate::sample::offer;
    use crate::view::Whole;

    #[test]
    fn a_brake_is_shown_while_its_leader_is_heard() {
        let dub: kato_core::DatacenterName = "dub".parse().unwrap();
        let brake = Brake::holds(vec!["ewr".parse().unwrap(), "sin".parse().unwrap()], 3);
        let (heard, machines) = (Duration::from_secs(100), BTreeMap::new());
        let report = Report { heard, machines, brake: brake.clone(), ..Report::default() };
        let reports = BTreeMap::from([(dub.clone(), Arc::new(report))]);
        let silence = Duration::from_secs(2);
        let shown = |now: Duration, leader: &kato_core::DatacenterName| {
            let (state, wall) = (&State::default(), Timestamp(0));
            let whole = Whole { state, reports: &reports, now, wall, silence };
            whole.brake(leader).cloned()
        };
        assert_eq!(shown(heard + silence, &dub), brake);
        assert_eq!(shown(heard + silence * 2, &dub), None);
        assert_eq!(shown(heard, &"sin".parse().unwrap()), None, "another one leads");
        let brake = brake.unwrap().to_client();
        assert_eq!((brake.dark.join(" ").as_str(), brake.datacenters), ("ewr sin", 3));
        assert_eq!(brake.awaited, 1);
    }

    #[test]
    fn only_machines_that_were_ordered_were_bought() {
        let mut state = State::default();
        let none = (0, MicroDollars(0));
        let nothing = Spending { shares: MicroDollars(0), bought: none, ordered: none };
        assert_eq!(Spending::of(&state), nothing);
        for (number, order, price) in [(1, None, 10_000), (2, Some(5), 91_200), (3, Some(6), 400)] {
            let spec = MachineSpec {
                id: format!("m-{number}.cell-1.dub").parse().unwrap(),
                resources: Resources::new(2_000, 8_192),
                offer: offer("eu-west-1", price),
                address: "127.0.0.1".to_owned(),
                incarnation: 1,
                order: order.map(OrderId),
            };
            state.machines.insert(spec.id.clone(), Machine::new(spec, None));
        }
        let order = Order {
            cell: "cell-1.dub".parse().unwrap(),
            offer: offer("eu-west-1", 22_800),
            instance: "web@1".parse().unwrap(),
            attempts: 1,
            placed_at: Timestamp(0),
        };
        state.orders.insert(OrderId(9), order);
        let spending = Spending::of(&state);
        assert_eq!(spending.bought, (2, MicroDollars(91_600)));
        assert_eq!(spending.ordered, (1, MicroDollars(22_800)));
    }
}
