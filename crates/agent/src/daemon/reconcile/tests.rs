//! What the agent does about what it was assigned.

mod passes;

use std::collections::BTreeSet;
use std::sync::Arc;

use super::*;

const NOW: Duration = Duration::from_secs(100);

fn assignment(epoch: u64, singleton: bool) -> Assignment {
    Assignment {
        instance: "db@1".parse().unwrap(),
        epoch,
        generation: 1,
        unit_name: "db@.service".to_owned(),
        unit: "[Service]\nExecStart=/bin/true\n".into(),
        request: kato_core::Resources::new(100, 128),
        ports: BTreeSet::new(),
        singleton,
    }
}

fn wanted(assignments: impl IntoIterator<Item = Assignment>) -> Wanted {
    let assignments = assignments.into_iter().map(|found| (found.instance.clone(), found));
    Wanted { revision: 9, assignments: assignments.collect() }
}

fn current(epoch: u64, state: RunState) -> Statuses {
    crate::daemon::fake::one(&"db@1".parse().unwrap(), epoch, state)
}

fn granted(epoch: u64, seconds: u64) -> Deadlines {
    BTreeMap::from([(("db@1".parse().unwrap(), epoch), Duration::from_secs(seconds))])
}

fn nothing() -> Statuses {
    Arc::default()
}

/// Notes that an action was done at `NOW`, after what `current` says.
fn did(memory: &mut Memory, action: &Action, current: &Statuses, result: Result<(), Error>) {
    let end = current.get(action.instance()).and_then(End::of);
    memory.note(&Done { action: action.clone(), end, result }, NOW);
}

#[test]
fn a_singleton_starts_with_a_fresh_grant_of_its_epoch_and_never_without() {
    let list = wanted([assignment(7, true)]);
    let decided = |grants: &Deadlines| decide(&list, &nothing(), grants, &Memory::default(), NOW);
    assert_eq!(decided(&Deadlines::new()), vec![]);
    assert_eq!(decided(&granted(6, 200)), vec![], "a grant of another epoch");
    assert_eq!(decided(&granted(7, 100)), vec![], "a grant that is over");
    let start = Action::Start(Box::new(assignment(7, true)), Some(Duration::from_secs(106)));
    assert_eq!(decided(&granted(7, 106)), vec![start]);
}

#[test]
fn a_running_singleton_is_extended_by_later_grants_only() {
    let list = wanted([assignment(7, true)]);
    let running = current(7, RunState::Running);
    let mut memory = Memory::default();
    let extend = Action::Extend("db@1".parse().unwrap(), 7, Duration::from_secs(106));
    let decided = decide(&list, &running, &granted(7, 106), &memory, NOW);
    assert_eq!(decided, vec![extend.clone()]);
    did(&mut memory, &extend, &running, Ok(()));
    assert_eq!(decide(&list, &running, &granted(7, 106), &memory, NOW), vec![]);
    assert_eq!(decide(&list, &running, &granted(7, 105), &memory, NOW), vec![]);
    assert_eq!(decide(&list, &running, &granted(7, 107), &memory, NOW).len(), 1);
}

#[test]
fn a_fenced_singleton_starts_again_with_a_later_grant() {
    let list = wanted([assignment(7, true)]);
    let fenced = current(7, RunState::Fenced);
    let mut memory = Memory::default();
    let start = Action::Start(Box::new(assignment(7, true)), Some(Duration::from_secs(99)));
    did(&mut memory, &start, &nothing(), Ok(()));
    assert_eq!(decide(&list, &fenced, &granted(7, 99), &memory, NOW), vec![]);
    let decided = decide(&list, &fenced, &granted(7, 110), &memory, NOW);
    assert!(matches!(decided.as_slice(), [Action::Start(..)]), "{decided:?}");
}

#[test]
fn another_epoch_replaces_what_runs() {
    let list = wanted([assignment(8, false)]);
    let running = current(7, RunState::Running);
    let decided = decide(&list, &running, &Deadlines::new(), &Memory::default(), NOW);
    assert_eq!(decided, vec![Action::Start(Box::new(assignment(8, false)), None)]);
}

