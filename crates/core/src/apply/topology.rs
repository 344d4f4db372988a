//! Datacenters: described, suspected, lost, returned.

use crate::state::DATACENTERS_MAX;
use crate::{
    CellId, Datacenter, DatacenterName, DatacenterSpec, EventKind, Health, Rejection, Settings,
    State,
};

impl State {
    pub(super) fn found(&mut self, settings: &Settings) -> Result<(), Rejection> {
        match &self.settings {
            Some(known) if known == settings => Ok(()),
            Some(known) => Err(Rejection::conflict(format!(
                "the mesh {} is founded, with leases of {} ms",
                known.domain, known.lease_ms
            ))),
            None => {
                self.advance();
                self.settings = Some(settings.clone());
                let message = format!("leases last {} ms", settings.lease_ms);
                self.note(EventKind::MeshFounded, &settings.domain, message);
                Ok(())
            }
        }
    }

    /// Raises the mesh version; it never falls.
    pub(super) fn raise_version(&mut self, to: u32) {
        if to > self.version {
            self.advance();
            let before = std::mem::replace(&mut self.version, to);
            let domain = self.settings.as_ref().map_or_else(String::new, |s| s.domain.clone());
            let message = format!("from {before} to {to}: every coordinator knows it");
            self.note(EventKind::VersionRaised, domain, message);
        }
    }

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

    pub(super) fn set_health(&mut self, name: &DatacenterName, health: Health) {
        if let Some(datacenter) = self.datacenters.get_mut(name) {
            datacenter.health = health;
        }
    }
}
