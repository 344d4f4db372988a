//! What the keeper of an instance is asked for, and what is refused before it gets there.

use std::time::Duration;

use kato_core::{PORTS_MAX, UNIT_BYTES_MAX};
use kato_units::UnitName;
use kato_units::engine::{Assignment, Error};
use tokio::sync::oneshot;

/// Where an answer goes.
pub(super) type Answer<T> = oneshot::Sender<Result<T, Error>>;

/// A request about one instance.
#[derive(Debug)]
pub(super) enum Request {
    Start { assignment: Assignment, deadline: Option<Duration>, reply: Answer<()> },
    Stop { epoch: u64, reply: Answer<()> },
    Extend { epoch: u64, deadline: Duration, reply: Answer<Duration> },
    Remove { reply: Answer<()> },
}

/// Refuses what is over a limit or cannot be run safely. What the unit says is left to the shim, which reports it
/// in the instance's status.
pub(super) fn check(assignment: &Assignment, deadline: Option<Duration>) -> Result<(), Error> {
    let instance = || assignment.instance.clone();
    let invalid = |reason: String| Err(Error::Invalid { instance: instance(), reason });
    if assignment.singleton && deadline.is_none() {
        return Err(Error::NoDeadline(instance()));
    }
    if assignment.unit.len() > UNIT_BYTES_MAX {
        return invalid(format!("its unit is larger than {UNIT_BYTES_MAX} bytes"));
    }
    if assignment.ports.len() > PORTS_MAX {
        return invalid(format!("it asks for more than {PORTS_MAX} ports"));
    }
    match UnitName::parse(&assignment.unit_name) {
        Err(error) => invalid(error.to_string()),
        Ok(name) if name.workload != assignment.instance.workload => {
            invalid(format!("{} is the unit of another workload", assignment.unit_name))
        }
        Ok(_) => Ok(()),
    }
}