#[test]
fn every_end_is_asked_about_once() {
    let list = wanted([assignment(7, false)]);
    let failed = current(7, RunState::Failed);
    let mut memory = Memory::default();
    let later = NOW + Duration::from_secs(10);
    let decided = decide(&list, &failed, &Deadlines::new(), &memory, NOW);
    assert_eq!(decided.len(), 1, "after a restart of the agent the engine decides");
    did(&mut memory, &decided[0], &failed, Ok(()));
    assert_eq!(decide(&list, &failed, &Deadlines::new(), &memory, later), vec![]);

    // It was started again, and has ended again.
    let mut again = failed;
    for status in Arc::make_mut(&mut again).values_mut() {
        status.since = kato_core::Timestamp(5);
    }
    let soon = NOW + Duration::from_millis(500);
    assert_eq!(decide(&list, &again, &Deadlines::new(), &memory, soon), vec![], "too soon");
    assert_eq!(decide(&list, &again, &Deadlines::new(), &memory, later).len(), 1);
}

#[test]
fn what_failed_is_tried_again_after_a_growing_pause() {
    let list = wanted([assignment(7, false)]);
    let mut memory = Memory::default();
    let full = || Err(Error::Full(500));
    let at = |memory: &Memory, after: u64| {
        decide(&list, &nothing(), &Deadlines::new(), memory, NOW + Duration::from_secs(after))
    };
    for pause in [1, 2, 4, 8, 16, 30, 30] {
        let decided = at(&memory, 60);
        assert!(matches!(decided.as_slice(), [Action::Start(..)]), "{decided:?}");
        did(&mut memory, &decided[0], &nothing(), full());
        assert_eq!(at(&memory, pause - 1), vec![], "sooner than after {pause} s");
        assert_eq!(at(&memory, pause).len(), 1, "after {pause} s");
    }
    // Something else is tried at once.
    let newer = wanted([assignment(8, false)]);
    assert_eq!(decide(&newer, &nothing(), &Deadlines::new(), &memory, NOW).len(), 1);
    // What could not be started is cleared away once it is not wanted any more.
    let removed = decide(&wanted([]), &nothing(), &Deadlines::new(), &memory, NOW);
    assert_eq!(removed, vec![Action::Remove("db@1".parse().unwrap())]);
    did(&mut memory, &removed[0], &nothing(), Ok(()));
    assert_eq!(decide(&wanted([]), &nothing(), &Deadlines::new(), &memory, NOW), vec![]);
}

#[test]
fn what_is_not_wanted_stops_and_then_goes() {
    let list = wanted([]);
    let running = current(7, RunState::Running);
    let memory = Memory::default();
    let id: InstanceId = "db@1".parse().unwrap();
    let decided = decide(&list, &running, &Deadlines::new(), &memory, NOW);
    assert_eq!(decided, vec![Action::Stop(id.clone(), 7)]);
    assert!(!settled(&list, &running, &Busy::new()));
    let ended = current(7, RunState::Exited);
    let decided = decide(&list, &ended, &Deadlines::new(), &memory, NOW);
    assert_eq!(decided, vec![Action::Remove(id)]);
    assert!(settled(&list, &ended, &Busy::new()));
}

/// An older epoch that still runs, or may start yet, is not settled: it may be somebody else's by now.
#[test]
fn settled_means_nothing_else_runs_or_starts() {
    let list = wanted([assignment(8, true)]);
    let idle = Busy::new();
    assert!(!settled(&list, &current(7, RunState::Running), &idle));
    assert!(settled(&list, &current(8, RunState::Running), &idle));
    assert!(settled(&list, &nothing(), &idle));

    let busy = |epoch| Busy::from([("db@1".parse().unwrap(), epoch)]);
    assert!(!settled(&list, &nothing(), &busy(Some(7))), "a start of an older epoch");
    assert!(!settled(&wanted([]), &nothing(), &busy(Some(8))), "one that is not wanted");
    assert!(!settled(&list, &current(7, RunState::Running), &busy(Some(8))), "not replaced yet");
    assert!(settled(&list, &nothing(), &busy(Some(8))));
    assert!(settled(&wanted([]), &current(8, RunState::Exited), &busy(None)));
}
