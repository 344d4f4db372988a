//! The network: connections as TCP makes them. What is sent arrives in order, late or not at all, never changed; a cut
//! that heals in time delivers what was sent meanwhile; a connection whose other end has lost its power says nothing.

mod call;
mod io;
mod pipe;
mod transport;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use self::call::Call;
use self::pipe::Pipe;
pub(crate) use self::transport::SimTransport;
use crate::trace::Trace;

/// A machine's number.
pub(crate) type HostId = usize;

/// One direction between two machines.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Link {
    /// How long a message takes at the least.
    pub(crate) delay: Duration,
    /// And how much longer it may take.
    pub(crate) jitter: Duration,
    /// How many of a thousand messages are lost, and sent again a while later.
    pub(crate) loss_permille: u32,
    /// Whether nothing gets through.
    pub(crate) cut: bool,
}

impl Default for Link {
    fn default() -> Self {
        let (delay, jitter) = (Duration::ZERO, Duration::from_millis(2));
        Self { delay, jitter, loss_permille: 0, cut: false }
    }
}

/// The network. Clones share it.
#[derive(Clone)]
pub(crate) struct Network {
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    now: Duration,
    chance: fastrand::Rng,
    trace: Trace,
    hosts: Vec<Host>,
    links: BTreeMap<(HostId, HostId), Link>,
    listeners: BTreeMap<(HostId, u16), Backlog>,
    calls: BTreeMap<u64, Call>,
    pipes: BTreeMap<u64, Pipe>,
    /// The pipes on which something is under way.
    busy: BTreeSet<u64>,
    /// The number of the next call or pipe.
    next: u64,
}

struct Host {
    name: String,
    powered: bool,
}

/// Connections that wait to be accepted.
#[derive(Default)]
struct Backlog {
    waiting: VecDeque<io::End>,
    waker: Option<Waker>,
}

impl Network {
    pub(super) fn new(seed: u64, trace: Trace) -> Self {
        let shared = Shared {
            now: Duration::ZERO,
            chance: fastrand::Rng::with_seed(seed),
            trace,
            hosts: Vec::new(),
            links: BTreeMap::new(),
            listeners: BTreeMap::new(),
            calls: BTreeMap::new(),
            pipes: BTreeMap::new(),
            busy: BTreeSet::new(),
            next: 0,
        };
        Self { shared: Arc::new(Mutex::new(shared)) }
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, name: &str) -> HostId {
        let mut shared = self.shared();
        shared.hosts.push(Host { name: name.to_owned(), powered: false });
        shared.hosts.len() - 1
    }

    /// A machine without power answers nothing, and forgets its connections.
    pub(super) fn power(&self, host: HostId, powered: bool) {
        self.shared().hosts[host].powered = powered;
    }

    /// Changes the link from one machine to another.
    pub(crate) fn link(&self, from: HostId, to: HostId, change: impl FnOnce(&mut Link)) {
        let mut shared = self.shared();
        let link = shared.links.entry((from, to)).or_default();
        let was_cut = link.cut;
        change(link);
        if link.cut && !was_cut {
            shared.lose_what_is_under_way(from, to);
        }
    }

    /// Delivers what has arrived by `now`.
    pub(super) fn step(&self, now: Duration) {
        let mut shared = self.shared();
        shared.now = now;
        shared.step_calls();
        shared.step_pipes();
    }
}

impl Shared {
    fn link(&self, from: HostId, to: HostId) -> Link {
        self.links.get(&(from, to)).copied().unwrap_or_default()
    }

    /// Whether messages get from one machine to another.
    fn open(&self, from: HostId, to: HostId) -> bool {
        from == to
            || (!self.link(from, to).cut && self.hosts[from].powered && self.hosts[to].powered)
    }

    /// When a message that is sent now arrives; none if it is lost.
    fn arrival(&mut self, from: HostId, to: HostId) -> Option<Duration> {
        let link = self.link(from, to);
        if !self.open(from, to) || self.chance.u32(..1_000) < link.loss_permille {
            return None;
        }
        let jitter_us = u64::try_from(link.jitter.as_micros()).unwrap_or(u64::MAX);
        Some(self.now + link.delay + Duration::from_micros(self.chance.u64(..=jitter_us)))
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}
