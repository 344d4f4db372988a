//! What the coordinators tell each other about their datacenters, and when each was last heard. Every coordinator
//! holds all reports, so that a new leader starts with knowledge and any coordinator can answer a question.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kato_core::{DatacenterName, InstanceId, MachineId};
use kato_proto::mesh_v1 as pb;

use crate::agents::Seen;

/// One datacenter's report, as received.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    /// When, on this coordinator's boot clock.
    pub(crate) heard: Duration,
    /// Its machines.
    pub(crate) machines: BTreeMap<MachineId, MachineReport>,
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
}

/// The latest report of each datacenter. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Reports {
    latest: Arc<Mutex<BTreeMap<DatacenterName, Arc<Report>>>>,
}

impl Reports {
    pub(crate) fn new() -> Self {
        Self { latest: Arc::default() }
    }

    fn latest(&self) -> MutexGuard<'_, BTreeMap<DatacenterName, Arc<Report>>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a report in.
    pub(crate) fn take(&self, datacenter: DatacenterName, report: Report) {
        self.latest().insert(datacenter, Arc::new(report));
    }

    /// The latest report of each datacenter that was ever heard.
    pub(crate) fn all(&self) -> BTreeMap<DatacenterName, Arc<Report>> {
        self.latest().clone()
    }
}

/// What the agents say about one instance at one epoch, if they have spoken of it.
pub(crate) fn seen<'a>(
    reports: &'a BTreeMap<DatacenterName, Arc<Report>>,
    machine: &MachineId,
    instance: &InstanceId,
) -> Option<&'a Seen> {
    let report = reports.get(&machine.cell.datacenter)?;
    report.machines.get(machine)?.instances.get(instance)
}

impl Report {
    /// Reads a report from the wire; machines and instances whose names make no sense are left out and logged.
    pub(crate) fn from_wire(message: pb::ReportRequest, heard: Duration) -> Self {
        let machine = |message: pb::MachineReport| {
            let id: MachineId = message.machine.parse().ok()?;
            let instances = message.instances.into_iter().filter_map(Seen::from_wire);
            let report = MachineReport {
                connected: message.connected,
                silent: Duration::from_millis(message.silent_ms),
                instances: instances.collect(),
            };
            Some((id, report))
        };
        Self { heard, machines: message.machines.into_iter().filter_map(machine).collect() }
    }
}
