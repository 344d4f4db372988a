//! One instance as clients see it: where the state wants it, and what its agent says. What is said belongs to the state
//! that is shown; words about another one would only mislead.

use kato_core::{Health, Instance, Timestamp};
use kato_proto::v1 as pb;

use super::{Whole, quote};
use crate::agents::{RunState, Seen};
use crate::reports::{machine_report, seen};

impl Whole<'_> {
    /// What is known to run of an instance, at the epoch that it should have.
    fn seen(&self, instance: &Instance) -> Option<&Seen> {
        let placement = instance.placement.as_ref()?;
        let seen = seen(self.state, self.reports, placement.machine.as_ref()?, &instance.id)?;
        (seen.epoch == placement.epoch).then_some(seen)
    }

    /// The state that is shown, and since when it is that; no time where nobody knows.
    fn run_state(&self, instance: &Instance) -> (pb::RunState, Timestamp) {
        if let Some(unplaceable) = &instance.unplaceable {
            return (pb::RunState::Unplaceable, unplaceable.since);
        }
        let Some(placement) = &instance.placement else {
            return (pb::RunState::Pending, Timestamp(0));
        };
        if placement.machine.is_some()
            && let Some(since) = self.unheard(&placement.cell.datacenter)
        {
            return (pb::RunState::Unknown, since);
        }
        let Some(seen) = self.seen(instance) else {
            return (pb::RunState::Pending, placement.placed_at);
        };
        let state = match seen.state {
            RunState::Unspecified => pb::RunState::Pending,
            RunState::Starting => pb::RunState::Starting,
            RunState::Running => pb::RunState::Running,
            RunState::Restarting => pb::RunState::Restarting,
            RunState::Stopping => pb::RunState::Stopping,
            RunState::Exited => pb::RunState::Exited,
            RunState::Failed => pb::RunState::Failed,
            RunState::Fenced => pb::RunState::Fenced,
        };
        (state, seen.since)
    }

    /// Since when nothing is known of what runs in a datacenter, if nothing is.
    fn unheard(&self, name: &kato_core::DatacenterName) -> Option<Timestamp> {
        let health = self.state.datacenters.get(name).map(|datacenter| datacenter.health);
        let believed = match health {
            Some(Health::Up) => None,
            Some(Health::Suspected { since } | Health::Lost { since }) => Some(since),
            None => Some(Timestamp(0)),
        };
        match self.silent(self.state.served_by(name)) {
            Some(silent) if silent <= self.silence => believed,
            Some(silent) => Some(Timestamp(self.wall.0.saturating_sub(super::millis(silent)))),
            None => Some(believed.unwrap_or_default()),
        }
    }

    /// Whether an instance runs, be it where it may not stay.
    pub(crate) fn runs(&self, instance: &Instance) -> bool {
        match self.run_state(instance).0 {
            pb::RunState::Unplaceable => self.still_runs(instance).is_some(),
            state => state == pb::RunState::Running,
        }
    }

    pub(crate) fn instance(&self, instance: &Instance) -> pb::Instance {
        let placement = instance.placement.as_ref();
        let (state, since) = self.run_state(instance);
        let seen = self.seen(instance);
        let machine = placement.and_then(|placement| placement.machine.as_ref());
        let address = machine.and_then(|machine| self.state.machines.get(machine));
        let address = address.map(|machine| machine.spec.address.clone()).unwrap_or_default();
        let ports = seen.into_iter().flat_map(|seen| &seen.ports);
        let unplaceable = instance.unplaceable.as_ref();
        pb::Instance {
            id: instance.id.to_string(),
            datacenter: placement.map(|p| p.cell.datacenter.to_string()).unwrap_or_default(),
            cell: placement.map(|p| p.cell.to_string()).unwrap_or_default(),
            machine: machine.map(ToString::to_string).unwrap_or_default(),
            epoch: placement.map_or(0, |placement| placement.epoch.0),
            generation: placement.map_or(0, |placement| placement.generation),
            quote: placement.map(|placement| quote(&placement.quote)),
            placed_at_unix_ms: placement.map_or(0, |placement| placement.placed_at.0),
            state: state.into(),
            state_since_unix_ms: since.0,
            restarts: seen.map_or(0, |seen| seen.restarts),
            detail: match state {
                pb::RunState::Unplaceable => self.still_runs(instance).unwrap_or_default(),
                pb::RunState::Unknown => String::new(),
                _ => seen.map_or_else(|| self.waits_for(instance), |seen| seen.detail.clone()),
            },
            endpoints: ports
                .map(|(name, port)| pb::Endpoint {
                    name: name.to_string(),
                    address: address.clone(),
                    port: u32::from(*port),
                })
                .collect(),
            unplaceable: unplaceable.map(|u| u.decision.to_string()).unwrap_or_default(),
        }
    }

    /// Where an instance for which no place is found runs on all the same, if its agent has lately said so.
    fn still_runs(&self, instance: &Instance) -> Option<String> {
        let machine = instance.placement.as_ref()?.machine.as_ref()?;
        let heard = self.silent(self.state.served_by(&machine.cell.datacenter))?;
        let spoke = machine_report(self.state, self.reports, machine)?.silent;
        let lately = heard <= self.silence && spoke <= self.silence;
        let runs = self.seen(instance)?.state == RunState::Running;
        (lately && runs).then(|| format!("still running on {machine}"))
    }

    /// What keeps an instance from starting of which no agent has spoken yet.
    fn waits_for(&self, instance: &Instance) -> String {
        let Some(placement) = &instance.placement else { return "waits for a place".to_owned() };
        let workload = self.state.workloads.get(&instance.id.workload);
        if self.state.quarantined.is_some() && workload.is_some_and(|found| found.spec.singleton) {
            return "waits until leases of the mesh before the restore have ended".to_owned();
        }
        if let Some(machine) = &placement.machine {
            // A coordinator reports every machine whose agent it has heard of.
            let report = machine_report(self.state, self.reports, machine);
            let attached = report.is_some_and(|report| report.connected);
            let gone = if attached { "" } else { ", which is not attached" };
            return format!("waits for {}'s agent{gone}", machine.machine);
        }
        match placement.order.and_then(|id| Some((id, self.state.orders.get(&id)?))) {
            Some((id, order)) => {
                let kind = &order.offer.kind;
                match order.attempts {
                    0 => format!("waits for {id} ({kind})"),
                    attempt => format!("waits for {id} ({kind}, attempt {attempt})"),
                }
            }
            None => format!("waits for a machine of {}", placement.cell),
        }
    }
}

#[cfg(test)]
mod tests;
