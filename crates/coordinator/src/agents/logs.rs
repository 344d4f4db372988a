//! Brings an instance's output from its agent to whoever asked: the coordinator asks over the agent's stream, the
//! agent answers with a call of its own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kato_core::{InstanceId, MachineId};
use kato_proto::mesh_v1 as pb;
use kato_proto::mesh_v1::coordinator_message::Message;
use tokio::sync::mpsc;
use tonic::{Code, Status};

use super::Agents;
use crate::status;

/// Chunks that may wait for one reader; a slow one holds up the agent, not the coordinator.
const CHUNKS_MAX: usize = 16;

type Chunk = Result<Vec<pb::LogLine>, Status>;

/// Logs that are being read. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct LogRelay {
    readers: Arc<Mutex<Readers>>,
}

#[derive(Default)]
struct Readers {
    next: u64,
    /// Who waits, and from which machine.
    open: BTreeMap<u64, (MachineId, mpsc::Sender<Chunk>)>,
}

impl LogRelay {
    fn readers(&self) -> MutexGuard<'_, Readers> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks a machine's agent for an instance's output.
    pub(crate) fn open(
        &self,
        agents: &Agents,
        machine: &MachineId,
        instance: &InstanceId,
        follow: bool,
        lines: u32,
    ) -> Result<mpsc::Receiver<Chunk>, Status> {
        let (sender, receiver) = mpsc::channel(CHUNKS_MAX);
        let id = {
            let mut readers = self.readers();
            readers.open.retain(|_, (_, sender)| !sender.is_closed());
            readers.next += 1;
            let id = readers.next;
            readers.open.insert(id, (machine.clone(), sender));
            id
        };
        let request = pb::LogRequest { id, instance: instance.to_string(), follow, lines };
        if agents.send(machine, Message::Log(request)) {
            Ok(receiver)
        } else {
            self.readers().open.remove(&id);
            let text = format!("the agent of {machine} is not connected");
            Err(status::because(Code::Unavailable, "AGENT_NOT_ATTACHED", text))
        }
    }

    /// Takes the reader that a machine's agent answers. Only the machine that was asked may answer.
    pub(super) fn answer(
        &self,
        machine: &MachineId,
        id: u64,
    ) -> Result<mpsc::Sender<Chunk>, Status> {
        let mut readers = self.readers();
        match readers.open.get(&id) {
            Some((asked, _)) if asked == machine => {}
            _ => return Err(status::not_found(format!("nobody reads log {id} of {machine}"))),
        }
        let (_, sender) = readers
            .open
            .remove(&id)
            .ok_or_else(|| status::not_found(format!("nobody reads log {id} any more")))?;
        Ok(sender)
    }
}
