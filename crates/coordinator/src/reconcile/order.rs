//! Turns this datacenter's orders into machines, and gives up those that wait too long for another coordinator. Each attempt is committed before the provider is asked, and its
//! number is part of the token, so that a coordinator that crashed in between asks for the same machine.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kato_core::{ATTEMPTS_MAX, Command, DatacenterName, MachineId, Order, OrderId, State};
use kato_provision::{Create, Provided, ProviderError, Token};
use tokio_util::sync::CancellationToken;

use super::Wake;
use super::bind::REFUSAL_MS;
use crate::context::Context;

/// Between two looks when nothing changes.
const PERIOD: Duration = Duration::from_secs(1);
/// How long a machine may take from being ordered to joining.
pub(super) const JOIN_MAX: Duration = Duration::from_mins(2);

/// What one pass does about an order.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Commit the next attempt.
    Attempt(OrderId, u32),
    /// Ask the provider, under the token of the attempt that is committed.
    Create(OrderId),
    /// Give it up.
    Fail(OrderId, String),
}

pub(super) async fn run(context: Context, shutdown: CancellationToken) {
    let mut wake = Wake::new(&context, PERIOD, shutdown);
    let mut waiting = Waiting::default();
    while let Some((view, _)) = wake.next().await {
        let now = context.clock.boot();
        let served: BTreeSet<&DatacenterName> = view.state.serving(&context.datacenter).collect();
        waiting.see(&view.state, &served, now);
        if !waiting.since.is_empty() {
            pass(&context, &view.state, &served, &waiting.overdue(now)).await;
        }
    }
}

/// When each order of the datacenters that are served here was first seen, on this coordinator's own boot clock: the leader's stamp on an order and this
/// coordinator's time of day are not compared.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    since: BTreeMap<OrderId, Duration>,
}

impl Waiting {
    pub(super) fn see(&mut self, state: &State, served: &BTreeSet<&DatacenterName>, now: Duration) {
        let is_served = |order: &Order| served.contains(&order.cell.datacenter);
        let orders = state.orders.iter().filter(|(_, order)| is_served(order));
        let since = |id: &OrderId| self.since.get(id).copied().unwrap_or(now);
        self.since = orders.map(|(id, _)| (*id, since(id))).collect();
    }

    /// Orders that have waited for too long.
    pub(super) fn overdue(&self, now: Duration) -> BTreeSet<OrderId> {
        let late = |(_, since): &(&OrderId, &Duration)| now.saturating_sub(**since) > JOIN_MAX;
        self.since.iter().filter(late).map(|(id, _)| *id).collect()
    }
}

/// What the provider says it has sold us.
pub(super) enum Sold<'a> {
    /// There is no provider.
    Nobody,
    /// It sells to the datacenter's own coordinator alone, which is gone: what is on order waits for that.
    Elsewhere,
    /// It does not answer.
    Unknown,
    /// These machines.
    Machines(&'a [Provided]),
}

async fn pass(
    context: &Context,
    state: &State,
    served: &BTreeSet<&DatacenterName>,
    overdue: &BTreeSet<OrderId>,
) {
    for name in served.iter().filter(|name| ***name != context.datacenter) {
        for action in decide(state, name, &Sold::Elsewhere, overdue) {
            act(context, state, action).await;
        }
    }
    if !served.contains(&context.datacenter) {
        return;
    }
    let listed = match &context.provider {
        None => None,
        Some(provider) => Some(provider.list().await),
    };
    let sold = match &listed {
        None => Sold::Nobody,
        Some(Ok(machines)) => Sold::Machines(machines),
        Some(Err(error)) => {
            tracing::warn!(%error, "the provider's machines are unknown");
            Sold::Unknown
        }
    };
    for action in decide(state, &context.datacenter, &sold, overdue) {
        act(context, state, action).await;
    }
}

async fn act(context: &Context, state: &State, action: Action) {
    match action {
        Action::Attempt(order, attempt) => {
            let command = Command::AttemptOrder { order, attempt };
            context.commit("attempting an order", vec![command]).await;
        }
        Action::Create(order) => create(context, order, &state.orders[&order]).await,
        Action::Fail(order, reason) => fail(context, order, reason).await,
    }
}

