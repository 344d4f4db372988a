//! What must hold of every state. Tests and the simulator check it after every step.

use std::collections::BTreeSet;

use crate::{CellId, Health, InstanceId, Resources, State};

/// A promise that a state breaks: its name, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The promise.
    pub promise: &'static str,
    /// Where it is broken.
    pub detail: String,
}

/// Every promise that `state` breaks.
pub fn violations(state: &State) -> Vec<Violation> {
    let mut found = Vec::new();
    ledgers(state, &mut found);
    placements(state, &mut found);
    copies(state, &mut found);
    singletons(state, &mut found);
    health(state, &mut found);
    found
}

fn broken(found: &mut Vec<Violation>, promise: &'static str, detail: String) {
    found.push(Violation { promise, detail });
}

/// Machines' and cells' ledgers are the sums of what they hold, and no machine holds more than it has.
fn ledgers(state: &State, found: &mut Vec<Violation>) {
    for (id, machine) in &state.machines {
        let placements = state.instances.iter().filter_map(|(instance, found)| {
            let placement = found.placement.as_ref()?;
            (placement.machine.as_ref() == Some(id)).then_some((instance, placement))
        });
        if placements.clone().map(|(instance, _)| instance).ne(&machine.bound) {
            broken(found, "ledger-balances", format!("what is bound to {id}"));
        }
        let sum: Resources = placements.map(|(_, placement)| placement.request).sum();
        if sum != machine.allocated {
            let detail = format!("{id} holds {sum}, its ledger says {}", machine.allocated);
            broken(found, "ledger-balances", detail);
        }
        if !machine.allocated.fits(machine.spec.resources) {
            broken(found, "machine-not-overfull", format!("{id} holds {}", machine.allocated));
        }
        if !state.cells.get(&id.cell).is_some_and(|cell| cell.machines.contains(id)) {
            broken(found, "cell-knows-machine", id.to_string());
        }
    }
    for (id, cell) in &state.cells {
        let unbound = unbound(state, id);
        let waiting: Resources = unbound
            .iter()
            .filter_map(|instance| state.instances.get(instance)?.placement.as_ref())
            .map(|placement| placement.request)
            .sum();
        if waiting != cell.waiting || unbound != cell.unbound.iter().cloned().collect() {
            broken(found, "ledger-balances", format!("what waits in {id}"));
        }
        let orders = state.orders.iter().filter(|(_, order)| order.cell == *id);
        if orders.map(|(order, _)| *order).ne(cell.orders.iter().copied()) {
            broken(found, "ledger-balances", format!("orders of {id}"));
        }
    }
}

/// The instances placed in a cell that have no machine.
fn unbound(state: &State, cell: &CellId) -> BTreeSet<InstanceId> {
    let here = state.instances.values().filter(|instance| {
        let placement = instance.placement.as_ref();
        placement.is_some_and(|p| p.cell == *cell && p.machine.is_none())
    });
    here.map(|instance| instance.id.clone()).collect()
}

/// No machine holds a singleton that may still run on another one.
fn singletons(state: &State, found: &mut Vec<Violation>) {
    for ((id, from), stopping) in &state.stopping {
        let workload = state.workloads.get(&id.workload);
        let placement = state.instances.get(id).and_then(|instance| instance.placement.as_ref());
        let spec = placement.zip(workload).and_then(|(p, workload)| workload.spec_of(p.generation));
        let elsewhere =
            placement.and_then(|p| p.machine.as_ref()).filter(|machine| *machine != from);
        if let Some(machine) = elsewhere
            && spec.is_some_and(|spec| spec.singleton)
        {
            broken(found, "one-singleton", format!("{id} on {machine}, perhaps still on {from}"));
        }
        let over = state.machines.get(from).is_none_or(|m| m.suspended.is_some_and(|s| s.over));
        if over && stopping.guarded {
            broken(found, "one-singleton", format!("{from} is over and still has to stop {id}"));
        }
    }
}

/// Epochs are unique and lie in the past; a placement's machine, cell and specification exist.
fn placements(state: &State, found: &mut Vec<Violation>) {
    let mut epochs = BTreeSet::new();
    for (id, instance) in &state.instances {
        let Some(placement) = &instance.placement else { continue };
        if placement.epoch > state.revision || !epochs.insert(placement.epoch) {
            broken(found, "epoch-unique", format!("{id} at epoch {}", placement.epoch));
        }
        if !state.cells.contains_key(&placement.cell) {
            broken(found, "cell-exists", format!("{id} is in {}", placement.cell));
        }
        if let Some(machine) = &placement.machine
            && (machine.cell != placement.cell || !state.machines.contains_key(machine))
        {
            broken(found, "machine-exists", format!("{id} is on {machine}"));
        }
        let order = placement.order.and_then(|order| state.orders.get(&order));
        if placement.machine.is_none() && order.is_some_and(|o| o.cell != placement.cell) {
            broken(found, "order-for-its-cell", format!("{id} waits in {}", placement.cell));
        }
        let workload = state.workloads.get(&id.workload);
        if workload.and_then(|workload| workload.spec_of(placement.generation)).is_none() {
            broken(found, "spec-exists", format!("{id} at generation {}", placement.generation));
        }
    }
}

/// Every workload has exactly the copies that it asks for.
fn copies(state: &State, found: &mut Vec<Violation>) {
    for (name, workload) in &state.workloads {
        let numbers = state.instances_of(name).map(|instance| instance.id.number);
        if numbers.ne(1..=workload.spec.count) {
            broken(found, "never-none", format!("{name} asks for {}", workload.spec.count));
        }
    }
    let orphan = |id: &&InstanceId| !state.workloads.contains_key(&id.workload);
    if let Some(orphan) = state.instances.keys().find(orphan) {
        broken(found, "never-none", format!("{orphan} has no workload"));
    }
}

/// A datacenter that is not up has no machine that gets leases.
fn health(state: &State, found: &mut Vec<Violation>) {
    for (name, datacenter) in &state.datacenters {
        let leased = state.machines_of(name).find(|machine| machine.suspended.is_none());
        if let (true, Some(machine)) = (datacenter.health != Health::Up, leased) {
            broken(found, "lost-has-no-lease", format!("{} in {name}", machine.spec.id));
        }
    }
}
