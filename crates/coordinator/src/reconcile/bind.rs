//! Picks a machine for what was placed in a datacenter that this coordinator serves. The mesh chose the cell; which machine in it is the
//! datacenter's own choice.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use kato_core::{
    Command, DatacenterName, INSTANCES_PER_MACHINE_MAX, InstanceId, Level, Machine, MachineId,
    Market, Offer, Placement, Resources, Rules, Spread, State, Timestamp, WorkloadName,
};
use kato_placement::catalogue::Wanted;
use tokio_util::sync::CancellationToken;

use super::Wake;
use crate::context::Context;

/// Between two looks when nothing changes.
const PERIOD: Duration = Duration::from_secs(2);
/// For how long a cell that found no machine for an instance is not asked again, in milliseconds.
pub(super) const REFUSAL_MS: u64 = 30_000;

pub(super) async fn run(context: Context, shutdown: CancellationToken) {
    let mut wake = Wake::new(&context, PERIOD, shutdown);
    while let Some((view, _)) = wake.next().await {
        let served = view.state.serving(&context.datacenter);
        let commands = served.flat_map(|name| decide(&view.state, name)).collect();
        context.commit("picking machines", commands).await;
    }
}

/// A machine for every instance that waits for one, or the refusal of the cell. What asks for most is first: it has the fewest
/// machines to choose from.
pub(super) fn decide(state: &State, datacenter: &DatacenterName) -> Vec<Command> {
    let mut rooms: BTreeMap<&MachineId, Room> = state
        .machines_of(datacenter)
        .filter(|machine| machine.suspended.is_none())
        .filter(|machine| machine.bound.len() < INSTANCES_PER_MACHINE_MAX)
        .map(|machine| (&machine.spec.id, Room { machine, left: machine.free(), given: vec![] }))
        .collect();
    let cells = state.cells.iter().filter(|(id, _)| id.datacenter == *datacenter);
    let unbound = cells.flat_map(|(_, cell)| &cell.unbound).filter_map(|id| {
        let placement = state.instances.get(id)?.placement.as_ref()?;
        let on_order = placement.order.is_some_and(|order| state.orders.contains_key(&order));
        (!on_order).then_some((id, placement))
    });
    let mut unbound: Vec<(&InstanceId, &Placement)> = unbound.collect();
    unbound.sort_by_key(|(_, placement)| Reverse(placement.request));
    let mut commands = Vec::new();
    for (id, placement) in unbound {
        commands.push(match pick(state, id, placement, &rooms) {
            // Until the old machine has stopped it, or is lost, there would be two.
            Some(machine) if state.kept_from(id, &machine).is_some() => continue,
            Some(machine) => {
                if let Some(room) = rooms.get_mut(&machine) {
                    room.left = room.left.saturating_sub(placement.request);
                    room.given.push(&id.workload);
                }
                bind(id, placement, machine)
            }
            None => Command::Refuse {
                instance: id.clone(),
                epoch: placement.epoch,
                retry_after_ms: REFUSAL_MS,
            },
        });
    }
    commands
}

/// A machine, and what is left of it while instances are given to it.
struct Room<'a> {
    machine: &'a Machine,
    left: Resources,
    /// The workloads of those instances.
    given: Vec<&'a WorkloadName>,
}

impl Room<'_> {
    /// Whether it has a copy of a workload.
    fn has(&self, workload: &WorkloadName) -> bool {
        self.given.contains(&workload) || {
            let all =
                InstanceId::new(workload.clone(), 0)..=InstanceId::new(workload.clone(), u32::MAX);
            self.machine.bound.range(all).next().is_some()
        }
    }

    /// Whether it is paid for whatever else goes on it: one that was bought is given back when nothing is on it.
    fn is_paid(&self) -> bool {
        let empty = self.machine.bound.is_empty() && self.given.is_empty();
        !empty || self.machine.spec.order.is_none()
    }
}

fn bind(id: &InstanceId, placement: &Placement, machine: MachineId) -> Command {
    Command::Bind { instance: id.clone(), epoch: placement.epoch, machine }
}

/// Whether a limit that a plan kept to is kept to on another machine than the quoted one as well: where providers, markets or
/// pools are told apart, another one's machine is another place. More on demand than was planned never hurts.
fn is_as_planned(rules: &Rules, quoted: &Offer, offer: &Offer) -> bool {
    let hard = |level: Level| {
        let is_it = |rule: &Spread| rule.over == level && rule.excess_micros_per_hour.is_none();
        rules.spreads.iter().any(is_it)
    };
    let (pools, on_demand) = (hard(Level::Pool), offer.market == Market::OnDemand);
    let same_provider = offer.provider == quoted.provider;
    let same_pool = same_provider
        && offer.market == quoted.market
        && (&offer.region, &offer.kind) == (&quoted.region, &quoted.kind);
    (!hard(Level::Provider) || same_provider)
        && (on_demand || rules.on_demand_min.is_none() || quoted.market == Market::Spot)
        && (on_demand || !pools || same_pool)
}

/// The machine for a placement: one bought for it, else one of the kind that was quoted, else the one that the instance
/// has yet to leave, else any with room. Among those one that is paid for anyway, then one without a copy of the same workload,
/// then the one with the least room left, so that what is left is in large pieces; by name where they are equal.
fn pick(
    state: &State,
    instance: &InstanceId,
    placement: &Placement,
    rooms: &BTreeMap<&MachineId, Room>,
) -> Option<MachineId> {
    let workload = state.workloads.get(&instance.workload)?;
    let spec = workload.spec_of(placement.generation)?;
    // It runs already: how old its price is does not matter.
    let wanted = Wanted::by(spec, Timestamp::default());
    let fits = |(id, room): &(&&MachineId, &Room)| {
        id.cell == placement.cell
            && placement.request.fits(room.left)
            && is_as_planned(&spec.rules, &placement.quote.offer, &room.machine.spec.offer)
            && wanted.admits(&room.machine.spec.offer)
    };
    let rank = |id: &MachineId, room: &Room| {
        let spec = &room.machine.spec;
        let bought = spec.order.is_some() && spec.order == placement.order;
        let quoted = spec.offer == placement.quote.offer;
        let stays = state.stopping.contains_key(&(instance.clone(), id.clone()));
        let alone = !room.has(&instance.workload);
        (bought, quoted, stays, room.is_paid(), alone, Reverse(room.left))
    };
    // `max_by_key` keeps the last of equals; going backwards makes that the first by name.
    let fitting = rooms.iter().filter(fits).rev();
    fitting.max_by_key(|(id, room)| rank(id, room)).map(|(id, _)| (*id).clone())
}
