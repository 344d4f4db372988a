//! What may be proposed now. A command enters the log only when the mesh version covers it, so that every member can
//! apply it.

use kato_core::Command;
use tokio::sync::watch;

use crate::{DiskAlarm, Error, View};

/// Looks at commands before they are proposed.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) views: watch::Receiver<View>,
    /// The newest mesh version that this member knows.
    pub(crate) knows: u32,
    pub(crate) alarm: watch::Receiver<Option<DiskAlarm>>,
    /// Whose disk it is.
    pub(crate) datacenter: String,
}

impl Gate {
    /// Refuses what the mesh, or this member, does not know yet.
    pub(crate) fn admit(&self, commands: &[Command]) -> Result<(), Error> {
        covered(commands, self.views.borrow().state.version, self.knows)
    }
}

impl Gate {
    /// Refuses everything while the disk of this member, which leads, is almost full.
    pub(crate) fn admit_here(&self) -> Result<(), Error> {
        match &*self.alarm.borrow() {
            Some(alarm) if alarm.refusing => Err(Error::DiskFull(format!(
                "the disk of {} is almost full: {alarm}",
                self.datacenter
            ))),
            _ => Ok(()),
        }
    }
}

fn covered(commands: &[Command], mesh: u32, knows: u32) -> Result<(), Error> {
    for command in commands {
        if command.needs() > mesh {
            return Err(Error::NotYet { needs: command.needs(), mesh });
        }
        // Nobody raises the mesh to what he does not know himself.
        if command.since() > knows {
            return Err(Error::NotYet { needs: command.since(), mesh });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use kato_core::version::FIRST;

    use super::*;
    use crate::alone::register;

    #[test]
    fn a_command_waits_for_its_version() {
        let raise = |to| vec![Command::RaiseVersion { to }];
        assert!(covered(&register("dub"), FIRST, FIRST).is_ok());
        assert!(covered(&raise(FIRST + 1), FIRST, FIRST + 1).is_ok());
        let error = covered(&register("dub"), FIRST - 1, FIRST).unwrap_err();
        assert!(matches!(error, Error::NotYet { needs: FIRST, .. }), "{error}");
        let error = covered(&raise(FIRST + 1), FIRST, FIRST).unwrap_err();
        assert_eq!(
            error.to_string(),
            "this needs mesh version 3, the mesh is at version 2: it is raised once every \
             coordinator runs a kato that knows it"
        );
    }
}
