//! The whole state to and from its stored form. A decision that many instances share is stored once.

use std::sync::Arc;

use kato_core::{
    Decision, Event, EventKind, Instance, InstanceId, MachineId, OrderId, Placement, Revision,
    Settings, State, Stopping, Timestamp, Unplaceable,
};

use super::VERSION;
use super::topology::{order_from_stored, order_to_stored};
use crate::store_v1 as pb;
use crate::{Field, InvalidMessage};

pub(super) fn to_stored(state: &State) -> pb::State {
    let mut decisions = Decisions::default();
    let instances = state.instances.values().map(|instance| decisions.instance(instance)).collect();
    pb::State {
        version: VERSION,
        revision: state.revision.0,
        time_unix_ms: state.time.0,
        settings: state.settings.as_ref().map(Into::into),
        datacenters: state.datacenters.values().map(Into::into).collect(),
        machines: state.machines.values().map(Into::into).collect(),
        workloads: state.workloads.values().map(Into::into).collect(),
        instances,
        decisions: decisions.shared.iter().map(|decision| (&***decision).into()).collect(),
        orders: state.orders.iter().map(|(id, order)| order_to_stored(*id, order)).collect(),
        stopping: state.stopping.iter().map(stopping_to_stored).collect(),
        events: state.events.iter().map(Into::into).collect(),
    }
}

fn stopping_to_stored(
    ((instance, machine), stopping): (&(InstanceId, MachineId), &Stopping),
) -> pb::Stopping {
    pb::Stopping {
        instance: instance.to_string(),
        machine: machine.to_string(),
        since: stopping.since.0,
        guarded: stopping.guarded,
    }
}

/// The decisions that were stored so far.
#[derive(Default)]
struct Decisions<'a> {
    shared: Vec<&'a Arc<Decision>>,
}

impl<'a> Decisions<'a> {
    /// The decision's place in the list. Instances of one workload are neighbours and share the latest one.
    fn place(&mut self, decision: &'a Arc<Decision>) -> u32 {
        // Equal ones are one, shared or not: which instances share memory is this node's own affair.
        if !self
            .shared
            .last()
            .is_some_and(|last| Arc::ptr_eq(last, decision) || **last == *decision)
        {
            self.shared.push(decision);
        }
        u32::try_from(self.shared.len() - 1).unwrap_or(u32::MAX)
    }

    fn instance(&mut self, instance: &'a Instance) -> pb::Instance {
        let refusals = instance.refusals.iter();
        pb::Instance {
            id: instance.id.to_string(),
            placement: instance.placement.as_ref().map(|placement| self.placement(placement)),
            unplaceable: instance.unplaceable.as_ref().map(|unplaceable| pb::Unplaceable {
                since_unix_ms: unplaceable.since.0,
                decision: self.place(&unplaceable.decision),
            }),
            refusals_until_unix_ms: refusals.map(|(cell, at)| (cell.to_string(), at.0)).collect(),
        }
    }

    fn placement(&mut self, placement: &'a Placement) -> pb::Placement {
        pb::Placement {
            cell: placement.cell.to_string(),
            machine: placement.machine.as_ref().map(ToString::to_string),
            epoch: placement.epoch.0,
            generation: placement.generation,
            request: Some(placement.request.into()),
            quote: Some((&placement.quote).into()),
            decision: self.place(&placement.decision),
            order: placement.order.map(|order| order.0),
            placed_at_unix_ms: placement.placed_at.0,
        }
    }
}

