//! Who sees everything: after every tick it compares what runs, what is committed and what was promised.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use kato_agent::sandbox::verdict::End;
use kato_core::{Health, InstanceId, MachineId, OrderId, State, invariant};
use kato_raft::View;

use crate::mesh::SimMesh;
use crate::mesh::units::Copy;
use crate::tally::{Count, Tally};
use crate::trace::Trace;

/// States that are kept for comparison.
const STATES_MAX: usize = 2_000;

/// What was seen so far.
#[derive(Default)]
pub(crate) struct Witness {
    pub(crate) tally: Tally,
    /// States by the last log entry in them.
    states: BTreeMap<u64, State>,
    /// The newest one.
    newest: View,
    /// Who led in each term.
    leaders: BTreeSet<(u64, &'static str)>,
    /// Where each placement has run, by its epoch.
    ran_on: BTreeMap<(InstanceId, u64), MachineId>,
    /// Where each singleton ran last.
    last: BTreeMap<InstanceId, MachineId>,
    /// Which machine came of each order.
    joined: BTreeMap<OrderId, MachineId>,
}

impl Witness {
    /// The newest committed state that any coordinator has shown.
    pub(crate) fn newest(&self) -> &View {
        &self.newest
    }

    /// Looks at everything that has changed; an error is a broken promise.
    pub(crate) fn look(&mut self, mesh: &SimMesh, trace: &Trace) -> Result<(), String> {
        for datacenter in &mesh.datacenters {
            if let Some((view, leadership)) = datacenter.sight.changes() {
                // A term may have two leaders, one after the other: a vote for a larger number overrules it.
                if leadership.here && self.leaders.insert((leadership.term, datacenter.name)) {
                    self.tally[Count::LeaderChanges] += 1;
                }
                self.compare(datacenter.name, view, trace)?;
            }
        }
        let mut changed = false;
        for machine in mesh.datacenters.iter().flat_map(|datacenter| &datacenter.machines) {
            let Some(ended) = machine.units.changes() else { continue };
            changed = true;
            for (instance, copy, end) in ended {
                self.ended(&machine.id, &instance, copy, end)?;
            }
        }
        if changed { self.copies(mesh) } else { Ok(()) }
    }

    /// Compares a coordinator's state with what others have shown.
    fn compare(&mut self, name: &str, view: View, trace: &Trace) -> Result<(), String> {
        if let Some(known) = self.states.get(&view.index) {
            if *known != view.state {
                let index = view.index;
                return Err(format!("same-log-same-state: {name} differs at entry {index}"));
            }
            return Ok(());
        }
        if let Some(broken) = invariant::violations(&view.state).first() {
            return Err(format!("{}: {} (entry {})", broken.promise, broken.detail, view.index));
        }
        self.states.insert(view.index, view.state.clone());
        if self.states.len() > STATES_MAX {
            self.states.pop_first();
        }
        if view.index > self.newest.index {
            self.advance(view, trace)?;
        }
        Ok(())
    }

