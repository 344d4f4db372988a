//! Orders: placed with a placement, attempted, fulfilled by the machine that joins, or given up.

use std::sync::Arc;

use crate::{
    CellId, EventKind, InstanceId, MachineSpec, Offer, Order, OrderId, Rejection, Revision, State,
};

/// Attempts at one order before its coordinator must give it up.
pub const ATTEMPTS_MAX: u32 = 5;

impl State {
    /// Orders a machine at the present revision.
    pub(super) fn place_order(
        &mut self,
        id: OrderId,
        cell: &CellId,
        offer: &Arc<Offer>,
        instance: &InstanceId,
    ) {
        let order = Order {
            cell: cell.clone(),
            offer: Arc::clone(offer),
            instance: instance.clone(),
            attempts: 0,
            placed_at: self.time,
        };
        self.orders.insert(id, order);
        if let Some(ledger) = self.cells.get_mut(cell) {
            ledger.orders.insert(id);
        }
        let message = format!(
            "{} {} in {cell} at {}/h, for {instance}",
            offer.kind, offer.market, offer.price_micros_per_hour
        );
        self.note(EventKind::OrderPlaced, id, message);
    }

    /// The machine of an order has joined.
    pub(super) fn fulfil_order(&mut self, spec: &MachineSpec) {
        let Some(id) = spec.order else { return };
        if self.remove_order(id).is_some() {
            self.note(EventKind::OrderFulfilled, id, format!("{} joined", spec.id));
        }
    }

    fn remove_order(&mut self, id: OrderId) -> Option<Order> {
        let order = self.orders.remove(&id)?;
        if let Some(cell) = self.cells.get_mut(&order.cell) {
            cell.orders.remove(&id);
        }
        Some(order)
    }

    pub(super) fn attempt_order(&mut self, id: OrderId, attempt: u32) -> Result<(), Rejection> {
        let Some(order) = self.orders.get_mut(&id) else {
            return Err(Rejection::not_found(format!("{id} is fulfilled, or was given up")));
        };
        if attempt != order.attempts + 1 {
            let text = format!("{id} has had {} attempts, {attempt} is not next", order.attempts);
            return Err(Rejection::conflict(text));
        }
        if attempt > ATTEMPTS_MAX {
            let text = format!("{id} has had {ATTEMPTS_MAX} attempts, the most it may have");
            return Err(Rejection::limit(text));
        }
        order.attempts = attempt;
        self.advance();
        Ok(())
    }

    pub(super) fn fail_order(
        &mut self,
        id: OrderId,
        reason: &str,
        retry_after_ms: u64,
    ) -> Result<(), Rejection> {
        let Some(order) = self.remove_order(id) else {
            return Err(Rejection::not_found(format!("{id} is fulfilled, or was given up")));
        };
        self.advance();
        self.note(EventKind::OrderFailed, id, reason.to_owned());
        let waiting = self.waiting_for(id, &order.cell);
        for (instance, epoch) in &waiting {
            self.refuse(instance, *epoch, retry_after_ms)?;
        }
        if waiting.iter().all(|(instance, _)| *instance != order.instance) {
            // It stays where it is, and its next machine is looked for elsewhere.
            self.remember_refusal(&order.instance, order.cell, retry_after_ms);
        }
        Ok(())
    }

    /// The instances that wait for the machine of an order, with the epochs of their places.
    fn waiting_for(&self, order: OrderId, cell: &CellId) -> Vec<(InstanceId, Revision)> {
        let unbound = self.cells.get(cell).into_iter().flat_map(|ledger| &ledger.unbound);
        let placements = unbound.filter_map(|id| {
            let placement = self.instances.get(id)?.placement.as_ref()?;
            (placement.order == Some(order)).then(|| (id.clone(), placement.epoch))
        });
        placements.collect()
    }

    pub(super) fn order_machine(
        &mut self,
        instance: &InstanceId,
        epoch: Revision,
        cell: &CellId,
        offer: &Arc<Offer>,
    ) -> Result<(), Rejection> {
        self.placement_at(instance, epoch)?;
        if let Some((id, _)) =
            self.orders.iter().find(|(_, order)| order.instance == *instance && order.cell == *cell)
        {
            return Err(Rejection::conflict(format!("{id} is for {instance} already")));
        }
        self.check_machines(cell, 1)?;
        self.check_budget(offer.price_micros_per_hour)?;
        let revision = self.advance();
        self.place_order(OrderId(revision.0), cell, offer, instance);
        Ok(())
    }

    /// Whether a cell may have so many machines more.
    pub(super) fn check_machines(&self, cell: &CellId, more: usize) -> Result<(), Rejection> {
        let datacenter = self.datacenters.get(&cell.datacenter);
        let limits = datacenter.and_then(|datacenter| datacenter.spec.cells.get(&cell.cell));
        let (Some(ledger), Some(limits)) = (self.cells.get(cell), limits) else {
            return Err(Rejection::not_found(format!("there is no cell {cell}")));
        };
        let machines = ledger.machines.len() + ledger.orders.len() + more;
        if more > 0 && machines > limits.machines_max as usize {
            let text = format!("{cell} may have {} machines at most", limits.machines_max);
            return Err(Rejection::conflict(text));
        }
        Ok(())
    }
}
