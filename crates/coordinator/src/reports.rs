//! What the coordinators tell each other about the machines that they serve, and when each was last heard. Every coordinator
//! holds all reports, so that a new leader starts with knowledge and any coordinator can answer a question.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kato_core::{Datacenter, DatacenterName, InstanceId, MachineId, State, version};
use kato_proto::mesh_v1 as pb;

use crate::agents::{RunState, Seen};
use crate::brake::Brake;
use crate::round_trips::RoundTrip;

/// One coordinator's report of the machines that it serves, as received.
#[derive(Debug, Clone, Default)]
pub(crate) struct Report {
    /// When, on this coordinator's boot clock.
    pub(crate) heard: Duration,
    /// The machines.
    pub(crate) machines: BTreeMap<MachineId, MachineReport>,
    /// The brake that it holds as the leader.
    pub(crate) brake: Option<Brake>,
    /// The newest mesh version that its coordinator knows.
    pub(crate) knows: u32,
    /// The round trips that its coordinator has measured.
    pub(crate) round_trips: BTreeMap<DatacenterName, RoundTrip>,
    /// The longest round trip that its coordinator's timing allows for, in milliseconds.
    pub(crate) timing_rtt_ms_max: u64,
    /// For how long its coordinator had not heard the others when the report was made.
    pub(crate) silences: BTreeMap<DatacenterName, Duration>,
    /// Its coordinator's disk is almost full.
    pub(crate) disk_alarm: Option<pb::DiskAlarm>,
}

/// One machine in a report.
#[derive(Debug, Clone)]
pub(crate) struct MachineReport {
    /// Whether its agent is attached to its coordinator.
    pub(crate) connected: bool,
    /// How long the agent had been silent when the report was made.
    pub(crate) silent: Duration,
    /// What its agent says about instances.
    pub(crate) instances: BTreeMap<InstanceId, Seen>,
    /// Since when those that run have been said to run without a break, on this coordinator's boot clock: the
    /// machines' clocks of day are not compared with anybody's.
    pub(crate) steady: BTreeMap<InstanceId, Duration>,
}

/// The latest report of each coordinator, by its datacenter. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Reports {
    /// When this coordinator began to listen: nobody was silent before that.
    since: Duration,
    latest: Arc<Mutex<BTreeMap<DatacenterName, Arc<Report>>>>,
}

impl Reports {
    /// No reports yet, at a time of the boot clock.
    pub(crate) fn new(since: Duration) -> Self {
        Self { since, latest: Arc::default() }
    }

    /// The datacenters of which nobody has reported for longer than `silence`.
    pub(crate) fn silent(
        &self,
        state: &State,
        silence: Duration,
        now: Duration,
    ) -> BTreeSet<DatacenterName> {
        let latest = self.latest();
        let silent = |datacenter: &&Datacenter| {
            let report = latest.get(datacenter.served_by());
            let heard = report.map_or(self.since, |report| report.heard);
            now.saturating_sub(heard.max(self.since)) > silence
        };
        let silent = state.datacenters.values().filter(silent);
        silent.map(|datacenter| datacenter.spec.name.clone()).collect()
    }

    fn latest(&self) -> MutexGuard<'_, BTreeMap<DatacenterName, Arc<Report>>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a report in.
    pub(crate) fn take(&self, datacenter: DatacenterName, mut report: Report) {
        let mut latest = self.latest();
        if let Some(before) = latest.get(&datacenter) {
            report.carry_on(before);
        }
        latest.insert(datacenter, Arc::new(report));
    }

    /// The latest report of each datacenter that was ever heard.
    pub(crate) fn all(&self) -> BTreeMap<DatacenterName, Arc<Report>> {
        self.latest().clone()
    }
}

/// What the agents say about one instance at one epoch, if they have spoken of it.
pub(crate) fn seen<'a>(
    state: &State,
    reports: &'a BTreeMap<DatacenterName, Arc<Report>>,
    machine: &MachineId,
    instance: &InstanceId,
) -> Option<&'a Seen> {
    machine_report(state, reports, machine)?.instances.get(instance)
}

