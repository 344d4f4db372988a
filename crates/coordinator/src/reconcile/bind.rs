//! Picks a machine for what was placed in a datacenter that this coordinator serves. The mesh chose the cell; which machine in it is the
//! datacenter's own choice.

use std::collections::BTreeMap;
use std::time::Duration;

use kato_core::{
    Command, DatacenterName, INSTANCES_PER_MACHINE_MAX, InstanceId, MachineId, Placement,
    Resources, State,
};
use kato_placement::suits;
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

/// A machine for every instance that waits for one, or the refusal of the cell.
pub(super) fn decide(state: &State, datacenter: &DatacenterName) -> Vec<Command> {
    let mut free: BTreeMap<&MachineId, Resources> = state
        .machines_of(datacenter)
        .filter(|machine| machine.suspended.is_none())
        .filter(|machine| machine.bound.len() < INSTANCES_PER_MACHINE_MAX)
        .map(|machine| (&machine.spec.id, machine.free()))
        .collect();
    let cells = state.cells.iter().filter(|(id, _)| id.datacenter == *datacenter);
    let mut commands = Vec::new();
    for id in cells.flat_map(|(_, cell)| &cell.unbound) {
        let Some(placement) = state.instances.get(id).and_then(|i| i.placement.as_ref()) else {
            continue;
        };
        if placement.order.is_some_and(|order| state.orders.contains_key(&order)) {
            continue;
        }
        commands.push(match pick(state, id, placement, &free) {
            // Until the old machine has stopped it, or is lost, there would be two.
            Some(machine) if state.kept_from(id, &machine).is_some() => continue,
            Some(machine) => {
                if let Some(left) = free.get_mut(&machine) {
                    *left = left.saturating_sub(placement.request);
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

fn bind(id: &InstanceId, placement: &Placement, machine: MachineId) -> Command {
    Command::Bind { instance: id.clone(), epoch: placement.epoch, machine }
}

/// The machine for a placement: one bought for it, else one of the kind that was quoted and is paid for, else the one that
/// the instance has yet to leave, else any with room; among those the one with the most room left, by name where they are equal.
fn pick(
    state: &State,
    instance: &InstanceId,
    placement: &Placement,
    free: &BTreeMap<&MachineId, Resources>,
) -> Option<MachineId> {
    let workload = state.workloads.get(&instance.workload)?;
    let spec = workload.spec_of(placement.generation)?;
    let fits = |(id, left): &(&&MachineId, &Resources)| {
        let offer = state.machines.get(**id).map(|machine| &machine.spec.offer);
        id.cell == placement.cell
            && placement.request.fits(**left)
            && offer.is_some_and(|offer| suits(spec, offer))
    };
    let fitting = free.iter().filter(fits);
    let rank = |id: &MachineId, left: &Resources| {
        let spec = state.machines.get(id).map(|machine| &machine.spec);
        let bought = spec.is_some_and(|spec| spec.order.is_some() && spec.order == placement.order);
        let quoted = spec.is_some_and(|spec| spec.offer == placement.quote.offer);
        let stays = state.stopping.contains_key(&(instance.clone(), id.clone()));
        (bought, quoted, stays, left.cpu_millis, left.memory_bytes)
    };
    // `max_by_key` keeps the last of equals; going backwards makes that the first by name.
    fitting.rev().max_by_key(|(id, left)| rank(id, left)).map(|(id, _)| (*id).clone())
}
