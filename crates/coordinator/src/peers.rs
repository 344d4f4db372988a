//! Kept connections to the other coordinators.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use kato_core::DatacenterName;
use kato_net::{Expect, Role, Timeouts, Transport, channel};
use tonic::transport::Channel;

/// Connects to coordinators by their datacenter.
#[derive(Clone)]
pub(crate) struct Peers {
    transport: Arc<dyn Transport>,
    timeouts: Timeouts,
    known: Arc<Mutex<BTreeMap<DatacenterName, (String, Channel)>>>,
}

impl Peers {
    pub(crate) fn new(transport: Arc<dyn Transport>, timeouts: Timeouts) -> Self {
        Self { transport, timeouts, known: Arc::default() }
    }

    /// A channel to the coordinator of `datacenter` at `address`; the same one as long as it does not move.
    pub(crate) fn channel(&self, datacenter: &DatacenterName, address: &str) -> Channel {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, channel)) = known.get(datacenter)
            && at == address
        {
            return channel.clone();
        }
        let expect = Expect::Role(Role::Coordinator(datacenter.clone()));
        let fresh = channel(Arc::clone(&self.transport), address.to_owned(), expect, self.timeouts);
        known.insert(datacenter.clone(), (address.to_owned(), fresh.clone()));
        fresh
    }
}
