//! The leader's view of who is gone: suspects what was silent for too long, waits until every lease has ended,
//! and declares lost. Moving what ran there is the placer's work.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kato_core::{
    Command, Datacenter, DatacenterName, Flaw, Health, Machine, MachineId, Revision, State,
    Timestamp,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Wake;
use crate::brake::Brake;
use crate::context::Context;
use crate::reports::Report;
use crate::timing::{Patience, lease_is_over};

/// Between two looks when nothing changes.
const PERIOD: Duration = Duration::from_millis(200);

/// A datacenter that has been lost for longer than this counts no more for the brake: what is lost next is another fault.
const OLD_NEWS: Duration = Duration::from_mins(10);

/// What a leader remembers since it leads. Times are of its own boot clock; a new leader starts anew, because it
/// cannot know how long another one has waited.
#[derive(Debug, Default)]
pub(super) struct Memory {
    term: u64,
    leads_since: Duration,
    /// When each suspension was first seen committed.
    suspended: BTreeMap<MachineId, (Revision, Duration)>,
    /// When each machine was first seen without one: a report from before says nothing about it.
    leased: BTreeMap<MachineId, Duration>,
    /// When each datacenter was first seen to be served by whoever serves it now: its agents need a moment to get
    /// there.
    served: BTreeMap<DatacenterName, (Revision, Duration)>,
}

pub(super) async fn run(context: Context, shutdown: CancellationToken) {
    let mut wake = Wake::new(&context, PERIOD, shutdown);
    let mut memory = Memory::default();
    while let Some((view, leadership)) = wake.next().await {
        let now = context.clock.boot();
        if !leadership.here {
            memory = Memory::default();
            show(&context.brake, None, "this coordinator leads no more");
            continue;
        }
        if memory.term != leadership.term {
            memory = Memory::new(leadership.term, now);
        }
        memory.see(&view.state, now);
        if Flaw::InheritedWait.is_made() {
            memory.inherit(&view.state, now, context.now());
        }
        let reports = context.reports.all();
        let decided = decide(&view.state, &reports, &memory, context.patience(), now);
        let (commands, brake) = match decided {
            Ok(commands) => (commands, None),
            Err(brake) => (Vec::new(), Some(brake)),
        };
        show(&context.brake, brake, "most datacenters are heard again");
        context.commit("watching over datacenters", commands).await;
    }
}

/// Lets the others know of the brake, and says once when it begins to hold, and once when and why it lets go.
fn show(shown: &watch::Sender<Option<Brake>>, brake: Option<Brake>, end: &str) {
    shown.send_if_modified(|before| {
        match (&before, &brake) {
            (None, Some(brake)) => tracing::warn!("the brake holds: {brake}"),
            (Some(_), None) => tracing::info!("the brake lets go: {end}"),
            _ => {}
        }
        let changed = *before != brake;
        *before = brake;
        changed
    });
}

impl Memory {
    /// The memory of a leader that has just begun.
    pub(super) fn new(term: u64, leads_since: Duration) -> Self {
        Self { term, leads_since, ..Self::default() }
    }

    /// Notes suspensions that are new, and forgets those that ended.
    pub(super) fn see(&mut self, state: &State, now: Duration) {
        let (mut still, mut leased) = (BTreeMap::new(), BTreeMap::new());
        for (id, machine) in &state.machines {
            let Some(suspended) = machine.suspended else {
                leased.insert(id.clone(), self.leased.get(id).copied().unwrap_or(now));
                continue;
            };
            let known = self.suspended.get(id).filter(|(since, _)| *since == suspended.since);
            still.insert(id.clone(), known.copied().unwrap_or((suspended.since, now)));
        }
        (self.suspended, self.leased) = (still, leased);
        let served = |(name, datacenter): (&DatacenterName, &Datacenter)| {
            let term = datacenter.term();
            let known = self.served.get(name).filter(|(known, _)| *known == term);
            (name.clone(), known.copied().unwrap_or((term, now)))
        };
        self.served = state.datacenters.iter().map(served).collect();
    }

    /// A mistake: counts a wait from the time of day at which the datacenter was suspected.
    fn inherit(&mut self, state: &State, now: Duration, wall: Timestamp) {
        for (id, (_, since)) in &mut self.suspended {
            let datacenter = state.datacenters.get(&id.cell.datacenter);
            if let Some(Health::Suspected { since: at }) = datacenter.map(|found| found.health) {
                *since = now.saturating_sub(wall.since(at));
            }
        }
    }

    /// How long a datacenter has been silent, by the latest report of the coordinator that serves it, since this one
    /// leads, and since that one serves it.
    fn silence_of(
        &self,
        name: &DatacenterName,
        report: Option<&Arc<Report>>,
        now: Duration,
    ) -> Duration {
        let heard = report.map_or(Duration::ZERO, |report| report.heard);
        let served = self.served.get(name).map_or(Duration::ZERO, |(_, since)| *since);
        now.saturating_sub(heard.max(self.leads_since).max(served))
    }

