//! Single things of a state to and from their stored form.

use std::sync::Arc;

use kato_core::{
    Decision, Event, EventKind, Instance, OrderId, Placement, Revision, Settings, Timestamp,
    Timing, Unplaceable,
};

use crate::store_v1 as pb;
use crate::{Field, InvalidMessage};

pub(super) fn instance_from_stored(
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

impl From<&Timing> for pb::Timing {
    fn from(timing: &Timing) -> Self {
        let Timing { rtt_ms_max, lease_ms, lease_ms_max } = *timing;
        Self { rtt_ms_max, lease_ms, lease_ms_max }
    }
}

impl From<pb::Timing> for Timing {
    fn from(stored: pb::Timing) -> Self {
        let pb::Timing { rtt_ms_max, lease_ms, lease_ms_max } = stored;
        Self { rtt_ms_max, lease_ms, lease_ms_max }
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
