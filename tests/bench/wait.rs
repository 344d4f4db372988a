//! Waiting for others: always for something, and never for ever.

use std::time::Duration;

use anyhow::Context as _;
use tokio::time::MissedTickBehavior;

/// Between two looks, where nobody measures how long it takes.
const PACE: Duration = Duration::from_millis(50);
/// How long anything may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// Waits until `holds` says so.
pub(crate) async fn until(
    what: &'static str,
    mut holds: impl AsyncFnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    answer(what, PACE, async || holds().await.map(|holds| holds.then_some(())).transpose()).await?
}

/// Asks at this pace until there is an answer.
pub(crate) async fn answer<T>(
    what: &'static str,
    pace: Duration,
    mut ask: impl AsyncFnMut() -> Option<T>,
) -> anyhow::Result<T> {
    let mut look = tokio::time::interval(pace);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let asking = async {
        loop {
            look.tick().await;
            if let Some(answer) = ask().await {
                return answer;
            }
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.context(what)
}
