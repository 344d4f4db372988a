//! The machine's lease: asked for with a nonce whose time is noted before it is sent, and counted from that time when
//! the grant comes, however long it took.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kato_core::InstanceId;
use kato_proto::mesh_v1 as pb;
use tokio::sync::watch;

/// Requests whose grant may still come.
const PENDING_MAX: usize = 64;

/// A singleton's right to run: until when, on the boot clock.
pub(super) type Deadlines = BTreeMap<(InstanceId, u64), Duration>;

/// What was granted. Clones share it.
#[derive(Clone)]
pub(super) struct Grants {
    deadlines: Arc<watch::Sender<Deadlines>>,
    pending: Arc<Mutex<Pending>>,
    /// How long the last one held.
    lease: Arc<watch::Sender<Option<Duration>>>,
}

struct Pending {
    last: u64,
    sent: BTreeMap<u64, Duration>,
}

impl Grants {
    /// Nothing granted yet, to this start of the agent. Its nonces are no other start's: a grant that was on its way
    /// to the one before would otherwise answer a later request, and hold for too long.
    pub(super) fn new(incarnation: u64) -> Self {
        let pending = Pending { last: incarnation << 32, sent: BTreeMap::new() };
        let deadlines = Arc::new(watch::Sender::default());
        Self { deadlines, pending: Arc::new(Mutex::new(pending)), lease: Arc::default() }
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new request, sent no earlier than `now`.
    pub(super) fn request(&self, now: Duration) -> pb::LeaseRequest {
        let mut pending = self.pending();
        pending.last += 1;
        let nonce = pending.last;
        pending.sent.insert(nonce, now);
        while pending.sent.len() > PENDING_MAX {
            pending.sent.pop_first();
        }
        pb::LeaseRequest { nonce }
    }

    /// Takes a grant in. One that answers no request of ours is worth nothing. What is not in the newest grant
    /// keeps the deadline that it has, and is not extended.
    pub(super) fn take(&self, grant: &pb::LeaseGrant) {
        let sent = {
            let mut pending = self.pending();
            let Some(sent) = pending.sent.remove(&grant.nonce) else { return };
            // Older requests would give earlier deadlines.
            pending.sent.retain(|nonce, _| *nonce > grant.nonce);
            sent
        };
        let lease = Duration::from_millis(grant.lease_ms);
        let deadline = sent + lease;
        self.lease.send_replace(Some(lease));
        let granted = grant.singletons.iter().filter_map(|singleton| {
            let instance: InstanceId = singleton.instance.parse().ok()?;
            Some(((instance, singleton.epoch), deadline))
        });
        self.deadlines.send_replace(granted.collect());
    }

    /// Follows how long each grant holds: a new value for every grant.
    pub(super) fn leases(&self) -> watch::Receiver<Option<Duration>> {
        self.lease.subscribe()
    }

    /// Follows the grants.
    pub(super) fn watch(&self) -> watch::Receiver<Deadlines> {
        self.deadlines.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(nonce: u64) -> pb::LeaseGrant {
        let singletons = vec![pb::Singleton { instance: "db@1".to_owned(), epoch: 7 }];
        pb::LeaseGrant { nonce, lease_ms: 6_000, singletons }
    }

    #[test]
    fn a_lease_counts_from_the_request_and_answers_one_of_ours() {
        let grants = Grants::new(1);
        let request = grants.request(Duration::from_secs(10));
        grants.take(&grant(request.nonce + 1));
        assert!(grants.watch().borrow().is_empty());
        grants.take(&grant(request.nonce));
        let key = ("db@1".parse().unwrap(), 7);
        assert_eq!(grants.watch().borrow().get(&key), Some(&Duration::from_secs(16)));
        // The same grant again, or one for an older request, moves nothing.
        grants.take(&grant(request.nonce));
        assert_eq!(grants.watch().borrow().get(&key), Some(&Duration::from_secs(16)));
    }

    #[test]
    fn a_grant_to_an_earlier_start_is_worth_nothing() {
        let earlier = Grants::new(7).request(Duration::ZERO);
        let grants = Grants::new(8);
        assert_ne!(grants.request(Duration::from_secs(9)).nonce, earlier.nonce);
        let instance = pb::Singleton { instance: "db@1".to_owned(), epoch: 1 };
        let late =
            pb::LeaseGrant { nonce: earlier.nonce, lease_ms: 1_000, singletons: vec![instance] };
        grants.take(&late);
        assert!(grants.watch().borrow().is_empty());
    }
}
