//! Starting a shim: what it is to run goes into the instance's directory, and the directory goes to the shim.

use std::fs::File;
use std::io;
use std::process::Stdio;
use std::time::Duration;

use kato_units::engine::{Assignment, Error};

use super::Shared;
use super::home::Home;
use crate::record::{Assigned, DIRECTORY, Recorded};

/// Writes what is to run and starts the shim for it. Returns the status that holds until the shim has its own.
pub(super) fn launch(
    shared: &Shared,
    home: &Home,
    assignment: &Assignment,
    deadline: Option<Duration>,
) -> Result<Recorded, Error> {
    let instance = || assignment.instance.clone();
    let failed = |action: &'static str| {
        move |error: io::Error| Error::Engine { action, instance: instance(), source: error.into() }
    };
    home.create().map_err(failed("make a directory for"))?;
    let lock = home.lock().map_err(failed("lock the directory of"))?;
    let lock = lock.ok_or_else(|| Error::StillRuns(instance()))?;
    let had = home.assigned().map_err(failed("read what was assigned to"))?;
    let had = had.map(|assigned| assigned.ports).unwrap_or_default();
    let before = home.recorded().map_err(failed("read the status of"))?;
    let same = before.filter(|before| {
        (before.epoch, before.generation) == (assignment.epoch, assignment.generation)
    });
    // What was written before a shim that could not be spawned has no end, and counts for nothing.
    let restarts = same.map_or(0, |b| b.restarts.saturating_add(u32::from(b.end.is_some())));
    let assigned = Assigned {
        instance: assignment.instance.to_string(),
        epoch: assignment.epoch,
        generation: assignment.generation,
        unit_name: assignment.unit_name.clone(),
        unit: assignment.unit.to_string(),
        cpu_millis: assignment.request.cpu_millis,
        memory_bytes: assignment.request.memory_bytes,
        ports: shared.ports.give(&assignment.instance, &assignment.ports, &had)?,
        singleton: assignment.singleton,
        // Rounded down: the shim must not guard a later time than was granted.
        deadline_ms: deadline.map(|at| u64::try_from(at.as_millis()).unwrap_or(u64::MAX)),
        datacenter: shared.config.datacenter.to_string(),
        host: shared.config.host.clone(),
        output_bytes_max: shared.config.output_bytes_max,
        restarts,
    };
    let starting = Recorded::starting(&assigned, shared.clock.wall());
    home.assign(&assigned).map_err(failed("write the assignment of"))?;
    home.record(&starting).map_err(failed("write the status of"))?;
    spawn(shared, home, lock).map_err(failed("start the shim of"))?;
    Ok(starting)
}

/// Starts the shim, which owns the directory from then on: its standard input is the lock. It is given nothing of
/// the agent's environment but where programs and the home are, for that may hold credentials. The directory stands
/// in its environment too, as in that of its processes: whoever kills all that belongs to a directory finds it.
fn spawn(shared: &Shared, home: &Home, lock: File) -> io::Result<()> {
    let [program, arguments @ ..] = shared.shim_command.as_slice() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the shim's command is empty"));
    };
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).arg("--directory").arg(home.path()).env_clear();
    let handed_on = ["PATH", "HOME"].map(|name| (name, std::env::var_os(name)));
    command.envs(handed_on.into_iter().filter_map(|(name, value)| Some((name, value?))));
    command.env(DIRECTORY, home.path());
    command.stdin(Stdio::from(lock)).stdout(Stdio::null()).stderr(home.shim_log()?);
    // Its handle is dropped: it is not this process's to wait for. The runtime reaps it.
    command.kill_on_drop(false).spawn().map(|_| ())
}
