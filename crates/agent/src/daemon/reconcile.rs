//! Makes what runs what is wanted: starts, replaces, extends, stops, removes. The comparison is a pure function; what
//! it finds is done for all instances at once, one thing at a time for each.

mod memory;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use kato_core::InstanceId;
use kato_units::engine::{Assignment, Error, InstanceStatus, RunState, Statuses};
use tokio_util::sync::CancellationToken;

use self::memory::{End, Memory};
use super::Shared;
use super::lease::Deadlines;
use super::wire::Wanted;

/// The shortest time between two looks: what changes in the meantime is seen in one.
const PACE: Duration = Duration::from_millis(10);
/// Between two looks when nothing changes.
const PERIOD: Duration = Duration::from_secs(1);
/// A singleton whose right to run ends sooner than this is not started: it would hardly live.
const WORTH_STARTING: Duration = Duration::from_millis(500);

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Action {
    Start(Box<Assignment>, Option<Duration>),
    Extend(InstanceId, u64, Duration),
    Stop(InstanceId, u64),
    Remove(InstanceId),
}

impl Action {
    fn instance(&self) -> &InstanceId {
        match self {
            Self::Start(assignment, _) => &assignment.instance,
            Self::Extend(id, ..) | Self::Stop(id, _) | Self::Remove(id) => id,
        }
    }

    /// The epoch that it starts.
    fn starts(&self) -> Option<u64> {
        match self {
            Self::Start(assignment, _) => Some(assignment.epoch),
            Self::Extend(..) | Self::Stop(..) | Self::Remove(_) => None,
        }
    }

    /// What the log calls it, and the epoch that it is about. Never the assignment: its unit may hold secrets.
    fn named(&self) -> (&'static str, Option<u64>) {
        match self {
            Self::Start(assignment, _) => ("start", Some(assignment.epoch)),
            Self::Extend(_, epoch, _) => ("extend", Some(*epoch)),
            Self::Stop(_, epoch) => ("stop", Some(*epoch)),
            Self::Remove(_) => ("remove", None),
        }
    }
}

/// One thing that was done, or not.
struct Done {
    action: Action,
    /// How the instance had ended before.
    end: Option<End>,
    result: Result<(), Error>,
}

/// The instances with which something is being done, each with the epoch that is being started, if that is what is.
type Busy = BTreeMap<InstanceId, Option<u64>>;

pub(super) async fn run(shared: Shared, shutdown: CancellationToken) {
    let mut memory = Memory::default();
    let mut wanted = shared.wanted.subscribe();
    let mut grants = shared.grants.watch();
    let mut statuses = shared.engine.statuses();
    let mut busy = Busy::new();
    let mut doing = FuturesUnordered::new();
    loop {
        let list = wanted.borrow_and_update().clone();
        // After the list, and after every start that is not busy any more: those it shows.
        let current = shared.engine.current();
        let deadlines = grants.borrow_and_update().clone();
        if let Some(list) = &list {
            publish(&shared, list, &current, &busy);
            let now = shared.clock.boot();
            for action in decide(list, &current, &deadlines, &memory, now) {
                if let Entry::Vacant(free) = busy.entry(action.instance().clone()) {
                    let end = current.get(free.key()).and_then(End::of);
                    free.insert(action.starts());
                    doing.push(perform(&shared, action, end));
                }
            }
        }
        let mut pace = std::pin::pin!(tokio::time::sleep(PACE));
        loop {
            tokio::select! {
                biased;
                () = &mut pace => break,
                Some(done) = doing.next() => learn(&shared, &mut memory, &mut busy, &done),
            }
        }
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            Some(done) = doing.next() => learn(&shared, &mut memory, &mut busy, &done),
            changed = wanted.changed() => if changed.is_err() { return },
            changed = grants.changed() => if changed.is_err() { return },
            next = statuses.next() => if next.is_none() { return },
            () = tokio::time::sleep(PERIOD) => {}
        }
    }
}

/// Takes in how it went, and tells the coordinator of an instance that could not be started.
fn learn(shared: &Shared, memory: &mut Memory, busy: &mut Busy, done: &Done) {
    busy.remove(done.action.instance());
    memory.note(done, shared.clock.boot());
    match (&done.action, &done.result) {
        // The agent is about to end: that is nobody's failure.
        (_, Err(Error::Closed)) | (Action::Extend(..), _) => {}
        (Action::Start(assignment, _), Err(error)) => {
            shared.failures.report(assignment, error, shared.clock.wall());
        }
        (action, Ok(())) => shared.failures.forget(action.instance()),
        (_, Err(_)) => {}
    }
}

