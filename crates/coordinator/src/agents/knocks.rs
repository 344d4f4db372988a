//! Agents of other datacenters that have lost the coordinator that serves them, and ask here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kato_core::DatacenterName;

/// For how long a knock is heard: agents that are not served knock again before that.
const HEARD_FOR: Duration = Duration::from_secs(30);

/// When an agent of each datacenter last knocked. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Knocks {
    last: Arc<Mutex<BTreeMap<DatacenterName, Duration>>>,
}

impl Knocks {
    fn last(&self) -> MutexGuard<'_, BTreeMap<DatacenterName, Duration>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An agent of a datacenter has knocked.
    pub(super) fn note(&self, datacenter: DatacenterName, now: Duration) {
        self.last().insert(datacenter, now);
    }

    /// The datacenters whose agents have lately knocked.
    pub(crate) fn lately(&self, now: Duration) -> BTreeSet<DatacenterName> {
        let mut last = self.last();
        last.retain(|_, at| now.saturating_sub(*at) <= HEARD_FOR);
        last.keys().cloned().collect()
    }
}
