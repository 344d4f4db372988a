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
    known: Arc<Mutex<BTreeMap<DatacenterName, Known>>>,
}

/// A connection, and what it was made for.
struct Known {
    address: String,
    timeouts: Timeouts,
    channel: Channel,
}

impl Peers {
    pub(crate) fn new(transport: Arc<dyn Transport>) -> Self {
        Self { transport, known: Arc::default() }
    }

    /// A channel to the coordinator of `datacenter` at `address`; the same one as long as nothing of that changes.
    pub(crate) fn channel(
        &self,
        datacenter: &DatacenterName,
        address: &str,
        timeouts: Timeouts,
    ) -> Channel {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get(datacenter)
            && known.address == address
            && known.timeouts == timeouts
        {
            return known.channel.clone();
        }
        let expect = Expect::Role(Role::Coordinator(datacenter.clone()));
        let transport = Arc::clone(&self.transport);
        let channel = channel(transport, address.to_owned(), expect, timeouts);
        let fresh = Known { address: address.to_owned(), timeouts, channel: channel.clone() };
        known.insert(datacenter.clone(), fresh);
        channel
    }
}
