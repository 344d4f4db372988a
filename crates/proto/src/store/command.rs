//! Commands to and from their stored form.

use kato_core::Command;

use crate::store_v1 as pb;
use crate::{Field, InvalidMessage};

impl From<&Command> for pb::Command {
    fn from(command: &Command) -> Self {
        use pb::command::Command as Stored;
        let stored = match command {
            Command::RegisterDatacenter(datacenter) => {
                Stored::RegisterDatacenter(datacenter.into())
            }
        };
        Self { command: Some(stored) }
    }
}

impl TryFrom<pb::Command> for Command {
    type Error = InvalidMessage;

    fn try_from(stored: pb::Command) -> Result<Self, InvalidMessage> {
        use pb::command::Command as Stored;
        Ok(match stored.command.field("command")? {
            Stored::RegisterDatacenter(datacenter) => {
                Self::RegisterDatacenter(datacenter.try_into()?)
            }
        })
    }
}
