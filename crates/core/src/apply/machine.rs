//! Machines: joined, suspended, resumed.

use std::collections::BTreeSet;

use crate::state::MACHINES_MAX;
use crate::{
    DatacenterName, EventKind, Health, InstanceId, Machine, MachineId, MachineSpec, Rejection,
    Revision, State, Stopping, Suspension,
};

impl State {
    pub(super) fn join_machine(&mut self, spec: &MachineSpec) -> Result<(), Rejection> {
        let id = &spec.id;
        if !self.cells.contains_key(&id.cell) {
            return Err(Rejection::not_found(format!("there is no cell {}", id.cell)));
        }
        match self.machines.get(id) {
            Some(known) if known.spec == *spec => return Ok(()),
            Some(known) => {
                if spec.incarnation < known.spec.incarnation {
                    let text = format!(
                        "{id} has joined as incarnation {}, {} is older",
                        known.spec.incarnation, spec.incarnation
                    );
                    return Err(Rejection::conflict(text));
                }
                if !known.allocated.fits(spec.resources) {
                    let text = format!(
                        "{id} now says {}, less than the {} that are bound to it",
                        spec.resources, known.allocated
                    );
                    return Err(Rejection::invalid(text));
                }
            }
            None => self.admit_machine(spec)?,
        }
        self.advance();
        let known = self.machines.get(id).cloned();
        let new = known.is_none();
        let machine = match known {
            Some(known) => Machine { spec: spec.clone(), ..known },
            None => Machine::new(spec.clone(), None),
        };
        self.machines.insert(id.clone(), machine);
        if let Some(cell) = self.cells.get_mut(&id.cell) {
            cell.machines.insert(id.clone());
        }
        let offer = &spec.offer;
        let message = format!(
            "{}, {} {} at {}/h, incarnation {}",
            spec.resources, offer.kind, offer.market, offer.price_micros_per_hour, spec.incarnation
        );
        self.note(EventKind::MachineJoined, id, message);
        self.fulfil_order(spec);
        if new {
            self.take_back(id);
        }
        Ok(())
    }

    /// Whether a machine that was never seen may join.
    fn admit_machine(&self, spec: &MachineSpec) -> Result<(), Rejection> {
        if self.machines.len() >= MACHINES_MAX {
            let text = format!("the mesh has {MACHINES_MAX} machines, the most it may have");
            return Err(Rejection::limit(text));
        }
        let Some(id) = spec.order else { return Ok(()) };
        match self.orders.get(&id) {
            Some(order) if order.cell == spec.id.cell => Ok(()),
            Some(order) => {
                let text = format!("{id} is for the cell {}, not {}", order.cell, spec.id.cell);
                Err(Rejection::invalid(text))
            }
            None => {
                let text = format!("{id} has its machine already, or was given up");
                Err(Rejection::conflict(text))
            }
        }
    }

    pub(super) fn suspend(
        &mut self,
        machines: &[MachineId],
        reason: &str,
    ) -> Result<(), Rejection> {
        if let Some(unknown) = machines.iter().find(|id| !self.machines.contains_key(*id)) {
            return Err(Rejection::not_found(format!("there is no machine {unknown}")));
        }
        let leased = |id: &&MachineId| {
            self.machines.get(*id).is_some_and(|machine| machine.suspended.is_none())
        };
        let suspended: Vec<MachineId> = machines.iter().filter(leased).cloned().collect();
        if suspended.is_empty() {
            return Ok(());
        }
        let revision = self.advance();
        for id in &suspended {
            if let Some(machine) = self.machines.get_mut(id) {
                machine.suspended = Some(Suspension { since: revision, over: false });
            }
            self.note(EventKind::MachineSuspended, id, reason.to_owned());
        }
        let touched: BTreeSet<DatacenterName> =
            suspended.into_iter().map(|id| id.cell.datacenter).collect();
        for datacenter in touched {
            if self.machines_of(&datacenter).all(|machine| machine.suspended.is_some()) {
                self.set_health(&datacenter, Health::Suspected { since: self.time });
                self.note(EventKind::DatacenterSuspected, &datacenter, reason.to_owned());
            }
        }
        Ok(())
    }

