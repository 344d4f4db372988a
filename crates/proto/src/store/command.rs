//! Commands to and from their stored form.

use std::sync::Arc;

use kato_core::{
    CellId, Command, DatacenterName, Decision, InstanceId, MachineId, MicroDollars, NameError,
    Offer, OrderId, Place, PutWorkload, Revision, Target,
};

use crate::store_v1 as pb;
use crate::store_v1::command::Command as Stored;
use crate::{Field, InvalidMessage};

impl From<&Command> for pb::Command {
    fn from(command: &Command) -> Self {
        let stored = match command {
            Command::Found(settings) => Stored::Found(settings.into()),
            Command::RegisterDatacenter(spec) => Stored::RegisterDatacenter(spec.into()),
            Command::JoinMachine(spec) => Stored::JoinMachine(spec.into()),
            Command::Suspend { machines, reason } => Stored::Suspend(pb::Suspend {
                machines: machines.iter().map(ToString::to_string).collect(),
                reason: reason.clone(),
            }),
            Command::Resume { machine, incarnation } => Stored::Resume(pb::Resume {
                machine: machine.to_string(),
                incarnation: *incarnation,
            }),
            Command::DeclareLost(machines) => Stored::DeclareLost(pb::DeclareLost {
                machines: machines.iter().map(lost_to_stored).collect(),
            }),
            Command::PutWorkload(put) => Stored::PutWorkload(put.into()),
            Command::DeleteWorkload { name, expected } => {
                Stored::DeleteWorkload(pb::DeleteWorkload {
                    name: name.to_string(),
                    expected_revision: expected.map(|revision| revision.0),
                })
            }
            Command::Place(place) => Stored::Place(place.into()),
            Command::Unplaceable { instance, epoch, decision } => {
                Stored::MarkUnplaceable(unplaceable_to_stored(instance, *epoch, decision))
            }
            Command::Bind { instance, epoch, machine } => Stored::Bind(pb::Bind {
                instance: instance.to_string(),
                epoch: epoch.0,
                machine: machine.to_string(),
            }),
            Command::Refuse { instance, epoch, retry_after_ms } => Stored::Refuse(pb::Refuse {
                instance: instance.to_string(),
                epoch: epoch.0,
                retry_after_ms: *retry_after_ms,
            }),
            Command::Settled { machine, revision } => {
                Stored::Settled(pb::Settled { machine: machine.to_string(), revision: revision.0 })
            }
            Command::OrderMachine { instance, epoch, cell, offer } => {
                Stored::OrderMachine(order_to_stored(instance, *epoch, cell, offer))
            }
            Command::AttemptOrder { order, attempt } => {
                Stored::AttemptOrder(pb::AttemptOrder { order: order.0, attempt: *attempt })
            }
            Command::FailOrder { order, reason, retry_after_ms } => {
                Stored::FailOrder(pb::FailOrder {
                    order: order.0,
                    reason: reason.clone(),
                    retry_after_ms: *retry_after_ms,
                })
            }
            Command::EndQuarantine { since } => {
                Stored::EndQuarantine(pb::EndQuarantine { since: since.0 })
            }
            Command::RaiseVersion { to } => Stored::RaiseVersion(pb::RaiseVersion { to: *to }),
            Command::SetTiming { expected, timing } => Stored::SetTiming(pb::SetTiming {
                expected: expected.0,
                timing: Some(timing.into()),
            }),
            Command::SetBudget { max, expected } => {
                Stored::SetBudget(budget_to_stored(*max, *expected))
            }
            Command::Delegate { datacenter, expected, to } => {
                Stored::Delegate(delegate_to_stored(datacenter, *expected, to))
            }
        };
        Self { command: Some(stored) }
    }
}

fn order_to_stored(
    instance: &InstanceId,
    epoch: Revision,
    cell: &CellId,
    offer: &Offer,
) -> pb::OrderMachine {
    pb::OrderMachine {
        instance: instance.to_string(),
        epoch: epoch.0,
        cell: cell.to_string(),
        offer: Some(offer.into()),
    }
}