/// What to do about each order of this datacenter. Pure.
pub(super) fn decide(
    state: &State,
    datacenter: &DatacenterName,
    sold: &Sold,
    overdue: &BTreeSet<OrderId>,
) -> Vec<Action> {
    let own = state.orders.iter().filter(|(_, order)| order.cell.datacenter == *datacenter);
    let action = |(id, order): (&OrderId, &Order)| {
        let token = Token { order: *id, attempt: order.attempts };
        let there = match sold {
            Sold::Nobody => {
                let reason = "this datacenter has no provider to buy machines from";
                return Some(Action::Fail(*id, reason.to_owned()));
            }
            // A machine that is there must not be bought again.
            Sold::Unknown | Sold::Elsewhere => true,
            Sold::Machines(machines) => machines.iter().any(|machine| machine.token == token),
        };
        if matches!(sold, Sold::Elsewhere) && order.attempts > 0 {
            // A machine may have been sold, and join when that coordinator is back.
            return None;
        }
        if overdue.contains(id) {
            let reason = match (sold, there) {
                (Sold::Unknown, _) => "the provider does not answer".to_owned(),
                (Sold::Elsewhere, _) => {
                    "the coordinator that buys machines there is gone".to_owned()
                }
                (_, true) => "its machine never joined".to_owned(),
                (_, false) => format!("no machine was sold in {} attempts", order.attempts),
            };
            return Some(Action::Fail(*id, reason));
        }
        if !there && !is_wanted(state, *id, order) {
            return Some(Action::Fail(
                *id,
                format!("neither {} nor another instance needs it any more", order.instance),
            ));
        }
        match (order.attempts, there) {
            (_, true) => None,
            (0, false) => Some(Action::Attempt(*id, 1)),
            (_, false) => Some(Action::Create(*id)),
        }
    };
    own.filter_map(action).collect()
}

/// Whether an instance still waits for an order: it was placed with it, or runs an older generation meanwhile.
fn is_wanted(state: &State, id: OrderId, order: &Order) -> bool {
    let placement_of =
        |instance| state.instances.get(instance).and_then(|found| found.placement.as_ref());
    let waits = |instance| placement_of(instance).is_some_and(|found| found.order == Some(id));
    let replaced = || {
        let workload = state.workloads.get(&order.instance.workload);
        let placement = placement_of(&order.instance);
        placement
            .zip(workload)
            .is_some_and(|(placement, workload)| placement.generation != workload.generation)
    };
    let mut waiting = state.cells.get(&order.cell).into_iter().flat_map(|cell| &cell.unbound);
    waits(&order.instance) || waiting.any(waits) || replaced()
}

/// Asks for the machine of the attempt that is committed. A failure that may pass is tried again in the next pass,
/// under the same token; after a refusal the next attempt follows.
async fn create(context: &Context, id: OrderId, order: &Order) {
    let Some(provider) = &context.provider else { return };
    let name = format!("m-{}", id.0);
    let machine = match name.parse() {
        Ok(machine) => MachineId { cell: order.cell.clone(), machine },
        Err(error) => return tracing::error!(%error, "the machine of {id} has no name"),
    };
    let token = Token { order: id, attempt: order.attempts };
    let wanted = Create { token, machine, offer: std::sync::Arc::clone(&order.offer) };
    match provider.create(wanted).await {
        Ok(()) => tracing::info!(%token, provider = provider.name(), "a machine was asked for"),
        Err(ProviderError::Unavailable(reason)) => {
            tracing::warn!(%token, reason, "the provider does not answer");
        }
        Err(error @ ProviderError::Refused(_)) if order.attempts >= ATTEMPTS_MAX => {
            fail(context, id, error.to_string()).await;
        }
        Err(error @ ProviderError::Refused(_)) => {
            tracing::warn!(%token, %error, "a machine was refused");
            let command = Command::AttemptOrder { order: id, attempt: order.attempts + 1 };
            context.commit("attempting an order again", vec![command]).await;
        }
    }
}

async fn fail(context: &Context, order: OrderId, reason: String) {
    let command = Command::FailOrder { order, reason, retry_after_ms: REFUSAL_MS };
    context.commit("giving up an order", vec![command]).await;
}
