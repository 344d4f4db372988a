//! Datacenters: described, suspected, lost, returned.

use crate::state::DATACENTERS_MAX;
use crate::version::WITH_RESTORE;
use crate::{
    CellId, Datacenter, DatacenterName, DatacenterSpec, Delegation, EventKind, Health, Rejection,
    Revision, Settings, State,
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
            if before < WITH_RESTORE && to >= WITH_RESTORE {
                self.identity = Some(self.time);
            }
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
        let datacenter = match known {
            Some(known) => Datacenter { spec: spec.clone(), ..known.clone() },
            None => Datacenter::new(spec.clone()),
        };
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
        self.datacenters.insert(spec.name.clone(), datacenter);
        let message = format!("at {}, coordinator {}", spec.location, spec.address);
        self.note(EventKind::DatacenterRegistered, &spec.name, message);
        Ok(())
    }

    /// Lets another coordinator serve a datacenter's machines.
    pub(super) fn delegate(
        &mut self,
        name: &DatacenterName,
        expected: Revision,
        to: &DatacenterName,
    ) -> Result<(), Rejection> {
        let unknown = [name, to].into_iter().find(|name| !self.datacenters.contains_key(*name));
        if let Some(unknown) = unknown {
            return Err(Rejection::not_found(format!("there is no datacenter {unknown}")));
        }
        let known = &self.datacenters[name];
        if known.term() != expected {
            let (by, term) = (known.served_by(), known.term());
            let text = format!("{by} serves {name} since revision {term}, not {expected}");
            return Err(Rejection::conflict(text));
        }
        if known.served_by() == to {
            return Ok(());
        }
        let term = self.advance();
        if let Some(known) = self.datacenters.get_mut(name) {
            known.delegation = Some(Delegation { to: to.clone(), term });
        }
        let message = if name == to {
            "its own coordinator serves its machines again".to_owned()
        } else {
            format!("{to} serves its machines, its own coordinator is gone")
        };
        self.note(EventKind::DatacenterDelegated, name, message);
        Ok(())
    }

    pub(crate) fn set_health(&mut self, name: &DatacenterName, health: Health) {
        if let Some(datacenter) = self.datacenters.get_mut(name) {
            datacenter.health = health;
        }
    }
}
