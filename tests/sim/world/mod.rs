//! A world in one thread: machines with a clock each, a network between them, and time that passes when it is told
//! to. Every process has a tokio runtime of its own, so that it can be killed, frozen, or run fast or slow, as a
//! whole and without its knowledge.

mod clock;
mod network;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::runtime::{Builder, RngSeed, Runtime};
use tokio::task::JoinHandle;

pub(crate) use self::clock::MachineClock;
pub(crate) use self::network::{HostId, Network, SimTransport};
use crate::trace::Trace;

/// How far every process runs before the next one has its turn. No message is faster.
pub(crate) const TICK: Duration = Duration::from_millis(5);

/// What a process does, from its start to its end.
pub(crate) type Software = Box<dyn Fn() -> BoxFuture<'static, Result<(), String>>>;

/// How a process ends that was not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Death {
    /// It alone: the kernel closes its connections.
    Killed,
    /// Its machine with it: nobody hears anything.
    PowerCut,
}

/// All machines. Each runs one process.
pub(crate) struct World {
    now: Duration,
    hosts: Vec<Host>,
    network: Network,
    chance: fastrand::Rng,
    trace: Trace,
}

struct Host {
    name: Arc<str>,
    clock: MachineClock,
    software: Software,
    process: Option<Process>,
    frozen: bool,
}

struct Process {
    runtime: Runtime,
    main: JoinHandle<Result<(), String>>,
    /// How far it has run, by its machine's clock.
    ran: Duration,
}

impl World {
    /// An empty one.
    pub(crate) fn new(seed: u64, trace: Trace) -> Self {
        let mut chance = fastrand::Rng::with_seed(seed);
        let network = Network::new(chance.u64(..), trace.clone());
        Self { now: Duration::ZERO, hosts: Vec::new(), network, chance, trace }
    }

    /// The true time since the beginning.
    pub(crate) fn now(&self) -> Duration {
        self.now
    }

    pub(crate) fn network(&self) -> &Network {
        &self.network
    }

    /// Adds a machine, whose clock runs `rate_ppm` too fast and shows a time of day that is ahead. It is off.
    pub(crate) fn add(
        &mut self,
        name: &str,
        rate_ppm: i64,
        ahead_ms: i64,
    ) -> (HostId, MachineClock) {
        let clock = MachineClock::new(rate_ppm, ahead_ms);
        let software: Software = Box::new(|| Box::pin(async { Ok(()) }));
        let id = self.network.add(name);
        let host = Host {
            name: name.into(),
            clock: clock.clone(),
            software,
            process: None,
            frozen: false,
        };
        self.hosts.push(host);
        (id, clock)
    }

    /// Says what a machine runs.
    pub(crate) fn install(&mut self, id: HostId, software: Software) {
        self.hosts[id].software = software;
    }

    /// Starts a machine's process, if it does not run.
    pub(crate) fn start(&mut self, id: HostId) {
        let seed = self.chance.u64(..);
        let host = &mut self.hosts[id];
        if host.process.is_some() {
            return;
        }
        self.trace.note(&host.name, "starts");
        self.trace.turn(&host.name);
        self.network.power(id, true);
        host.frozen = false;
        host.start(seed);
    }

    /// Ends a machine's process without asking it.
    pub(crate) fn end(&mut self, id: HostId, death: Death) {
        let host = &mut self.hosts[id];
        self.trace.note(&host.name, format_args!("is ended: {death:?}"));
        if death == Death::PowerCut {
            self.network.power(id, false);
        }
        // Dropping the runtime drops every task of it, and every connection.
        host.process = None;
    }

    /// Stops a process where it stands, or lets it go on. Its clock runs on, and its kernel answers for it.
    pub(crate) fn freeze(&mut self, id: HostId, frozen: bool) {
        let host = &mut self.hosts[id];
        if host.frozen != frozen {
            self.trace.note(&host.name, if frozen { "freezes" } else { "thaws" });
        }
        host.frozen = frozen;
    }

    pub(crate) fn clock(&self, id: HostId) -> MachineClock {
        self.hosts[id].clock.clone()
    }

    pub(crate) fn name(&self, id: HostId) -> &str {
        &self.hosts[id].name
    }

    /// One tick. Returns the processes that ended by themselves, and how.
    pub(crate) fn step(&mut self) -> Vec<(HostId, Result<(), String>)> {
        self.trace.set(self.now);
        self.network.step(self.now);
        let mut ended = Vec::new();
        for (id, host) in self.hosts.iter_mut().enumerate() {
            host.clock.pass(TICK);
            self.trace.turn(&host.name);
            if let Some(outcome) = host.run() {
                self.trace.note(&host.name, format_args!("ends: {outcome:?}"));
                host.process = None;
                ended.push((id, outcome));
            }
        }
        self.now += TICK;
        ended
    }
}

impl Host {
    fn start(&mut self, seed: u64) {
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .rng_seed(RngSeed::from_bytes(&seed.to_le_bytes()))
            .build()
            .expect("a runtime without I/O needs nothing of the system");
        runtime.block_on(async {
            // From here on the runtime's time is a whole number of milliseconds from its beginning.
            tokio::time::advance(Duration::from_millis(1)).await;
            self.clock.start(tokio::time::Instant::now());
        });
        let ran = self.clock.elapsed();
        let main = runtime.spawn((self.software)());
        self.process = Some(Process { runtime, main, ran });
    }

    /// Runs the process up to its machine's present time; says how it ended, if it did.
    fn run(&mut self) -> Option<Result<(), String>> {
        let process = self.process.as_mut().filter(|_| !self.frozen)?;
        let now = self.clock.elapsed();
        let until = self.clock.instant(now)?;
        let behind = now.saturating_sub(process.ran);
        process.runtime.block_on(async {
            if behind > TICK * 2 {
                // It was frozen: it wakes at a time at which all its timers are late.
                tokio::time::advance(behind.saturating_sub(TICK)).await;
            }
            tokio::time::sleep_until(until).await;
        });
        process.ran = now;
        if !process.main.is_finished() {
            return None;
        }
        let outcome = process.runtime.block_on(&mut process.main);
        Some(outcome.unwrap_or_else(|error| Err(error.to_string())))
    }
}
