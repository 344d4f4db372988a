//! What the engine could not start, as the coordinator is told of it: an engine knows of an instance only once its
//! start is under way, and whoever asks why nothing runs should not have to read this machine's log.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::sync::Arc;

use kato_core::{InstanceId, Timestamp};
use kato_units::engine::{Assignment, Error, InstanceStatus, RunState, Statuses};
use tokio::sync::watch;

/// The longest detail of a status, in characters.
const DETAIL_CHARS_MAX: usize = 2_000;

/// The starts that failed and have not been made up for. Clones share it.
#[derive(Clone)]
pub(super) struct Failures {
    shown: Arc<watch::Sender<BTreeMap<InstanceId, InstanceStatus>>>,
}

impl Default for Failures {
    fn default() -> Self {
        Self { shown: Arc::new(watch::Sender::default()) }
    }
}

impl Failures {
    /// Notes that a start has failed, at `now` by the machine's wall clock.
    pub(super) fn report(&self, assignment: &Assignment, error: &Error, now: Timestamp) {
        let failed = |since| InstanceStatus {
            instance: assignment.instance.clone(),
            epoch: assignment.epoch,
            generation: assignment.generation,
            state: RunState::Failed,
            since,
            restarts: 0,
            ports: BTreeMap::new(),
            pid: None,
            detail: detail(error),
        };
        self.shown.send_if_modified(|shown| {
            let key = (assignment.epoch, assignment.generation);
            let before = shown.get(&assignment.instance);
            let same = before.filter(|status| (status.epoch, status.generation) == key);
            // It has failed since the first time, however often it was tried.
            let status = failed(same.map_or(now, |status| status.since));
            let changed = before != Some(&status);
            shown.insert(assignment.instance.clone(), status);
            changed
        });
    }

    /// Forgets an instance's failure: it was started, or is not wanted any more.
    pub(super) fn forget(&self, instance: &InstanceId) {
        self.shown.send_if_modified(|shown| shown.remove(instance).is_some());
    }

    /// Follows the failures.
    pub(super) fn watch(&self) -> watch::Receiver<BTreeMap<InstanceId, InstanceStatus>> {
        self.shown.subscribe()
    }

    /// The engine's statuses with the failures over them, except where the engine is further by now.
    pub(super) fn over(&self, current: &Statuses) -> Statuses {
        let mut all = Statuses::clone(current);
        for (id, failure) in self.shown.borrow().iter() {
            let key = |status: &InstanceStatus| (status.epoch, status.generation);
            if all.get(id).is_none_or(|status| key(status) <= key(failure)) {
                Arc::make_mut(&mut all).insert(id.clone(), failure.clone());
            }
        }
        all
    }
}

/// The error and what lies beneath it, on one printable line.
fn detail(error: &Error) -> String {
    let mut text = format!("it could not be started: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(printable).take(DETAIL_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assignment(epoch: u64) -> Assignment {
        Assignment {
            instance: "web@1".parse().unwrap(),
            epoch,
            generation: 2,
            unit_name: "web@.service".to_owned(),
            unit: "[Service]\nEnvironment=TOKEN=secret\n".into(),
            request: kato_core::Resources::new(100, 128),
            ports: std::collections::BTreeSet::new(),
            singleton: false,
        }
    }

    #[test]
    fn a_failed_start_is_a_status_with_its_reason_until_it_is_made_up_for() {
        let failures = Failures::default();
        let id: InstanceId = "web@1".parse().unwrap();
        let error = Error::Engine {
            action: "start the shim of",
            instance: id.clone(),
            source: "no\nmemory".into(),
        };
        failures.report(&assignment(7), &error, Timestamp(5));
        failures.report(&assignment(7), &error, Timestamp(9));
        let shown = failures.over(&Statuses::default())[&id].clone();
        assert_eq!((shown.epoch, shown.generation, shown.state), (7, 2, RunState::Failed));
        assert_eq!(shown.since, Timestamp(5), "it has failed since the first time");
        let expected =
            "it could not be started: the engine could not start the shim of web@1: no memory";
        assert_eq!(shown.detail, expected);

        // Over what the engine knows of an older epoch, and never over a newer one.
        let running = |epoch| {
            let status = InstanceStatus { epoch, state: RunState::Running, ..shown.clone() };
            Arc::new(BTreeMap::from([(id.clone(), status)]))
        };
        assert_eq!(failures.over(&running(6))[&id].state, RunState::Failed);
        assert_eq!(failures.over(&running(8))[&id].state, RunState::Running);
        failures.forget(&id);
        assert!(failures.over(&Statuses::default()).is_empty());
    }
}