    pub(super) fn declare_lost(
        &mut self,
        machines: &[(MachineId, Revision)],
    ) -> Result<(), Rejection> {
        let mut lost = Vec::new();
        for (id, since) in machines {
            let Some(machine) = self.machines.get(id) else {
                return Err(Rejection::not_found(format!("there is no machine {id}")));
            };
            match machine.suspended {
                Some(suspended) if suspended.since == *since => {
                    lost.extend((!suspended.over).then(|| id.clone()));
                }
                _ => {
                    let text = format!("{id} is not suspended since revision {since}");
                    return Err(Rejection::conflict(text));
                }
            }
        }
        if lost.is_empty() {
            return Ok(());
        }
        self.advance();
        for id in &lost {
            if let Some(suspended) =
                self.machines.get_mut(id).and_then(|machine| machine.suspended.as_mut())
            {
                suspended.over = true;
            }
            self.note(EventKind::MachineLost, id, "every lease has ended".to_owned());
            // No guard lets a singleton live longer than its lease.
            self.take_stopping(id, |stopping| stopping.guarded);
        }
        let touched: BTreeSet<DatacenterName> =
            lost.into_iter().map(|id| id.cell.datacenter).collect();
        for datacenter in touched {
            self.lose_if_all_are(&datacenter);
        }
        Ok(())
    }

    /// A datacenter is lost when all of its machines are.
    fn lose_if_all_are(&mut self, name: &DatacenterName) {
        let over = |machine: &Machine| machine.suspended.is_some_and(|suspended| suspended.over);
        let health = self.datacenters.get(name).map(|datacenter| datacenter.health);
        if let Some(Health::Suspected { since }) = health
            && self.machines_of(name).all(over)
        {
            let waited = self.time.since(since).as_secs_f64();
            self.set_health(name, Health::Lost { since: self.time });
            let message = format!(
                "every lease has ended, {waited:.1} s after it was suspected: \
                 what ran there may be placed elsewhere"
            );
            self.note(EventKind::DatacenterLost, name, message);
        }
    }

    pub(super) fn resume(&mut self, id: &MachineId, incarnation: u64) -> Result<(), Rejection> {
        let Some(machine) = self.machines.get_mut(id) else {
            return Err(Rejection::not_found(format!("there is no machine {id}")));
        };
        if machine.spec.incarnation != incarnation {
            let text = format!(
                "{id} has joined as incarnation {}, not {incarnation}",
                machine.spec.incarnation
            );
            return Err(Rejection::conflict(text));
        }
        if machine.suspended.take().is_none() {
            return Ok(());
        }
        self.advance();
        self.note(EventKind::MachineResumed, id, "it has said what it holds".to_owned());
        self.keep_placed(id);
        self.take_back(id);
        Ok(())
    }

    /// An agent has stopped what it was told to stop.
    pub(super) fn settled(&mut self, id: &MachineId, revision: Revision) {
        let stopped = self.take_stopping(id, |stopping| stopping.since <= revision);
        if stopped.is_empty() {
            return;
        }
        self.advance();
        for instance in stopped {
            self.note(EventKind::InstanceStopped, instance, format!("on {id}"));
        }
    }

    /// Forgets what a machine had to stop and is stopped, and says what that was.
    fn take_stopping(
        &mut self,
        id: &MachineId,
        is_stopped: impl Fn(&Stopping) -> bool,
    ) -> Vec<InstanceId> {
        let stopped = self.stopping.iter().filter(|(key, found)| key.1 == *id && is_stopped(found));
        let stopped: Vec<_> = stopped.map(|(key, _)| key.clone()).collect();
        for key in &stopped {
            self.stopping.remove(key);
        }
        stopped.into_iter().map(|(instance, _)| instance).collect()
    }

    /// Instances that found no other place while their machine was suspended have one again.
    fn keep_placed(&mut self, id: &MachineId) {
        let bound = self.machines.get(id).map(|machine| machine.bound.clone());
        for instance in bound.iter().flatten() {
            if let Some(instance) = self.instances.get_mut(instance) {
                instance.unplaceable = None;
            }
        }
    }

    /// A machine gets leases: whatever was believed of its datacenter, it is up.
    fn take_back(&mut self, id: &MachineId) {
        let name = &id.cell.datacenter;
        if self.datacenters.get(name).is_some_and(|datacenter| datacenter.health != Health::Up) {
            self.set_health(name, Health::Up);
            self.note(EventKind::DatacenterReturned, name, format!("{id} gets leases"));
        }
    }
}
