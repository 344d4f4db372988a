//! One attached agent: sends it what its machine is to run, and takes in what it says.

use std::collections::BTreeMap;
use std::time::Duration;

use kato_core::{Command, InstanceId, MachineId, Revision, State, Suspension};
use kato_proto::mesh_v1 as pb;
use kato_proto::mesh_v1::agent_message::Message as FromAgent;
use kato_proto::mesh_v1::coordinator_message::Message as ToAgent;
use kato_raft::Error;
use tokio::sync::watch;
use tonic::{Status, Streaming};

use super::served::served;
use super::{Leases, Seen};
use crate::context::{Context, DEADLINE};

/// The shortest time between two lists of assignments to one agent.
const ASSIGN_EVERY: Duration = Duration::from_millis(50);

/// The longest time between two looks at what an agent should have been sent, and at what it has done.
const AGAIN: Duration = Duration::from_secs(1);

/// One stream of one agent.
pub(super) struct Session {
    pub(super) context: Context,
    pub(super) leases: Leases,
    pub(super) machine: MachineId,
    pub(super) incarnation: u64,
    pub(super) number: u64,
}

impl Session {
    /// Serves the stream until the agent goes.
    pub(super) async fn run(self, mut messages: Streaming<pb::AgentMessage>) {
        let assigning = self.assign();
        let (settled, told) = watch::channel(Revision::default());
        let concluding = self.conclude(told);
        let listening = async {
            loop {
                match messages.message().await {
                    Ok(Some(message)) => self.hear(message, &settled),
                    Ok(None) => return Ok(()),
                    Err(status) => return Err(status),
                }
            }
        };
        let ended: Result<(), Status> = tokio::select! {
            biased;
            ended = listening => ended,
            () = assigning => Ok(()),
            () = concluding => Ok(()),
        };
        let reason = ended.err().map(|status| status.message().to_owned());
        tracing::info!(machine = %self.machine, reason, "an agent is gone");
        self.update(|attached| attached.outbox = None);
    }

    /// Whether this coordinator serves the machine.
    fn serves(&self, state: &State) -> bool {
        state.served_by(&self.machine.cell.datacenter) == &self.context.datacenter
    }

    fn update(&self, update: impl FnOnce(&mut super::Attached)) {
        self.context.agents.update(&self.machine, self.number, update);
    }

    /// Sends to the agent; tells whether there was room.
    fn say(&self, message: ToAgent) -> bool {
        self.context.agents.send(&self.machine, message)
    }

    fn hear(&self, message: pb::AgentMessage, told: &watch::Sender<Revision>) {
        let heard = self.context.clock.boot();
        self.update(|attached| attached.heard = heard);
        match message.message {
            Some(FromAgent::Status(status)) => {
                let instances: BTreeMap<InstanceId, Seen> =
                    status.instances.into_iter().filter_map(Seen::from_wire).collect();
                let settled = Revision(status.settled);
                self.update(|attached| {
                    attached.instances = instances;
                    attached.settled = settled;
                });
                told.send_replace(settled);
            }
            Some(FromAgent::Lease(wish)) => {
                self.leases.ask(self.machine.clone(), self.incarnation, wish.nonce);
            }
            // A second greeting changes nothing.
            Some(FromAgent::Hello(_)) | None => {}
        }
    }

    /// Draws the conclusions from what the agent has carried out, again and again: a proposal may fail, and the agent
    /// says it once.
    async fn conclude(&self, mut settled: watch::Receiver<Revision>) {
        loop {
            let revision = *settled.borrow_and_update();
            self.confirm(revision).await;
            self.resume(revision).await;
            if let Ok(Err(_)) = tokio::time::timeout(AGAIN, settled.changed()).await {
                return;
            }
        }
    }

    /// Tells the mesh what has stopped here, so that they may start elsewhere.
    async fn confirm(&self, revision: Revision) {
        let view = self.context.mesh.stale();
        let mut stopping = view.state.stopping.iter();
        if stopping.any(|((_, from), found)| *from == self.machine && found.since <= revision) {
            let command = Command::Settled { machine: self.machine.clone(), revision };
            self.context.commit("confirming a stop", vec![command]).await;
        }
    }

    /// Asks for leases again for a suspended machine, once its agent has carried out all that was decided about it.
    async fn resume(&self, settled: Revision) {
        let may = |state: &State| may_resume(state, &self.machine, self.incarnation, settled);
        if !may(&self.context.mesh.stale().state) {
            return;
        }
        // A coordinator that was frozen may have applied the suspension, and not yet what was moved away after it.
        match self.context.mesh.read(DEADLINE).await {
            Ok(view) if may(&view.state) => {}
            _ => return,
        }
        let command =
            Command::Resume { machine: self.machine.clone(), incarnation: self.incarnation };
        self.context.commit("resuming a machine", vec![command]).await;
    }

