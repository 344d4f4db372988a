//! The guard of a deadline: by then no process of the instance is left, whatever the agent, the network or this
//! shim's own disk do.
//!
//! It has a thread of its own, which touches no file but those in `/proc` and the control group's: the rest of the
//! shim writes output and status, and a disk that hangs must not delay the kill. Time is `CLOCK_BOOTTIME`, so that a
//! machine that was suspended past the deadline kills first thing when it wakes.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kato_net::clock::{Clock, SystemClock};
use rustix::process::{Signal, getpgrp, getpid, kill_process, kill_process_group};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::sync::watch;

use super::cgroup::Cgroup;
use crate::procfs::{self, Process};

/// How long before the deadline the kill begins. The kernel needs milliseconds for a small process, and some
/// hundreds of them to take apart one with many gigabytes of memory.
pub const KILL_MARGIN: Duration = Duration::from_secs(1);

/// The pause between two rounds of the kill, for processes that were forked while it ran.
const ROUND: Duration = Duration::from_millis(2);

/// What the supervisor has to heed; a later one overrules an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Interrupt {
    /// Nothing: go on.
    None,
    /// This process was told to end, as all are when the machine goes down: the instance may come back.
    Leave,
    /// The engine wants the instance to stop, and this assignment never to start again.
    Stop,
    /// The deadline came.
    Fence,
}

/// Raises the interrupt to `level`, if it is lower.
pub(super) fn raise(interrupt: &watch::Sender<Interrupt>, level: Interrupt) {
    interrupt.send_if_modified(|current| {
        let raised = level > *current;
        *current = level.max(*current);
        raised
    });
}

/// Reaches every process of the instance. All of them descend from this process, which is their subreaper, so none
/// gets away by leaving its process group, its session or its parent.
#[derive(Debug, Clone)]
pub(super) struct Killer {
    pub(super) cgroup: Option<Cgroup>,
}

impl Killer {
    /// Every process of the instance.
    pub(super) fn alive() -> Vec<Process> {
        procfs::descendants(getpid().as_raw_pid())
    }

    /// Sends `signal` to all of them.
    pub(super) fn signal(&self, signal: Signal) {
        if let (Signal::KILL, Some(cgroup)) = (signal, &self.cgroup) {
            cgroup.kill();
        }
        let own = getpgrp().as_raw_pid();
        let alive = Self::alive();
        // A whole group at once first: its members cannot fork away from under that.
        let mut groups: Vec<i32> = alive.iter().map(|process| process.group).collect();
        groups.sort_unstable();
        groups.dedup();
        groups.retain(|group| *group != own);
        for group in groups.iter().filter_map(|group| rustix::process::Pid::from_raw(*group)) {
            let _ = kill_process_group(group, signal);
        }
        // Those in the shim's own group have not yet come to leave it.
        let rest = alive.iter().filter(|process| process.group == own);
        for process in rest.filter_map(|process| process.id()) {
            let _ = kill_process(process, signal);
        }
    }
}

/// The deadline of one instance, and the thread that keeps it.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    shared: Option<Arc<Shared>>,
}

#[derive(Debug)]
struct Shared {
    timer: OwnedFd,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    deadline: Duration,
    fenced: bool,
}

impl Guard {
    /// Guards `deadline`, a time of the boot clock; none guards nothing. Where it is not further away than
    /// [`KILL_MARGIN`], the interrupt is raised before this returns.
    pub(super) fn start(
        deadline: Option<Duration>,
        killer: Killer,
        interrupt: watch::Sender<Interrupt>,
    ) -> io::Result<Self> {
        let Some(deadline) = deadline else { return Ok(Self { shared: None }) };
        let timer = timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::CLOEXEC)?;
        let shared =
            Arc::new(Shared { timer, state: Mutex::new(State { deadline, fenced: false }) });
        shared.arm(deadline)?;
        if shared.due() {
            raise(&interrupt, Interrupt::Fence);
        }
        let guard = Self { shared: Some(Arc::clone(&shared)) };
        // It ends with the process, never before: there is nothing to join.
        std::thread::Builder::new()
            .name("guard".to_owned())
            .stack_size(256 * 1024)
            .spawn(move || shared.keep(&killer, &interrupt))?;
        Ok(guard)
    }

    /// The deadline that holds.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.shared.as_ref().map(|shared| shared.state().deadline)
    }

    /// Moves the deadline to a later time, and returns the one that holds.
    pub(super) fn extend(&self, deadline: Duration) -> Result<Duration, String> {
        let shared = self.shared.as_ref().ok_or("it was started without a deadline")?;
        let mut state = shared.state();
        if state.fenced {
            return Err("its deadline has come, and it was killed".to_owned());
        }
        if deadline > state.deadline {
            shared.arm(deadline).map_err(|error| error.to_string())?;
            state.deadline = deadline;
        }
        Ok(state.deadline)
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the timer to when the kill has to begin.
    fn arm(&self, deadline: Duration) -> io::Result<()> {
        // A time of zero would disarm it; any other in the past fires at once.
        let begin = deadline.saturating_sub(KILL_MARGIN).max(Duration::from_nanos(1));
        let at = Timespec::try_from(begin).map_err(io::Error::other)?;
        let never = Timespec { tv_sec: 0, tv_nsec: 0 };
        let once = Itimerspec { it_interval: never, it_value: at };
        timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &once)?;
        Ok(())
    }

    /// Whether the kill has to begin; from then on it is decided.
    fn due(&self) -> bool {
        let mut state = self.state();
        state.fenced |= SystemClock.boot() + KILL_MARGIN >= state.deadline;
        state.fenced
    }

    fn keep(&self, killer: &Killer, interrupt: &watch::Sender<Interrupt>) {
        loop {
            let mut expirations = [0; 8];
            match rustix::io::read(&self.timer, &mut expirations) {
                Err(rustix::io::Errno::INTR) => continue,
                // A guard that cannot tell the time takes it to have come.
                Err(_) => self.state().fenced = true,
                Ok(_) => {}
            }
            if self.due() {
                break;
            }
        }
        raise(interrupt, Interrupt::Fence);
        // To the end of the process, because the supervisor may have been about to start a command.
        loop {
            killer.signal(Signal::KILL);
            std::thread::sleep(ROUND);
        }
    }
}
