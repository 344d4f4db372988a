//! How old the local state may be: once a second the coordinator makes sure that it is up to date, and remembers when
//! it did.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kato_core::Timestamp;
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
    /// When this coordinator began, on the boot clock.
    began: Duration,
    /// Milliseconds on the boot clock; 0 before the first time.
    confirmed_ms: Arc<AtomicU64>,
}

impl Pulse {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { began: clock.boot(), clock, confirmed_ms: Arc::default() }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.clock.boot().as_millis()).unwrap_or(u64::MAX)
    }

    fn was_felt(&self) -> bool {
        self.confirmed_ms.load(Ordering::Relaxed) > 0
    }

    /// How long ago it was felt last.
    pub(crate) fn age(&self) -> Duration {
        let now = self.now_ms();
        Duration::from_millis(now.saturating_sub(self.confirmed_ms.load(Ordering::Relaxed)))
    }

    /// Whether the local state was known to be up to date within this time.
    pub(crate) fn was_felt_within(&self, time: Duration) -> bool {
        self.was_felt() && self.age() <= time
    }

    /// How old the local state may be, whose last change was committed at `changed`. A coordinator that has heard
    /// nobody since it began may have been off for days: all that it can say is when that change was.
    pub(crate) fn age_of(&self, changed: Timestamp) -> Duration {
        if self.was_felt() {
            return self.age();
        }
        let running = self.clock.boot().saturating_sub(self.began);
        match changed {
            Timestamp(0) => running,
            changed => running.max(self.clock.wall().since(changed)),
        }
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// The boot clock and the time of day, in seconds.
    struct Set(Mutex<(u64, u64)>);

    impl Clock for Set {
        fn boot(&self) -> Duration {
            Duration::from_secs(self.0.lock().unwrap().0)
        }

        fn wall(&self) -> Timestamp {
            Timestamp(self.0.lock().unwrap().1 * 1_000)
        }
    }

    #[test]
    fn an_age_counts_from_the_last_confirmation_and_without_one_from_the_last_change() {
        let clock = Arc::new(Set(Mutex::new((50, 1_000_000))));
        let pulse = Pulse::new(clock.clone());
        let set = |boot, wall| *clock.0.lock().unwrap() = (boot, wall);
        let age = |changed: u64| pulse.age_of(Timestamp(changed * 1_000)).as_secs();
        set(53, 1_000_003);
        assert_eq!(age(900_000), 100_003, "the machine was off since then, for all it knows");
        assert_eq!(age(1_000_009), 3, "its clock of day is behind the leader's");
        assert_eq!(age(0), 3, "nothing is known that could be old");
        assert!(!pulse.was_felt_within(Duration::from_secs(3)), "nobody was heard");
        pulse.confirmed_ms.store(53_000, Ordering::Relaxed);
        set(53, 1_000_003);
        assert_eq!(age(900_000), 0);
        set(60, 2_000_000);
        assert_eq!(age(900_000), 7, "cut off, it grows with the boot clock");
        assert!(pulse.was_felt_within(Duration::from_secs(7)));
        assert!(!pulse.was_felt_within(Duration::from_secs(6)));
    }
}
