//! What the mesh may spend: the machines that it buys, together, by the hour.

use crate::{MicroDollars, Order, Revision, State};

/// The most that the machines which the mesh bought may cost together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// How much, an hour.
    pub max_micros_per_hour: MicroDollars,
    /// The revision that it came with.
    pub since: Revision,
}

impl State {
    /// What the machines cost an hour that the mesh bought or has on order. One that is lost does not count: what it ran
    /// must be bought elsewhere, whatever its provider goes on charging.
    #[must_use]
    pub fn spending(&self) -> MicroDollars {
        let bought = self.machines.values().filter(|machine| {
            machine.spec.order.is_some() && machine.suspended.is_none_or(|found| !found.over)
        });
        let bought = bought.map(|machine| machine.spec.offer.price_micros_per_hour);
        let ordered = self.orders.values().map(Order::price);
        bought.chain(ordered).sum()
    }

    /// What may be spent beyond that; none where there is no budget. Never below zero.
    #[must_use]
    pub fn budget_left(&self) -> Option<MicroDollars> {
        let left = self.budget?.max_micros_per_hour - self.spending();
        Some(left.max(MicroDollars::ZERO))
    }
}

impl Order {
    /// What its machine will cost an hour.
    pub fn price(&self) -> MicroDollars {
        self.offer.price_micros_per_hour
    }
}
