//! Datacenters: described, suspected, lost, returned.

use crate::state::DATACENTERS_MAX;
use crate::{
    CellId, Datacenter, DatacenterName, DatacenterSpec, EventKind, Health, Rejection, State,
};

impl State {
    pub(super) fn register_datacenter(&mut self, spec: &DatacenterSpec) -> Result<(), Rejection> {
        let known = self.datacenters.get(&spec.name);
        if known.is_some_and(|known| known.spec == *spec) {
            return Ok(());
        }
        if known.is_none() && self.datacenters.len() >= DATACENTERS_MAX {
            let text = format!("the mesh has {DATACENTERS_MAX} datacenters, the most it may have");
            return Err(Rejection::limit(text));
        }
        let id = |cell| CellId { datacenter: spec.name.clone(), cell };
        let gone = known.into_iter().flat_map(|known| known.spec.cells.keys());
        for cell in gone.filter(|cell| !spec.cells.contains_key(*cell)) {
            let cell = id(cell.clone());
            let ledger = self.cells.get(&cell);
            if ledger.is_some_and(|ledger| *ledger != crate::Cell::default()) {
                let text =
                    format!("the cell {cell} has machines, orders or instances: it must stay");
                return Err(Rejection::invalid(text));
            }
        }
        let health = known.map_or(Health::Up, |known| known.health);
        self.advance();
        for cell in spec.cells.keys() {
            self.cells.entry(id(cell.clone())).or_default();
        }
        let names: Vec<CellId> = self.cells.keys().cloned().collect();
        for cell in names {
            if cell.datacenter == spec.name && !spec.cells.contains_key(&cell.cell) {
                self.cells.remove(&cell);
            }
        }
        self.datacenters.insert(spec.name.clone(), Datacenter { spec: spec.clone(), health });
        let message = format!("at {}, coordinator {}", spec.location, spec.address);
        self.note(EventKind::DatacenterRegistered, &spec.name, message);
        Ok(())
    }

    pub(super) fn declare_lost(&mut self, name: &DatacenterName) -> Result<(), Rejection> {
        let Some(datacenter) = self.datacenters.get(name) else {
            return Err(Rejection::not_found(format!("there is no datacenter {name}")));
        };
        match datacenter.health {
            Health::Lost { .. } => Ok(()),
            Health::Up => {
                let text = format!("{name} has machines that get leases: suspend them first");
                Err(Rejection::conflict(text))
            }
            Health::Suspected { since } => {
                self.advance();
                let waited = self.time.since(since).as_secs_f64();
                self.set_health(name, Health::Lost { since: self.time });
                let message = format!(
                    "every lease has ended, {waited:.1} s after it was suspected: \
                     what ran there may be placed elsewhere"
                );
                self.note(EventKind::DatacenterLost, name, message);
                Ok(())
            }
        }
    }

    pub(super) fn set_health(&mut self, name: &DatacenterName, health: Health) {
        if let Some(datacenter) = self.datacenters.get_mut(name) {
            datacenter.health = health;
        }
    }
}
