//! Turns this datacenter's orders into machines. Each attempt is committed before the provider is asked, and its
//! number is part of the token, so that a coordinator that crashed in between asks for the same machine.

use std::collections::BTreeMap;
use std::time::Duration;

use kato_core::{
    ATTEMPTS_MAX, Command, DatacenterName, MachineId, Order, OrderId, State, Timestamp,
};
use kato_provision::{Create, Provided, ProviderError, Token};
use tokio_util::sync::CancellationToken;

use super::Wake;
use super::bind::REFUSAL_MS;
use crate::context::Context;

/// Between two looks when nothing changes.
const PERIOD: Duration = Duration::from_secs(1);
/// How long a machine may take from being asked for to joining, in milliseconds.
pub(super) const JOIN_MS: u64 = 120_000;

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
    while let Some((view, _)) = wake.next().await {
        let own = |order: &&Order| order.cell.datacenter == context.datacenter;
        if view.state.orders.values().any(|order| own(&order)) {
            pass(&context, &view.state).await;
        }
    }
}

async fn pass(context: &Context, state: &State) {
    let provided = match &context.provider {
        None => None,
        Some(provider) => match provider.list().await {
            Ok(machines) => Some(machines),
            // Without a list nothing is decided: a machine that is there must not be bought again.
            Err(error) => return tracing::warn!(%error, "the provider's machines are unknown"),
        },
    };
    for action in decide(state, &context.datacenter, provided.as_deref(), context.now()) {
        match action {
            Action::Attempt(order, attempt) => {
                let command = Command::AttemptOrder { order, attempt };
                context.commit("attempting an order", vec![command]).await;
            }
            Action::Create(order) => create(context, order, &state.orders[&order]).await,
            Action::Fail(order, reason) => fail(context, order, reason).await,
        }
    }
}

/// What to do about each order of this datacenter.
pub(super) fn decide(
    state: &State,
    datacenter: &DatacenterName,
    provided: Option<&[Provided]>,
    now: Timestamp,
) -> Vec<Action> {
    let own = state.orders.iter().filter(|(_, order)| order.cell.datacenter == *datacenter);
    let attempted: BTreeMap<Token, &Provided> =
        provided.unwrap_or_default().iter().map(|machine| (machine.token, machine)).collect();
    let action = |(id, order): (&OrderId, &Order)| {
        if provided.is_none() {
            let reason = "this datacenter has no provider to buy machines from";
            return Some(Action::Fail(*id, reason.to_owned()));
        }
        let overdue = now.since(order.placed_at) > Duration::from_millis(JOIN_MS);
        let token = Token { order: *id, attempt: order.attempts };
        match (order.attempts, attempted.contains_key(&token)) {
            (0, _) => Some(Action::Attempt(*id, 1)),
            (ATTEMPTS_MAX, _) if overdue => {
                let reason = format!("no machine joined in {ATTEMPTS_MAX} attempts");
                Some(Action::Fail(*id, reason))
            }
            (_, true) if overdue => Some(Action::Fail(*id, "its machine never joined".to_owned())),
            (_, true) => None,
            (_, false) => Some(Action::Create(*id)),
        }
    };
    own.filter_map(action).collect()
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
    let until = Timestamp(context.now().0 + REFUSAL_MS);
    context.commit("giving up an order", vec![Command::FailOrder { order, reason, until }]).await;
}
