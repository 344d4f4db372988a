//! The machines that this coordinator serves, as their agents speak of them: who is attached, what runs, what was settled.
//! Fine state, which never enters the log.

mod knocks;
mod lease;
mod logs;
mod seen;
mod served;
mod service;
mod session;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kato_core::{DatacenterName, InstanceId, MachineId, Revision};
use kato_proto::mesh_v1 as pb;
use tokio::sync::{Notify, mpsc};

pub(crate) use knocks::Knocks;
pub(crate) use lease::Leases;
pub(crate) use logs::LogRelay;
pub(crate) use seen::{RunState, Seen};
pub(crate) use service::AgentService;
#[cfg(test)]
pub(crate) use session::may_resume;
#[cfg(test)]
pub(crate) use session::{Told, is_told};

/// Messages that may wait for one agent.
const OUTBOX_MAX: usize = 64;

/// What is known of one machine's agent.
#[derive(Debug, Clone)]
pub(crate) struct Attached {
    /// The incarnation that attached last.
    pub(crate) incarnation: u64,
    /// When it was last heard, on the boot clock.
    pub(crate) heard: Duration,
    /// The revision of the assignments that it has carried out.
    pub(crate) settled: Revision,
    /// What it says about instances.
    pub(crate) instances: BTreeMap<InstanceId, Seen>,
    /// Where to send; none once it is gone.
    outbox: Option<mpsc::Sender<pb::CoordinatorMessage>>,
    /// Tells this attachment from an earlier one of the same machine.
    session: u64,
}

impl Attached {
    /// Whether the agent's stream is open.
    pub(crate) fn connected(&self) -> bool {
        self.outbox.is_some()
    }
}

/// All agents that ever attached to this coordinator. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Agents {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    table: Mutex<Table>,
    changed: Notify,
}

#[derive(Default)]
struct Table {
    sessions: u64,
    machines: BTreeMap<MachineId, Attached>,
}

impl Agents {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.shared.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every machine whose agent ever attached.
    pub(crate) fn all(&self) -> BTreeMap<MachineId, Attached> {
        self.table().machines.clone()
    }

    /// Waits until something has changed.
    pub(crate) async fn changed(&self) {
        self.shared.changed.notified().await;
    }

    /// Sends to a machine's agent; tells whether it could be sent.
    pub(crate) fn send(
        &self,
        machine: &MachineId,
        message: pb::coordinator_message::Message,
    ) -> bool {
        let outbox = self.table().machines.get(machine).and_then(|found| found.outbox.clone());
        let message = pb::CoordinatorMessage { message: Some(message) };
        outbox.is_some_and(|outbox| outbox.try_send(message).is_ok())
    }

    /// An agent has attached; an older stream of the same machine is forgotten.
    fn attach(
        &self,
        machine: MachineId,
        incarnation: u64,
        heard: Duration,
        instances: BTreeMap<InstanceId, Seen>,
    ) -> (u64, mpsc::Receiver<pb::CoordinatorMessage>) {
        let (outbox, messages) = mpsc::channel(OUTBOX_MAX);
        let mut table = self.table();
        table.sessions += 1;
        let session = table.sessions;
        let settled = Revision::default();
        let outbox = Some(outbox);
        let attached = Attached { incarnation, heard, settled, instances, outbox, session };
        table.machines.insert(machine, attached);
        self.shared.changed.notify_one();
        (session, messages)
    }

    /// Forgets the machines of a datacenter whose agents are not attached: another coordinator has served them meanwhile,
    /// or does from here on.
    pub(crate) fn forget_gone(&self, datacenter: &DatacenterName) {
        let gone = |id: &MachineId, found: &Attached| {
            id.cell.datacenter == *datacenter && !found.connected()
        };
        self.table().machines.retain(|id, found| !gone(id, found));
    }

    /// Notes what an agent said, unless a newer stream of its machine is open.
    fn update(&self, machine: &MachineId, session: u64, update: impl FnOnce(&mut Attached)) {
        let mut table = self.table();
        if let Some(found) = table.machines.get_mut(machine)
            && found.session == session
        {
            update(found);
            self.shared.changed.notify_one();
        }
    }
}
