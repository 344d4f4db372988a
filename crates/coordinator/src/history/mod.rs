//! What was decided about each instance, and when: kept by each coordinator for itself, so that "why was it there last
//! night?" has an answer after it has moved. The log keeps the decision of the present place alone.
//!
//! Nothing rests on it. What cannot be written is said in the log and done without, and what a coordinator did not see,
//! because it did not run, is missing in its table.

mod table;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kato_core::{Decision, Instance, InstanceId, Placement, State, Timestamp};
use kato_proto::store::past::{Fate, PastDecision};
use tokio_util::sync::CancellationToken;

use crate::context::Context;

pub(crate) use table::{Found, Seen};
pub use table::{History, HistoryError};

/// The shortest time between two looks: what is decided and replaced within it may be missing.
const PACE: Duration = Duration::from_millis(100);

/// Keeps what is decided until it is time to stop.
pub(crate) async fn run(context: Context, history: Arc<History>, shutdown: CancellationToken) {
    let mut views = context.mesh.watch();
    let mut known: Option<State> = None;
    let mut fails = false;
    loop {
        let state = views.borrow_and_update().state.clone();
        let (table, before, after) = (Arc::clone(&history), known.clone(), state.clone());
        let kept = tokio::task::spawn_blocking(move || {
            // What a coordinator finds when it starts, it may have seen before.
            let seen = if before.is_none() { table.seen()? } else { Seen::default() };
            table.keep(&decided(before.as_ref(), &after, seen), after.revision)
        });
        match kept.await.unwrap_or_else(|error| Err(HistoryError::Broken(error.to_string()))) {
            Ok(()) => (known, fails) = (Some(state), false),
            Err(error) => {
                if !fails {
                    tracing::warn!(%error, "what is decided is not kept for `explain --at`");
                }
                fails = true;
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(PACE) => {}
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            changed = views.changed() => if changed.is_err() { return },
        }
    }
}

/// What was decided from one state to another, in the order of time. Of what was decided before the first state that a
/// coordinator sees when it starts, only what is newer than what it has `seen`.
pub(crate) fn decided(before: Option<&State>, after: &State, seen: Seen) -> Vec<PastDecision> {
    let nothing = State::default();
    let before_all = before.unwrap_or(&nothing);
    // By what decided, so that a decision about many instances is kept once.
    let mut decided: BTreeMap<(Timestamp, usize), PastDecision> = BTreeMap::new();
    for (id, old, new) in before_all.changed_instances(after) {
        let Some((at, decision, fate)) = news(old, new, after.time) else { continue };
        let is_known = match fate {
            Fate::Placed(_, epoch) => epoch <= seen.revision,
            _ => at <= seen.at,
        };
        if before.is_none() && is_known {
            continue;
        }
        let which = decision.as_ref().map_or(0, |decision| Arc::as_ptr(decision).addr());
        let past = decided.entry((at, which)).or_insert_with(|| PastDecision {
            at,
            decision: decision.map(Arc::clone),
            fates: Vec::new(),
        });
        past.fates.push((id.clone(), fate));
    }
    decided.into_values().collect()
}

/// What became of an instance from one state to another, when, and what decided it; none where nothing did.
fn news<'a>(
    old: Option<&Instance>,
    new: Option<&'a Instance>,
    now: Timestamp,
) -> Option<(Timestamp, Option<&'a Arc<Decision>>, Fate)> {
    let Some(new) = new else { return Some((now, None, Fate::Deleted)) };
    let (old_epoch, placement) = (old.and_then(Instance::epoch), new.placement.as_ref());
    let was = old.and_then(|old| old.unplaceable.as_ref());
    let placed = |placement: &'a Placement, at| {
        let fate = Fate::Placed(placement.cell.clone(), placement.epoch);
        Some((at, Some(&placement.decision), fate))
    };
    match (placement, &new.unplaceable) {
        (Some(placement), _) if Some(placement.epoch) != old_epoch => {
            placed(placement, placement.placed_at)
        }
        (_, Some(is)) if was.is_some_and(|was| Arc::ptr_eq(&was.decision, &is.decision)) => None,
        (_, Some(is)) => Some((is.decision.at, Some(&is.decision), Fate::NotPlaced(new.epoch()))),
        // It keeps the place that it had.
        (Some(placement), None) if was.is_some() => placed(placement, now),
        (Some(_), None) => None,
        (None, None) => old_epoch.map(|_| (now, None, Fate::Waits)),
    }
}

/// Reads what became of an instance by a time, without keeping others waiting.
pub(crate) async fn ask(
    history: &Arc<History>,
    id: &InstanceId,
    at: Timestamp,
) -> Result<Found, HistoryError> {
    let (history, id) = (Arc::clone(history), id.clone());
    let found = tokio::task::spawn_blocking(move || history.find(&id, at)).await;
    found.unwrap_or_else(|error| Err(HistoryError::Broken(error.to_string())))
}