/// What differs between what is wanted and what runs. Pure.
fn decide(
    wanted: &Wanted,
    current: &Statuses,
    deadlines: &Deadlines,
    memory: &Memory,
    now: Duration,
) -> Vec<Action> {
    let mut actions = Vec::new();
    for (id, assignment) in &wanted.assignments {
        let deadline = deadlines.get(&(id.clone(), assignment.epoch)).copied();
        actions.extend(toward(assignment, current.get(id), deadline, memory, now));
    }
    for (id, status) in current.iter() {
        if !wanted.assignments.contains_key(id) {
            actions.push(if status.state.is_final() {
                Action::Remove(id.clone())
            } else {
                Action::Stop(id.clone(), status.epoch)
            });
        }
    }
    // What could not be started may hold ports and files all the same.
    let failed = memory
        .failed()
        .filter(|id| !wanted.assignments.contains_key(*id) && !current.contains_key(*id));
    actions.extend(failed.map(|id| Action::Remove(id.clone())));
    actions.retain(|action| memory.allows(action, current.get(action.instance()), now));
    actions
}

/// The next step toward one assignment.
fn toward(
    assignment: &Assignment,
    status: Option<&InstanceStatus>,
    deadline: Option<Duration>,
    memory: &Memory,
    now: Duration,
) -> Option<Action> {
    let key = (assignment.instance.clone(), assignment.epoch);
    let given = memory.given(&key);
    let start = || {
        if !assignment.singleton {
            return Some(Action::Start(Box::new(assignment.clone()), None));
        }
        // Nothing starts a singleton without a fresh grant.
        let fresh = deadline.filter(|deadline| *deadline > now + WORTH_STARTING)?;
        Some(Action::Start(Box::new(assignment.clone()), Some(fresh)))
    };
    let Some(status) = status else { return start() };
    if (status.epoch, status.generation) != (assignment.epoch, assignment.generation) {
        return start();
    }
    if status.state == RunState::Fenced {
        return if deadline > given { start() } else { None };
    }
    if status.state.is_final() {
        // Asked once for each end: the engine knows whether it ended by itself, or through no doing of its own.
        return if memory.asked(status) { None } else { start() };
    }
    let later = deadline.filter(|deadline| assignment.singleton && Some(*deadline) > given)?;
    Some(Action::Extend(assignment.instance.clone(), assignment.epoch, later))
}

async fn perform(shared: &Shared, action: Action, end: Option<End>) -> Done {
    let engine = &shared.engine;
    let result = match action.clone() {
        Action::Start(assignment, deadline) => engine.start(*assignment, deadline).await,
        Action::Extend(id, epoch, deadline) => engine.extend(id, epoch, deadline).await.map(drop),
        Action::Stop(id, epoch) => engine.stop(id, epoch).await,
        Action::Remove(id) => engine.remove(id).await,
    };
    if let Err(error) = &result {
        let (instance, (action, epoch)) = (action.instance(), action.named());
        let error = error as &dyn std::error::Error;
        tracing::warn!(%instance, epoch, error, "the engine did not {action} it");
    }
    Done { action, end, result }
}

/// Says whether the list is carried out.
fn publish(shared: &Shared, wanted: &Wanted, current: &Statuses, busy: &Busy) {
    let revision = if settled(wanted, current, busy) { wanted.revision } else { 0 };
    shared.settled.send_if_modified(|said| std::mem::replace(said, revision) != revision);
}

/// Whether nothing that is not wanted runs any more, or may start yet: an engine shows what it was told to start only
/// once that is under way, and by then its epoch may be at home elsewhere.
fn settled(wanted: &Wanted, current: &Statuses, busy: &Busy) -> bool {
    let runs = current.iter().filter(|(_, status)| !status.state.is_final());
    let runs = runs.map(|(id, status)| (id, status.epoch));
    let starts = busy.iter().filter_map(|(id, epoch)| Some((id, (*epoch)?)));
    runs.chain(starts).all(|(id, epoch)| {
        wanted.assignments.get(id).is_some_and(|assignment| assignment.epoch == epoch)
    })
}

#[cfg(test)]
mod tests;
