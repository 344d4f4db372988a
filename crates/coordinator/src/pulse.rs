//! How old the local state may be: once a second the coordinator makes sure that it is up to date, and remembers when
//! it did.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kato_net::clock::Clock;
use kato_raft::Mesh;
use tokio_util::sync::CancellationToken;

use crate::timing::Patience;

/// Between two looks.
const PERIOD: Duration = Duration::from_secs(1);

/// The last time at which the local state was known to be up to date. Clones share it.
#[derive(Clone)]
pub(crate) struct Pulse {
    clock: Arc<dyn Clock>,
    /// Milliseconds on the boot clock; 0 before the first time.
    confirmed_ms: Arc<AtomicU64>,
}

impl Pulse {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, confirmed_ms: Arc::default() }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.clock.boot().as_millis()).unwrap_or(u64::MAX)
    }

    fn was_felt(&self) -> bool {
        self.confirmed_ms.load(Ordering::Relaxed) > 0
    }

    /// How old the local state may be.
    pub(crate) fn age(&self) -> Duration {
        Duration::from_millis(self.age_ms())
    }

    /// How old the local state may be, in milliseconds.
    pub(crate) fn age_ms(&self) -> u64 {
        self.now_ms().saturating_sub(self.confirmed_ms.load(Ordering::Relaxed))
    }

    /// Keeps the pulse until it is time to stop. Says when it is missed for longer than a change of leaders may take, and
    /// when it is felt again.
    pub(crate) async fn run(self, mesh: Mesh, shutdown: CancellationToken) {
        let mut missed = false;
        loop {
            let (asked, silence) = (self.now_ms(), Patience::from(mesh.timing()).silence);
            let Some(read) = shutdown.run_until_cancelled(mesh.read(silence)).await else { return };
            match read {
                Ok(_) => {
                    self.confirmed_ms.store(asked, Ordering::Relaxed);
                    if std::mem::take(&mut missed) {
                        tracing::info!("a majority of coordinators answers again");
                    }
                }
                // One that never felt it is still waiting for the others to start.
                Err(error) if !missed && self.was_felt() && self.age() > silence => {
                    tracing::warn!(%error, "no majority of coordinators answers");
                    missed = true;
                }
                Err(_) => {}
            }
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(PERIOD) => {}
            }
        }
    }
}
