//! Waiting for others: always for something, and never for ever.

use std::time::Duration;

use anyhow::Context as _;

/// Between two looks.
const PACE: Duration = Duration::from_millis(50);
/// How long anything may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// Waits until `holds` says so.
pub(crate) async fn until(
    what: &'static str,
    mut holds: impl AsyncFnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let mut look = tokio::time::interval(PACE);
    let looking = async {
        while !holds().await? {
            look.tick().await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, looking).await.context(what)?
}