    /// Says who serves the machine and sends its assignments, now and whenever they change, until another coordinator
    /// serves it. The first list waits for a linearizable read: a coordinator that has just started may not have
    /// applied all that it told the agent before.
    async fn assign(&self) {
        let mut views = self.context.mesh.watch();
        while let Err(error) = self.context.mesh.read(DEADLINE).await {
            if matches!(error, Error::Stopped(_)) {
                return;
            }
            tracing::info!(machine = %self.machine, %error, "assignments wait for the mesh");
        }
        let (mut sent, mut told) = (None, None);
        loop {
            let view = views.borrow_and_update().clone();
            let served = served(&view.state, &self.machine.cell.datacenter);
            if told != served
                && served.clone().is_some_and(|served| self.say(ToAgent::Served(served)))
            {
                told = served;
            }
            if !self.serves(&view.state) {
                return;
            }
            if !is_told(&view.state, &self.machine, sent.as_ref()) {
                let now = Told::of(&view.state, &self.machine);
                let message = assignments(&view.state, &now.list);
                if self.say(ToAgent::Assignments(message)) {
                    sent = Some(now);
                }
            }
            tokio::time::sleep(ASSIGN_EVERY).await;
            // Looked at from time to time as well: the agent's queue may have been full.
            if let Ok(Err(_)) = tokio::time::timeout(AGAIN, views.changed()).await {
                return;
            }
        }
    }
}

/// Whether a suspended machine may have leases again: its agent has carried out assignments that were made after the
/// suspension, and after the last instance was moved away. Pure.
pub(crate) fn may_resume(
    state: &State,
    id: &MachineId,
    incarnation: u64,
    settled: Revision,
) -> bool {
    let Some(machine) = state.machines.get(id) else { return false };
    let Some(suspended) = machine.suspended else { return false };
    let mut stopping = state.stopping.iter().filter(|((_, from), _)| from == id);
    machine.spec.incarnation == incarnation
        && settled >= suspended.since
        && stopping.all(|(_, found)| found.since <= settled)
}

/// What a machine is to run, in short: as long as it is the same, there is nothing to send.
#[derive(PartialEq)]
struct Brief {
    epochs: Vec<(InstanceId, Revision)>,
    /// A suspension is a reason to send again: the agent's answer to this very list resumes it.
    suspended: Option<Suspension>,
}

fn wanted(state: &State, machine: &MachineId) -> Brief {
    let Some(machine) = state.machines.get(machine) else {
        return Brief { epochs: Vec::new(), suspended: None };
    };
    let epoch = |id: &InstanceId| Some((id.clone(), state.instances.get(id)?.epoch()?));
    let epochs = machine.bound.iter().filter_map(epoch).collect();
    Brief { epochs, suspended: machine.suspended }
}

/// What a machine was told, as of one revision.
pub(crate) struct Told {
    list: Brief,
    at: Revision,
}

impl Told {
    pub(crate) fn of(state: &State, machine: &MachineId) -> Self {
        Self { list: wanted(state, machine), at: state.revision }
    }
}

/// Whether a machine knows what it is to run, and has been told since the last thing was taken from it: what was given to it
/// and taken away again between two looks leaves the list as it was, and its next place waits until the machine says that
/// it has carried out a list of after that. Pure.
pub(crate) fn is_told(state: &State, machine: &MachineId, told: Option<&Told>) -> bool {
    told.is_some_and(|told| {
        let mut taken = state.stopping.iter().filter(|((_, from), _)| from == machine);
        taken.all(|(_, found)| found.since <= told.at) && told.list == wanted(state, machine)
    })
}

/// The same at full length.
fn assignments(state: &State, wanted: &Brief) -> pb::Assignments {
    let assignment = |(id, epoch): &(InstanceId, Revision)| {
        let placement = state.instances.get(id)?.placement.as_ref()?;
        let spec = state.workloads.get(&id.workload)?.spec_of(placement.generation)?;
        let template = if spec.template { "@" } else { "" };
        Some(pb::Assignment {
            instance: id.to_string(),
            epoch: epoch.0,
            generation: placement.generation,
            unit_name: format!("{}{template}.service", spec.name),
            unit: spec.unit.to_string(),
            request: Some(spec.request.into()),
            ports: spec.ports.iter().map(ToString::to_string).collect(),
            singleton: spec.singleton,
        })
    };
    let instances = wanted.epochs.iter().filter_map(assignment).collect();
    pb::Assignments { revision: state.revision.0, instances }
}
