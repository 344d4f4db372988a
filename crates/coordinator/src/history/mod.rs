//! What was decided about each instance, and when: kept by each coordinator for itself, so that "why was it there last
//! night?" has an answer after it has moved. The log keeps the decision of the present place alone.
//!
//! Nothing rests on it. What cannot be written is said in the log and done without, and what a coordinator did not see,
//! because it did not run, is missing in its table.

mod table;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kato_core::{Decision, Instance, InstanceId, Revision, State, Timestamp};
use kato_proto::store::past::{Fate, PastDecision};
use tokio_util::sync::CancellationToken;

use crate::context::Context;

pub(crate) use table::Found;
pub use table::{History, HistoryError};

/// The shortest time between two looks: what is decided and replaced within it may be missing.
const PACE: Duration = Duration::from_millis(100);

/// Keeps what is decided until it is time to stop.
pub(crate) async fn run(context: Context, history: Arc<History>, shutdown: CancellationToken) {
    let mut views = context.mesh.watch();
    let mut known: Option<State> = None;
    loop {
        let state = views.borrow_and_update().state.clone();
        let reader = Arc::clone(&history);
        let before = known.replace(state.clone());
        let kept = tokio::task::spawn_blocking(move || {
            let seen = reader.seen()?;
            let decisions = decided(before.as_ref(), &state, seen);
            reader.keep(&decisions, state.revision)
        });
        match kept.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "a decision is not kept for `explain --at`"),
            Err(error) => tracing::error!(%error, "decisions are not kept any more"),
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
pub(crate) fn decided(before: Option<&State>, after: &State, seen: Revision) -> Vec<PastDecision> {
    let nothing = State::default();
    let before_all = before.unwrap_or(&nothing);
    // By what decided, so that a decision about many instances is kept once.
    let mut decided: BTreeMap<(Timestamp, usize), PastDecision> = BTreeMap::new();
    for (id, old, new) in before_all.changed_instances(after) {
        let Some((at, decision, fate)) = news(old, new, after.time) else { continue };
        let is_known = |epoch: Revision| before.is_none() && epoch <= seen;
        match fate {
            Fate::Placed(_, epoch) if is_known(epoch) => continue,
            // When it was, nobody knows.
            Fate::NotPlaced(_) if before.is_none() && after.revision <= seen => continue,
            _ => {}
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
    let old_epoch = old.and_then(Instance::epoch);
    if let Some(placement) = new.placement.as_ref().filter(|new| Some(new.epoch) != old_epoch) {
        let fate = Fate::Placed(placement.cell.clone(), placement.epoch);
        return Some((placement.placed_at, Some(&placement.decision), fate));
    }
    let unplaceable = new.unplaceable.as_ref()?;
    let is_known =
        |known: &kato_core::Unplaceable| Arc::ptr_eq(&known.decision, &unplaceable.decision);
    if old.and_then(|old| old.unplaceable.as_ref()).is_some_and(is_known) {
        return None;
    }
    Some((now, Some(&unplaceable.decision), Fate::NotPlaced(new.epoch())))
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
