//! Bounds what the log takes in memory. Snapshots are due by the number of entries, but entries differ by a
//! factor of ten thousand in size, and all of them are kept in memory until a snapshot holds them.

use openraft_rt::WatchReceiver as _;

use crate::Error;
use crate::store::LogStore;
use crate::types::Raft;

/// How much of the log is kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retention {
    /// A log that takes more gets a snapshot, whatever the number of its entries.
    pub(crate) bytes_max: usize,
    /// What is kept behind that snapshot, for members that were away for a moment.
    pub(crate) bytes_kept: usize,
}

impl Retention {
    /// 64 entries of the largest size at least.
    pub(crate) const DEFAULT: Self =
        Self { bytes_max: 64 * 1024 * 1024, bytes_kept: 16 * 1024 * 1024 };

    /// Watches the log for as long as openraft runs.
    pub(crate) async fn enforce(self, raft: Raft, log: LogStore) -> Result<(), Error> {
        let stopped = |error: &dyn std::fmt::Display| Error::Stopped(error.to_string());
        let mut metrics = raft.metrics();
        // The entries that the last snapshot and the last purge asked for here were to cover.
        let (mut asked, mut purged) = (None, None);
        loop {
            let (applied, covered) = {
                let metrics = metrics.borrow_and_update();
                let index = |id: &crate::types::LogId| id.index;
                (metrics.last_applied.as_ref().map(index), metrics.snapshot.as_ref().map(index))
            };
            if log.bytes() > self.bytes_max {
                let kept = log.tail_within(self.bytes_kept);
                let upto = kept.and_then(|first| first.checked_sub(1)).or(applied);
                if covered >= upto {
                    if purged < upto
                        && let Some(upto) = upto
                    {
                        purged = Some(upto);
                        let purge = raft.trigger().purge_log(upto).await;
                        purge.map_err(|error| stopped(&error))?;
                    }
                } else if applied >= upto && asked <= covered {
                    asked = applied;
                    raft.trigger().snapshot().await.map_err(|error| stopped(&error))?;
                }
            }
            if metrics.changed().await.is_err() {
                return Ok(());
            }
        }
    }
}