pub(super) fn from_stored(stored: pb::State) -> Result<State, InvalidMessage> {
    let mut state = State {
        revision: Revision(stored.revision),
        time: Timestamp(stored.time_unix_ms),
        settings: stored.settings.map(Into::into),
        ..State::default()
    };
    for datacenter in stored.datacenters {
        let datacenter: kato_core::Datacenter = datacenter.try_into()?;
        state.datacenters.insert(datacenter.spec.name.clone(), datacenter);
    }
    for machine in stored.machines {
        let machine: kato_core::Machine = machine.try_into()?;
        state.machines.insert(machine.spec.id.clone(), machine);
    }
    for workload in stored.workloads {
        let workload: kato_core::Workload = workload.try_into()?;
        state.workloads.insert(workload.spec.name.clone(), workload);
    }
    let decisions = stored.decisions.into_iter().map(|decision| decision.try_into().map(Arc::new));
    let decisions = decisions.collect::<Result<Vec<Arc<Decision>>, _>>()?;
    for instance in stored.instances {
        let instance = instance_from_stored(instance, &decisions)?;
        state.instances.insert(instance.id.clone(), instance);
    }
    for order in stored.orders {
        let (id, order) = order_from_stored(order)?;
        state.orders.insert(id, order);
    }
    for stopping in stored.stopping {
        let machine = stopping.machine.parse().field("stopping.machine")?;
        let key = (stopping.instance.parse().field("stopping.instance")?, machine);
        let since = Revision(stopping.since);
        state.stopping.insert(key, Stopping { since, guarded: stopping.guarded });
    }
    let events = stored.events.into_iter().map(TryInto::try_into);
    state.events = events.collect::<Result<_, _>>()?;
    Ok(state.with_ledgers())
}

fn instance_from_stored(
    stored: pb::Instance,
    decisions: &[Arc<Decision>],
) -> Result<Instance, InvalidMessage> {
    let decision = |place: u32| {
        decisions.get(place as usize).cloned().ok_or_else(|| InvalidMessage::Wrong {
            field: "instance.decision",
            reason: format!("{place} of {}", decisions.len()),
        })
    };
    let placement = |stored: pb::Placement| {
        Ok::<_, InvalidMessage>(Placement {
            cell: stored.cell.parse().field("placement.cell")?,
            machine: stored.machine.map(|id| id.parse()).transpose().field("placement.machine")?,
            epoch: Revision(stored.epoch),
            generation: stored.generation,
            request: stored.request.field("placement.request")?.into(),
            quote: stored.quote.field("placement.quote")?.try_into()?,
            decision: decision(stored.decision)?,
            order: stored.order.map(OrderId),
            placed_at: Timestamp(stored.placed_at_unix_ms),
        })
    };
    let unplaceable = |stored: pb::Unplaceable| {
        let since = Timestamp(stored.since_unix_ms);
        Ok::<_, InvalidMessage>(Unplaceable { since, decision: decision(stored.decision)? })
    };
    let refusals = stored
        .refusals_until_unix_ms
        .into_iter()
        .map(|(cell, until)| Ok((cell.parse().field("instance.refusals")?, Timestamp(until))));
    Ok(Instance {
        id: stored.id.parse().field("instance.id")?,
        placement: stored.placement.map(placement).transpose()?,
        unplaceable: stored.unplaceable.map(unplaceable).transpose()?,
        refusals: refusals.collect::<Result<_, InvalidMessage>>()?,
    })
}

impl From<&Settings> for pb::Settings {
    fn from(settings: &Settings) -> Self {
        Self { domain: settings.domain.clone(), lease_ms: settings.lease_ms }
    }
}

impl From<pb::Settings> for Settings {
    fn from(stored: pb::Settings) -> Self {
        Self { domain: stored.domain, lease_ms: stored.lease_ms }
    }
}

impl From<&Event> for pb::Event {
    fn from(event: &Event) -> Self {
        let place = EventKind::ALL.iter().position(|kind| *kind == event.kind);
        Self {
            revision: event.revision.0,
            at_unix_ms: event.at.0,
            kind: place.and_then(|place| u32::try_from(place + 1).ok()).unwrap_or_default(),
            subject: event.subject.clone(),
            message: event.message.clone(),
        }
    }
}

impl TryFrom<pb::Event> for Event {
    type Error = InvalidMessage;

    fn try_from(stored: pb::Event) -> Result<Self, InvalidMessage> {
        let place = (stored.kind as usize).checked_sub(1);
        let kind = place.and_then(|place| EventKind::ALL.get(place)).copied();
        Ok(Self {
            revision: Revision(stored.revision),
            at: Timestamp(stored.at_unix_ms),
            kind: kind.field("event.kind")?,
            subject: stored.subject,
            message: stored.message,
        })
    }
}