    /// How long the agent of a machine that gets leases has been silent, by its coordinator's report.
    fn silence(&self, id: &MachineId, report: &Report, now: Duration) -> Option<Duration> {
        let (_, served) = self.served.get(&id.cell.datacenter)?;
        let since = (*self.leased.get(id)?).max(*served);
        let silent = report.machines.get(id)?.silent + now.saturating_sub(report.heard);
        Some(silent.min(now.saturating_sub(since)))
    }

    /// Whether a machine has been suspended for so long that it is no sign of a new fault.
    fn has_been_suspended(&self, machine: &MachineId, now: Duration) -> bool {
        let seen = self.suspended.get(machine);
        seen.is_some_and(|(_, since)| now.saturating_sub(*since) > OLD_NEWS)
    }

    /// Whether every lease of a suspended machine has ended.
    fn is_over(&self, machine: &MachineId, lease: Duration, now: Duration) -> bool {
        let seen = self.suspended.get(machine);
        seen.is_some_and(|(_, since)| now.saturating_sub(*since) >= lease_is_over(lease))
    }
}

/// What to propose, unless the brake holds. Pure.
pub(super) fn decide(
    state: &State,
    reports: &BTreeMap<DatacenterName, Arc<Report>>,
    memory: &Memory,
    patience: Patience,
    now: Duration,
) -> Result<Vec<Command>, Brake> {
    if let Some(brake) = brake(state, reports, memory, patience, now) {
        return Err(brake);
    }
    let lease = state.lease_ms_max().map_or(patience.lease, Duration::from_millis);
    let mut commands = Vec::new();
    for (name, datacenter) in &state.datacenters {
        let report = reports.get(datacenter.served_by());
        let leased = state.machines_of(name).filter(|machine| machine.suspended.is_none());
        let leased: Vec<MachineId> = leased.map(|machine| machine.spec.id.clone()).collect();
        let silence = memory.silence_of(name, report, now);
        if silence > patience.silence {
            if !leased.is_empty() {
                let seconds = silence.as_secs_f64();
                let by = datacenter.served_by();
                let stands_in = if by == name { "" } else { ", which stood in," };
                let reason =
                    format!("the coordinator of {by}{stands_in} was silent for {seconds:.1} s");
                commands.push(Command::Suspend { machines: leased, reason });
            }
        } else {
            commands.extend(silent_machines(report, &leased, memory, patience, now));
        }
    }
    let waiting = state
        .machines
        .values()
        .filter(|machine| machine.suspended.is_some_and(|suspended| !suspended.over));
    // After a restore there may be longer leases than this state knows of.
    let waiting = waiting.filter(|_| state.quarantined.is_none());
    let over = waiting.filter(|machine| memory.is_over(&machine.spec.id, lease, now));
    let since = |machine: &Machine| Some((machine.spec.id.clone(), machine.suspended?.since));
    let over: Vec<(MachineId, Revision)> = over.filter_map(since).collect();
    if !over.is_empty() {
        commands.push(Command::DeclareLost(over));
    }
    Ok(commands)
}

/// Whether so much of the mesh looks dead from here that nothing is to be done about any of it. Pure.
fn brake(
    state: &State,
    reports: &BTreeMap<DatacenterName, Arc<Report>>,
    memory: &Memory,
    patience: Patience,
    now: Duration,
) -> Option<Brake> {
    let old_news = |machine: &Machine| {
        let restored = machine.suspended.is_some_and(|suspended| suspended.since.is_restore());
        restored || memory.has_been_suspended(&machine.spec.id, now)
    };
    let counts = |name: &&DatacenterName| {
        let lost = matches!(state.datacenters[*name].health, Health::Lost { .. });
        !(lost && state.machines_of(name).all(old_news))
    };
    let dark = |name: &&DatacenterName| {
        let report = reports.get(state.served_by(name));
        let gone = |machine: &Machine| {
            let silence = report.and_then(|r| memory.silence(&machine.spec.id, r, now));
            machine.suspended.is_some() || silence.is_some_and(|s| s > patience.machine_silence)
        };
        memory.silence_of(name, report, now) > patience.silence
            || state.machines_of(name).next().is_some() && state.machines_of(name).all(gone)
    };
    let counting: Vec<&DatacenterName> = state.datacenters.keys().filter(counts).collect();
    let of = counting.len();
    Brake::holds(counting.into_iter().filter(dark).cloned().collect(), of)
}

/// Machines whose agents are silent although their coordinator is heard.
fn silent_machines(
    report: Option<&Arc<Report>>,
    leased: &[MachineId],
    memory: &Memory,
    patience: Patience,
    now: Duration,
) -> Vec<Command> {
    let Some(report) = report else { return Vec::new() };
    if now.saturating_sub(memory.leads_since) < patience.machine_silence {
        return Vec::new();
    }
    let silent = leased.iter().filter_map(|id| {
        let silent = memory.silence(id, report, now)?;
        (silent > patience.machine_silence).then_some((id, silent))
    });
    let suspend = |(id, silent): (&MachineId, Duration)| Command::Suspend {
        machines: vec![id.clone()],
        reason: format!("its agent was silent for {:.1} s", silent.as_secs_f64()),
    };
    silent.map(suspend).collect()
}
