//! Who watches the guard. A shim that is killed takes the unit's own process with it, but not what that one has
//! started; and then there is nobody left to keep the deadline. So a singleton's shim has a second, even smaller process
//! above it, and what the shim leaves behind becomes that one's: the kernel gives orphans to the next subreaper among
//! their ancestors (prctl(2)), whatever they did to their environment, their session or their control group. It kills
//! all of them, and ends. Where it is killed itself, the shim stops its unit, which may then start anew under both.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitOptions, getpid, getppid, set_parent_process_death_signal, wait,
};

use super::guard::Killer;

/// What `exec-unit` is given instead of a setup to become the shim below a warden.
pub(crate) const FLAG: &str = "--guarded";
/// The pause between two looks at what is left.
const ROUND: Duration = Duration::from_millis(2);

/// Runs the shim of this process's directory to its end, and returns once nothing that it has started is left. This
/// process is a subreaper, and holds the directory's lock with the shim: while it still kills, nothing of the instance
/// can be started anew, which it could not tell from what it is to kill.
pub(super) fn keep(lock: &File) -> io::Result<()> {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("kato").args(["exec-unit", FLAG, &getpid().as_raw_pid().to_string()]);
    command.stdin(Stdio::from(lock.try_clone()?)).stdout(Stdio::null());
    let shim = i32::try_from(command.spawn()?.id()).map_err(io::Error::other)?;
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((ended, _))) if ended.as_raw_pid() == shim => break,
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let killer = Killer { cgroup: None };
    while !Killer::alive().is_empty() {
        killer.signal(Signal::KILL);
        while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
        std::thread::sleep(ROUND);
    }
    Ok(())
}

/// Ties this process to its warden, which is to be its parent: it is told to end when that one does.
pub(super) fn follow(warden: &str) -> io::Result<()> {
    // The signal first and the question after it: a warden that dies in between is noticed by one of them.
    set_parent_process_death_signal(Some(Signal::TERM))?;
    let warden = warden.parse().ok().and_then(Pid::from_raw);
    if warden.is_none() || getppid() != warden {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the warden is gone"));
    }
    Ok(())
}
