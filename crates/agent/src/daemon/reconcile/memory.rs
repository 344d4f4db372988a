//! What a pass remembers of those before: deadlines that the engine was given, ends that it was asked about, and when
//! what was tried may be tried again.

use std::collections::BTreeMap;
use std::time::Duration;

use kato_core::{InstanceId, Timestamp};
use kato_units::engine::{InstanceStatus, RunState};

use super::{Action, Done};

/// The first and the longest pause before the same thing is tried again.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// What was last tried longer ago than this went well in the meantime: its pauses begin anew.
const HELD_OUT: Duration = Duration::from_mins(1);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Memory {
    asked: BTreeMap<InstanceId, End>,
    extended: BTreeMap<(InstanceId, u64), Duration>,
    attempts: BTreeMap<InstanceId, Attempt>,
}

/// One end of one instance. Each has its own time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    epoch: u64,
    generation: u64,
    since: Timestamp,
}

impl End {
    /// The end that a status speaks of.
    pub(super) fn of(status: &InstanceStatus) -> Option<Self> {
        let (epoch, generation) = (status.epoch, status.generation);
        status.state.is_final().then_some(Self { epoch, generation, since: status.since })
    }
}

/// What is tried, as far as it is the same thing if it is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goal {
    Start(u64, u64),
    Stop(u64),
    Remove,
}

impl Goal {
    /// None of an extension, for which each grant is a new reason.
    fn of(action: &Action) -> Option<Self> {
        match action {
            Action::Start(assignment, _) => {
                Some(Self::Start(assignment.epoch, assignment.generation))
            }
            Action::Stop(_, epoch) => Some(Self::Stop(*epoch)),
            Action::Remove(_) => Some(Self::Remove),
            Action::Extend(..) => None,
        }
    }
}

/// The last of several tries.
#[derive(Debug)]
struct Attempt {
    goal: Goal,
    /// On the boot clock.
    at: Duration,
    failed: bool,
    pause: Duration,
}

impl Memory {
    /// Whether the engine was asked to start the instance again after this end.
    pub(super) fn asked(&self, status: &InstanceStatus) -> bool {
        let end = End::of(status);
        end.is_some() && self.asked.get(&status.instance) == end.as_ref()
    }

    /// The deadline that the engine has been given for an instance and epoch.
    pub(super) fn given(&self, key: &(InstanceId, u64)) -> Option<Duration> {
        self.extended.get(key).copied()
    }

    /// The instances of which the last try has failed.
    pub(super) fn failed(&self) -> impl Iterator<Item = &InstanceId> {
        self.attempts.iter().filter(|(_, attempt)| attempt.failed).map(|(id, _)| id)
    }

    /// Whether it may be tried now: the same thing is tried again only after a pause.
    pub(super) fn allows(
        &self,
        action: &Action,
        status: Option<&InstanceStatus>,
        now: Duration,
    ) -> bool {
        let Some(last) = self.attempts.get(action.instance()) else { return true };
        // What was fenced waits for a grant already.
        let fenced = status.is_some_and(|status| status.state == RunState::Fenced);
        Some(last.goal) != Goal::of(action)
            || (fenced && !last.failed)
            || now >= last.at + last.pause
    }

    /// Notes what was done, or not, by `now`.
    pub(super) fn note(&mut self, done: &Done, now: Duration) {
        let id = done.action.instance().clone();
        let failed = done.result.is_err();
        if let Some(goal) = Goal::of(&done.action) {
            let last = self.attempts.get(&id).filter(|last| last.goal == goal);
            let recent = last.filter(|last| now.saturating_sub(last.at) < HELD_OUT);
            let pause = recent.map_or(PAUSE_FIRST, |last| (last.pause * 2).min(PAUSE_MAX));
            self.attempts.insert(id.clone(), Attempt { goal, at: now, failed, pause });
        }
        match &done.action {
            Action::Start(assignment, deadline) if !failed => {
                if let Some(end) = done.end {
                    self.asked.insert(id.clone(), end);
                }
                if let Some(deadline) = deadline {
                    self.extended.insert((id, assignment.epoch), *deadline);
                }
            }
            // Where it failed, too: the next grant is soon enough to try again.
            Action::Extend(_, epoch, deadline) => {
                self.extended.insert((id, *epoch), *deadline);
            }
            Action::Remove(_) if !failed => {
                self.asked.remove(&id);
                self.attempts.remove(&id);
                self.extended.retain(|(extended, _), _| *extended != id);
            }
            Action::Start(..) | Action::Stop(..) | Action::Remove(_) => {}
        }
    }
}
