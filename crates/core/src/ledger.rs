//! The ledgers again, from the rest of the state: a snapshot does not hold what can be computed.

use imbl::OrdSet;

use crate::{Cell, CellId, Resources, State};

impl State {
    /// Computes the ledgers of cells and machines from datacenters, machines, orders and instances.
    #[must_use]
    pub fn with_ledgers(mut self) -> Self {
        self.cells.clear();
        for (name, datacenter) in &self.datacenters {
            for cell in datacenter.spec.cells.keys() {
                let id = CellId { datacenter: name.clone(), cell: cell.clone() };
                self.cells.insert(id, Cell::default());
            }
        }
        let machines: Vec<_> = self.machines.keys().cloned().collect();
        for id in machines {
            if let Some(machine) = self.machines.get_mut(&id) {
                machine.bound = OrdSet::new();
                machine.allocated = Resources::NONE;
            }
            self.cells.entry(id.cell.clone()).or_default().machines.insert(id);
        }
        for (id, order) in &self.orders {
            self.cells.entry(order.cell.clone()).or_default().orders.insert(*id);
        }
        for (id, instance) in &self.instances {
            let Some(placement) = &instance.placement else { continue };
            let cell = self.cells.entry(placement.cell.clone()).or_default();
            match &placement.machine {
                None => {
                    cell.unbound.insert(id.clone());
                    cell.waiting = cell.waiting + placement.request;
                }
                Some(machine) => {
                    if let Some(machine) = self.machines.get_mut(machine) {
                        machine.bound.insert(id.clone());
                        machine.allocated = machine.allocated + placement.request;
                    }
                }
            }
        }
        self
    }
}