fn budget_to_stored(max: Option<MicroDollars>, expected: Option<Revision>) -> pb::SetBudget {
    pb::SetBudget {
        max_micros_per_hour: max.map(|max| max.0),
        expected: expected.map(|expected| expected.0),
    }
}

fn unplaceable_to_stored(
    instance: &InstanceId,
    epoch: Option<Revision>,
    decision: &Decision,
) -> pb::MarkUnplaceable {
    pb::MarkUnplaceable {
        instance: instance.to_string(),
        epoch: epoch.map(|epoch| epoch.0),
        decision: Some(decision.into()),
    }
}

fn delegate_to_stored(
    datacenter: &DatacenterName,
    expected: Revision,
    to: &DatacenterName,
) -> pb::Delegate {
    pb::Delegate { datacenter: datacenter.to_string(), expected: expected.0, to: to.to_string() }
}

fn lost_to_stored((id, since): &(MachineId, Revision)) -> pb::LostMachine {
    pb::LostMachine { machine: id.to_string(), suspended_since: since.0 }
}

impl TryFrom<pb::Command> for Command {
    type Error = InvalidMessage;

    fn try_from(stored: pb::Command) -> Result<Self, InvalidMessage> {
        Ok(match stored.command.field("command")? {
            Stored::Found(settings) => Self::Found(settings.into()),
            Stored::RegisterDatacenter(spec) => Self::RegisterDatacenter(spec.try_into()?),
            Stored::JoinMachine(spec) => Self::JoinMachine(spec.try_into()?),
            Stored::Suspend(suspend) => {
                let machines = machines(&suspend.machines).field("suspend.machines")?;
                Self::Suspend { machines, reason: suspend.reason }
            }
            Stored::Resume(pb::Resume { machine, incarnation }) => {
                Self::Resume { machine: machine.parse().field("resume.machine")?, incarnation }
            }
            Stored::DeclareLost(lost) => {
                let machines = lost.machines.into_iter().map(lost_from_stored);
                Self::DeclareLost(machines.collect::<Result<_, _>>()?)
            }
            Stored::PutWorkload(put) => Self::PutWorkload(put.try_into()?),
            Stored::DeleteWorkload(delete) => Self::DeleteWorkload {
                name: delete.name.parse().field("delete_workload.name")?,
                expected: delete.expected_revision.map(Revision),
            },
            Stored::Place(place) => Self::Place(place.try_into()?),
            Stored::MarkUnplaceable(mark) => Self::Unplaceable {
                instance: mark.instance.parse().field("mark_unplaceable.instance")?,
                epoch: mark.epoch.map(Revision),
                decision: Arc::new(mark.decision.field("mark_unplaceable.decision")?.try_into()?),
            },
            Stored::Bind(bind) => Self::Bind {
                instance: bind.instance.parse().field("bind.instance")?,
                epoch: Revision(bind.epoch),
                machine: bind.machine.parse().field("bind.machine")?,
            },
            Stored::Refuse(refuse) => Self::Refuse {
                instance: refuse.instance.parse().field("refuse.instance")?,
                epoch: Revision(refuse.epoch),
                retry_after_ms: refuse.retry_after_ms,
            },
            Stored::Settled(settled) => Self::Settled {
                machine: settled.machine.parse().field("settled.machine")?,
                revision: Revision(settled.revision),
            },
            Stored::OrderMachine(order) => Self::OrderMachine {
                instance: order.instance.parse().field("order_machine.instance")?,
                epoch: Revision(order.epoch),
                cell: order.cell.parse().field("order_machine.cell")?,
                offer: Arc::new(order.offer.field("order_machine.offer")?.try_into()?),
            },
            Stored::AttemptOrder(attempt) => {
                Self::AttemptOrder { order: OrderId(attempt.order), attempt: attempt.attempt }
            }
            Stored::FailOrder(fail) => Self::FailOrder {
                order: OrderId(fail.order),
                reason: fail.reason,
                retry_after_ms: fail.retry_after_ms,
            },
            Stored::EndQuarantine(end) => Self::EndQuarantine { since: Revision(end.since) },
            Stored::RaiseVersion(raise) => Self::RaiseVersion { to: raise.to },
            Stored::SetTiming(set) => Self::SetTiming {
                expected: Revision(set.expected),
                timing: set.timing.field("set_timing.timing")?.into(),
            },
            Stored::SetBudget(set) => {
                let max = set.max_micros_per_hour.map(MicroDollars);
                Self::SetBudget { max, expected: set.expected.map(Revision) }
            }
            Stored::Delegate(delegate) => Self::Delegate {
                datacenter: delegate.datacenter.parse().field("delegate.datacenter")?,
                expected: Revision(delegate.expected),
                to: delegate.to.parse().field("delegate.to")?,
            },
        })
    }
}

