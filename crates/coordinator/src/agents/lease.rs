//! Grants leases. A grant is answered only after a read that began after its request arrived, on a state in which
//! the machine is not suspended, and the mesh not quarantined: whoever commits a suspension later waits longer than any grant before it
//! lasts. Requests that arrive while a read is under way share the next one.

use std::time::Duration;

use kato_core::{Flaw, MachineId, State};
use kato_proto::mesh_v1 as pb;
use kato_proto::mesh_v1::coordinator_message::Message;
use kato_raft::Mesh;
use tokio::sync::mpsc;

use super::Agents;

/// Requests that may wait for the next read.
const WAITING_MAX: usize = 4_096;
/// How long a read may take: two of the longest round trips that a timing is made for, and more.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// One machine's wish for a lease.
struct Wish {
    machine: MachineId,
    incarnation: u64,
    nonce: u64,
}

/// A handle to the queue of wishes.
#[derive(Clone)]
pub(crate) struct Leases {
    wishes: mpsc::Sender<Wish>,
}

impl Leases {
    /// The handle, and the work that answers.
    pub(crate) fn new(mesh: Mesh, agents: Agents) -> (Self, impl Future<Output = ()>) {
        let (wishes, waiting) = mpsc::channel(WAITING_MAX);
        (Self { wishes }, run(mesh, agents, waiting))
    }

    /// Asks for a lease. A full queue drops the wish: the agent asks again before its lease ends.
    pub(super) fn ask(&self, machine: MachineId, incarnation: u64, nonce: u64) {
        if self.wishes.try_send(Wish { machine, incarnation, nonce }).is_err() {
            tracing::warn!("too many machines wait for a lease");
        }
    }
}

async fn run(mesh: Mesh, agents: Agents, mut waiting: mpsc::Receiver<Wish>) {
    let mut wishes = Vec::new();
    while waiting.recv_many(&mut wishes, WAITING_MAX).await > 0 {
        let batch = std::mem::take(&mut wishes);
        let read = async {
            if Flaw::GrantWithoutReadIndex.is_made() {
                return Ok(mesh.stale());
            }
            mesh.read(READ_TIMEOUT).await
        };
        match read.await {
            Ok(view) => {
                for wish in batch {
                    if let Some(grant) = grant(&view.state, &wish) {
                        agents.send(&wish.machine, Message::Grant(grant));
                    }
                }
            }
            Err(error) => tracing::warn!(%error, wishes = batch.len(), "no lease is granted"),
        }
    }
}

/// The grant, if the state allows one.
fn grant(state: &State, wish: &Wish) -> Option<pb::LeaseGrant> {
    if state.quarantined.is_some() {
        return None;
    }
    let machine = state.machines.get(&wish.machine)?;
    if machine.suspended.is_some() || machine.spec.incarnation != wish.incarnation {
        return None;
    }
    let singleton = |id: &kato_core::InstanceId| {
        let placement = state.instances.get(id)?.placement.as_ref()?;
        let spec = state.workloads.get(&id.workload)?.spec_of(placement.generation)?;
        spec.singleton.then(|| pb::Singleton { instance: id.to_string(), epoch: placement.epoch.0 })
    };
    Some(pb::LeaseGrant {
        nonce: wish.nonce,
        lease_ms: state.lease_ms()?,
        singletons: machine.bound.iter().filter_map(singleton).collect(),
    })
}