/// What was reported of one machine, by the coordinator that serves it.
pub(crate) fn machine_report<'a>(
    state: &State,
    reports: &'a BTreeMap<DatacenterName, Arc<Report>>,
    machine: &MachineId,
) -> Option<&'a MachineReport> {
    reports.get(state.served_by(&machine.cell.datacenter))?.machines.get(machine)
}

impl Report {
    /// Reads a report from the wire; machines and instances whose names make no sense are left out and logged.
    pub(crate) fn from_wire(message: pb::ReportRequest, heard: Duration) -> Self {
        let machine = |message: pb::MachineReport| {
            let id: MachineId = message.machine.parse().ok()?;
            let instances = message.instances.into_iter().filter_map(Seen::from_wire);
            let instances: BTreeMap<InstanceId, Seen> = instances.collect();
            let running = instances.iter().filter(|(_, seen)| seen.state == RunState::Running);
            let report = MachineReport {
                connected: message.connected,
                silent: Duration::from_millis(message.silent_ms),
                steady: running.map(|(id, _)| (id.clone(), heard)).collect(),
                instances,
            };
            Some((id, report))
        };
        let silence = |message: pb::Silence| {
            Some((message.datacenter.parse().ok()?, Duration::from_millis(message.silent_ms)))
        };
        Self {
            heard,
            machines: message.machines.into_iter().filter_map(machine).collect(),
            brake: message.brake.as_ref().and_then(Brake::from_wire),
            round_trips: message.round_trips.into_iter().filter_map(RoundTrip::from_wire).collect(),
            timing_rtt_ms_max: message.timing_rtt_ms_max,
            silences: message.silences.into_iter().filter_map(silence).collect(),
            disk_alarm: message.disk_alarm,
            knows: message.knows.max(version::FIRST),
        }
    }

    /// What ran in the report before, and was not started again since, has run all the time.
    fn carry_on(&mut self, before: &Self) {
        for (id, machine) in &mut self.machines {
            let Some(before) = before.machines.get(id) else { continue };
            let start = |seen: &Seen| (seen.epoch, seen.since, seen.restarts);
            for (id, since) in &mut machine.steady {
                let then = before.instances.get(id).map(start);
                if then == machine.instances.get(id).map(start)
                    && let Some(earlier) = before.steady.get(id)
                {
                    *since = *earlier;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: &str = "core-1.cell-1.dub";

    /// A report of one instance, heard at `heard` seconds.
    fn report(heard: u64, change: impl FnOnce(&mut pb::InstanceStatus)) -> Report {
        let mut instance = pb::InstanceStatus {
            instance: "web@1".to_owned(),
            epoch: 7,
            state: pb::RunState::Running.into(),
            ..Default::default()
        };
        change(&mut instance);
        let machine = pb::MachineReport {
            machine: MACHINE.to_owned(),
            instances: vec![instance],
            ..Default::default()
        };
        let message = pb::ReportRequest { machines: vec![machine], ..Default::default() };
        Report::from_wire(message, Duration::from_secs(heard))
    }

    #[test]
    fn only_what_was_not_started_again_has_run_all_the_time() {
        let datacenter: DatacenterName = "dub".parse().unwrap();
        let reports = Reports::new(Duration::ZERO);
        let steady = |report| {
            reports.take(datacenter.clone(), report);
            let machine = MACHINE.parse().unwrap();
            let all = reports.all();
            let found = machine_report(&State::default(), &all, &machine).unwrap();
            found.steady.get(&"web@1".parse().unwrap()).map(Duration::as_secs)
        };
        assert_eq!(steady(report(1, |_| {})), Some(1));
        assert_eq!(steady(report(2, |_| {})), Some(1));
        assert_eq!(steady(report(3, |seen| seen.restarts = 1)), Some(3));
        assert_eq!(steady(report(4, |seen| seen.set_state(pb::RunState::Restarting))), None);
        assert_eq!(steady(report(5, |seen| seen.restarts = 2)), Some(5));
        assert_eq!(steady(report(6, |seen| seen.epoch = 8)), Some(6));
        assert_eq!(steady(report(7, |seen| seen.epoch = 8)), Some(6));
    }
}
