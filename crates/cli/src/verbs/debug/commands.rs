//! Commands in one line: what is done, and to what.

use kato_core::{Command, MachineId, Target};
use kato_proto::store_v1 as pb;

/// A stored command in words. One that this build does not know is of a newer one.
pub(super) fn words(stored: &pb::Command) -> String {
    match Command::try_from(stored.clone()) {
        Ok(command) => {
            let (kind, rest) = described(&command);
            format!("{kind} {rest}").trim_end().to_owned()
        }
        Err(error) => format!("? ({error})"),
    }
}

/// A command's kind, and what it is about.
fn described(command: &Command) -> (&'static str, String) {
    match command {
        Command::Found(settings) => {
            ("Found", format!("{}, leases of {} ms", settings.domain, settings.lease_ms))
        }
        Command::RegisterDatacenter(spec) => {
            ("RegisterDatacenter", format!("{} at {}", spec.name, spec.address))
        }
        Command::JoinMachine(spec) => {
            let order = spec.order.map(|order| format!(" for {order}")).unwrap_or_default();
            ("JoinMachine", format!("{} incarnation {}{order}", spec.id, spec.incarnation))
        }
        Command::Suspend { machines, reason } => {
            ("Suspend", format!("{} ({reason})", machine_list(machines.iter())))
        }
        Command::Resume { machine, incarnation } => {
            ("Resume", format!("{machine} incarnation {incarnation}"))
        }
        Command::DeclareLost(machines) => {
            ("DeclareLost", machine_list(machines.iter().map(|(machine, _)| machine)))
        }
        Command::PutWorkload(put) => {
            let spec = &put.spec;
            (
                "PutWorkload",
                format!("{} ×{}{}", spec.name, spec.count, places(&spec.name, &put.targets)),
            )
        }
        Command::DeleteWorkload { name, .. } => ("DeleteWorkload", name.to_string()),
        Command::Place(place) => {
            let places = places(&place.workload, &place.targets);
            ("Place", format!("{}{places} ({})", place.workload, place.cause))
        }
        Command::Unplaceable { instance, .. } => ("Unplaceable", instance.to_string()),
        Command::Bind { instance, epoch, machine } => {
            ("Bind", format!("{instance} epoch {epoch} to {machine}"))
        }
        Command::Refuse { instance, epoch, retry_after_ms } => {
            ("Refuse", format!("{instance} epoch {epoch} for {retry_after_ms} ms"))
        }
        Command::Settled { machine, revision } => {
            ("Settled", format!("{machine} at revision {revision}"))
        }
        Command::OrderMachine { instance, cell, offer, .. } => {
            ("OrderMachine", format!("{} in {cell} for {instance}", offer.kind))
        }
        Command::AttemptOrder { order, attempt } => {
            ("AttemptOrder", format!("{order} attempt {attempt}"))
        }
        Command::FailOrder { order, reason, .. } => ("FailOrder", format!("{order} ({reason})")),
        Command::Delegate { datacenter, expected, to } => {
            ("Delegate", format!("{datacenter} to {to}, after term {expected}"))
        }
        Command::EndQuarantine { since } => ("EndQuarantine", format!("of revision {since}")),
        Command::RaiseVersion { to } => ("RaiseVersion", to.to_string()),
        Command::SetBudget { max: Some(max), .. } => ("SetBudget", format!("{max}/h")),
        Command::SetBudget { max: None, .. } => ("SetBudget", "none".to_owned()),
        Command::SetTiming { timing, .. } => (
            "SetTiming",
            format!("round trips of {} ms, leases of {} ms", timing.rtt_ms_max, timing.lease_ms),
        ),
    }
}

/// The first few of many names.
pub(super) fn few(names: impl ExactSizeIterator<Item = String>) -> String {
    const SHOWN: usize = 4;
    let more = names.len().saturating_sub(SHOWN);
    let shown = names.take(SHOWN).collect::<Vec<_>>().join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

fn machine_list<'a>(machines: impl ExactSizeIterator<Item = &'a MachineId>) -> String {
    few(machines.map(ToString::to_string))
}

fn places(workload: &kato_core::WorkloadName, targets: &[Target]) -> String {
    if targets.is_empty() {
        return String::new();
    }
    let place = |target: &Target| format!("{workload}@{} to {}", target.number, target.cell);
    format!(": {}", few(targets.iter().map(place)))
}