fn lost_from_stored(lost: pb::LostMachine) -> Result<(MachineId, Revision), InvalidMessage> {
    let id = lost.machine.parse().field("declare_lost.machines")?;
    Ok((id, Revision(lost.suspended_since)))
}

fn machines(stored: &[String]) -> Result<Vec<MachineId>, NameError> {
    stored.iter().map(|machine| machine.parse()).collect()
}

/// An instance's name; none where it is empty.
fn instance(stored: String) -> Result<Option<InstanceId>, NameError> {
    Some(stored).filter(|name| !name.is_empty()).map(|name| name.parse()).transpose()
}

fn targets(stored: Vec<pb::Target>) -> Result<Vec<Target>, InvalidMessage> {
    stored.into_iter().map(TryInto::try_into).collect()
}

impl From<&PutWorkload> for pb::PutWorkload {
    fn from(put: &PutWorkload) -> Self {
        Self {
            spec: Some((&*put.spec).into()),
            expected_revision: put.expected.map(|revision| revision.0),
            targets: put.targets.iter().map(Into::into).collect(),
            decision: Some((&*put.decision).into()),
        }
    }
}

impl TryFrom<pb::PutWorkload> for PutWorkload {
    type Error = InvalidMessage;

    fn try_from(stored: pb::PutWorkload) -> Result<Self, InvalidMessage> {
        Ok(Self {
            spec: Arc::new(stored.spec.field("put_workload.spec")?.try_into()?),
            expected: stored.expected_revision.map(Revision),
            targets: targets(stored.targets)?,
            decision: Arc::new(stored.decision.field("put_workload.decision")?.try_into()?),
        })
    }
}

impl From<&Place> for pb::Place {
    fn from(place: &Place) -> Self {
        Self {
            workload: place.workload.to_string(),
            generation: place.generation,
            targets: place.targets.iter().map(Into::into).collect(),
            decision: Some((&*place.decision).into()),
            cause: place.cause.clone(),
        }
    }
}

impl TryFrom<pb::Place> for Place {
    type Error = InvalidMessage;

    fn try_from(stored: pb::Place) -> Result<Self, InvalidMessage> {
        Ok(Self {
            workload: stored.workload.parse().field("place.workload")?,
            generation: stored.generation,
            targets: targets(stored.targets)?,
            decision: Arc::new(stored.decision.field("place.decision")?.try_into()?),
            cause: stored.cause,
        })
    }
}

impl From<&Target> for pb::Target {
    fn from(target: &Target) -> Self {
        Self {
            number: target.number,
            epoch: target.epoch.map(|epoch| epoch.0),
            cell: target.cell.to_string(),
            quote: Some((&target.quote).into()),
            with: target.with.as_ref().map(ToString::to_string).unwrap_or_default(),
        }
    }
}

impl TryFrom<pb::Target> for Target {
    type Error = InvalidMessage;

    fn try_from(stored: pb::Target) -> Result<Self, InvalidMessage> {
        Ok(Self {
            number: stored.number,
            epoch: stored.epoch.map(Revision),
            cell: stored.cell.parse().field("target.cell")?,
            quote: stored.quote.field("target.quote")?.try_into()?,
            with: instance(stored.with).field("target.with")?,
        })
    }
}