    /// Compares the newest state with the newest one before.
    fn advance(&mut self, view: View, trace: &Trace) -> Result<(), String> {
        let (before, after) = (&self.newest.state, &view.state);
        let news = after.events.iter().rev().take_while(|event| event.revision > before.revision);
        for event in news.collect::<Vec<_>>().into_iter().rev() {
            let (kind, subject, message) = (event.kind, &event.subject, &event.message);
            trace.note("mesh", format_args!("commits {kind:?} {subject}: {message}"));
        }
        for (id, instance) in &after.instances {
            let Some(now) = &instance.placement else { continue };
            let then = before.instances.get(id).and_then(|known| known.placement.as_ref());
            if let Some(then) = then
                && then.cell != now.cell
            {
                self.tally[Count::Moves] += 1;
                if now.epoch <= then.epoch {
                    return Err(format!("epochs-grow: {id} moved at epoch {}", now.epoch));
                }
            }
        }
        for (id, machine) in &after.machines {
            let known = before.machines.get(id);
            let suspended = known.is_some_and(|known| known.suspended.is_some());
            self.tally[Count::Suspensions] += u64::from(machine.suspended.is_some() && !suspended);
            if let Some(order) = machine.spec.order
                && self.joined.insert(order, id.clone()).is_some_and(|joined| joined != *id)
            {
                return Err(format!("one-order-one-machine: {id} is the second of {order}"));
            }
            self.tally[Count::Bought] += u64::from(known.is_none() && machine.spec.order.is_some());
        }
        let kept = |state: &State| state.agreed.map(|agreed| agreed.timing.rtt_ms_max);
        self.tally[Count::Timings] += u64::from(kept(before) != kept(after));
        let stood_in = after.datacenters.iter().filter(|(name, found)| {
            let news = before.datacenters.get(*name).is_some_and(|was| was.term() != found.term());
            news && found.served_by() != *name
        });
        self.tally[Count::Delegations] += stood_in.count() as u64;
        let lost = |state: &State| {
            let lost = state.datacenters.iter();
            let lost = lost.filter(|(_, found)| matches!(found.health, Health::Lost { .. }));
            lost.map(|(name, _)| name.clone()).collect::<BTreeSet<_>>()
        };
        let (lost_before, lost_now) = (lost(before), lost(after));
        let news = lost_now.difference(&lost_before).count();
        self.tally[Count::Losses] += news as u64;
        if news > 0 && lost_now.len() * 2 > after.datacenters.len() {
            return Err(format!("no-mass-move: {lost_now:?} are lost"));
        }
        self.newest = view;
        Ok(())
    }

    /// A copy has ended: nobody may have stopped what was to run.
    fn ended(
        &mut self,
        machine: &MachineId,
        instance: &InstanceId,
        copy: Copy,
        end: End,
    ) -> Result<(), String> {
        let known = self.newest.state.instances.get(instance);
        let placement = known.and_then(|known| known.placement.as_ref());
        let wanted = placement.is_some_and(|placement| {
            placement.epoch.0 == copy.epoch && placement.machine.as_ref() == Some(machine)
        });
        // One that is to stop anyway may be fenced before it has.
        self.tally[Count::Fences] += u64::from(wanted && end == End::Fenced);
        match end {
            End::Stopped if wanted => Err(format!(
                "keep-running: {instance} of epoch {} was stopped on {machine}, where it belongs",
                copy.epoch
            )),
            _ => Ok(()),
        }
    }

    /// No singleton runs twice, and no placement on two machines.
    fn copies(&mut self, mesh: &SimMesh) -> Result<(), String> {
        let mut running: BTreeMap<InstanceId, (&MachineId, Copy)> = BTreeMap::new();
        for machine in mesh.datacenters.iter().flat_map(|datacenter| &datacenter.machines) {
            for (instance, copy) in machine.units.running() {
                let key = (instance.clone(), copy.epoch);
                let first = self.ran_on.entry(key).or_insert_with(|| machine.id.clone());
                if *first != machine.id {
                    return Err(format!(
                        "epoch-unique: {instance} of epoch {} runs on {first} and on {}",
                        copy.epoch, machine.id
                    ));
                }
                if !copy.singleton {
                    continue;
                }
                let last = self.last.insert(instance.clone(), machine.id.clone());
                self.tally[Count::Handovers] +=
                    u64::from(last.is_some_and(|last| last != machine.id));
                match running.entry(instance) {
                    Entry::Vacant(free) => {
                        free.insert((&machine.id, copy));
                    }
                    Entry::Occupied(other) => {
                        let (instance, (on, older)) = (other.key(), other.get());
                        return Err(format!(
                            "one-singleton: {instance} runs on {on} (epoch {}) and on {} (epoch {})",
                            older.epoch, machine.id, copy.epoch
                        ));
                    }
                }
            }
        }
        Ok(())
    }
}
