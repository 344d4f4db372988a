//! Messages of the stream, to and from what the engine understands.

use std::collections::BTreeMap;

use kato_core::InstanceId;
use kato_proto::mesh_v1 as pb;
use kato_proto::{Field, InvalidMessage};
use kato_units::engine::{Assignment, InstanceStatus, RunState};

/// All that the machine is to run, as of one revision of the state.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) revision: u64,
    pub(super) assignments: BTreeMap<InstanceId, Assignment>,
}

/// Reads assignments. One that makes no sense spoils the whole list: to leave it out would be to stop it.
pub(super) fn wanted(message: pb::Assignments) -> Result<Wanted, InvalidMessage> {
    let one = |message: pb::Assignment| {
        let instance: InstanceId = message.instance.parse().field("assignment.instance")?;
        let ports = message.ports.iter().map(|port| port.parse());
        let assignment = Assignment {
            epoch: message.epoch,
            generation: message.generation,
            unit_name: message.unit_name,
            unit: message.unit.into(),
            request: message.request.field("assignment.request")?.into(),
            ports: ports.collect::<Result<_, _>>().field("assignment.ports")?,
            singleton: message.singleton,
            instance: instance.clone(),
        };
        Ok((instance, assignment))
    };
    Ok(Wanted {
        revision: message.revision,
        assignments: message.instances.into_iter().map(one).collect::<Result<_, _>>()?,
    })
}

/// Writes a status.
pub(super) fn status(status: &InstanceStatus) -> pb::InstanceStatus {
    let state = match status.state {
        RunState::Starting => pb::RunState::Starting,
        RunState::Running => pb::RunState::Running,
        RunState::Restarting => pb::RunState::Restarting,
        RunState::Stopping => pb::RunState::Stopping,
        RunState::Exited => pb::RunState::Exited,
        RunState::Failed => pb::RunState::Failed,
        RunState::Fenced => pb::RunState::Fenced,
    };
    let ports = status.ports.iter().map(|(name, port)| (name.to_string(), u32::from(*port)));
    pb::InstanceStatus {
        instance: status.instance.to_string(),
        epoch: status.epoch,
        generation: status.generation,
        state: state.into(),
        since_unix_ms: status.since.0,
        restarts: status.restarts,
        ports: ports.collect(),
        detail: status.detail.clone(),
    }
}
