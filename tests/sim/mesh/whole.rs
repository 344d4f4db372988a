//! Whether a mesh is whole: everybody agrees, and everything that is wanted runs where it should, and nothing else.

use std::collections::BTreeMap;
use std::time::Duration;

use kato_core::{Datacenter, DatacenterName, InstanceId};
use kato_raft::Timing;

use super::{Machine, SimMesh};
use crate::witness::Witness;

impl SimMesh {
    /// The number of the datacenter whose coordinator believes to lead, in the latest term.
    pub(crate) fn leader(&self) -> Option<usize> {
        let sights = self.datacenters.iter().enumerate();
        let leading = sights.filter_map(|(number, datacenter)| {
            let (_, leadership) = datacenter.sight.get()?;
            leadership.here.then_some((leadership.term, number))
        });
        leading.max().map(|(_, number)| number)
    }

    /// The longest that a mesh may need by itself: an election, a loss that was under way and is carried through, and
    /// the pauses of agents that try again.
    pub(crate) fn recovery(&self) -> Duration {
        self.timing().failover() * 12
    }

    /// The longest timing that any coordinator keeps.
    pub(crate) fn timing(&self) -> Timing {
        let kept = self.datacenters.iter().filter_map(|datacenter| datacenter.sight.timing());
        kept.max_by_key(|timing| timing.rtt_ms_max).unwrap_or(self.timing)
    }

    /// What is missing until the mesh is whole.
    pub(crate) fn missing(&self, witness: &Witness) -> Option<String> {
        let newest = witness.newest();
        for datacenter in &self.datacenters {
            let Some((view, leadership)) = datacenter.sight.get() else {
                return Some(format!("{} does not run", datacenter.name));
            };
            if leadership.leader.is_none() {
                return Some(format!("{} knows no leader", datacenter.name));
            }
            let (known, newest) = (view.state.revision, newest.state.revision);
            if known < newest {
                return Some(format!("{} knows revision {known} of {newest}", datacenter.name));
            }
        }
        let state = &newest.state;
        let away = |(name, found): &(&DatacenterName, &Datacenter)| found.served_by() != *name;
        if let Some((name, _)) = state.datacenters.iter().find(away) {
            return Some(format!("the coordinator of {name} has not its machines back"));
        }
        if let Some((id, _)) = state.machines.iter().find(|(_, found)| found.suspended.is_some()) {
            return Some(format!("{id} is suspended"));
        }
        let machines = self.datacenters.iter().flat_map(|datacenter| &datacenter.machines);
        let mut running: BTreeMap<InstanceId, Vec<(&Machine, u64)>> = BTreeMap::new();
        for machine in machines {
            for (instance, copy) in machine.units.running() {
                running.entry(instance).or_default().push((machine, copy.epoch));
            }
        }
        for (id, instance) in &state.instances {
            let Some(placement) = &instance.placement else {
                return Some(format!("{id} has no place"));
            };
            let Some(machine) = &placement.machine else {
                return Some(format!("{id} has no machine"));
            };
            match running.remove(id).as_deref() {
                Some([(on, epoch)]) if on.id == *machine && *epoch == placement.epoch.0 => {}
                Some([(on, epoch)]) => {
                    return Some(format!("{id} of epoch {epoch} runs on {}, not {machine}", on.id));
                }
                None | Some([]) => return Some(format!("{id} does not run on {machine}")),
                Some(many) => return Some(format!("{id} runs {} times", many.len())),
            }
        }
        running.first_key_value().map(|(id, _)| format!("{id} runs and is not wanted"))
    }
}
