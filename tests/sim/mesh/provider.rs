//! A seller of machines as they are: its lists lag, what it was asked for may come after it seemed to have failed, and
//! what it says it may say twice.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kato_net::clock::Clock as _;
use kato_provision::{BoxFuture, Create, Provided, Provider, ProviderError};

use crate::trace::Trace;
use crate::world::MachineClock;

/// How long a machine takes until it is there, at the most.
const BOOT_MS: u64 = 8_000;
/// How long the list does not show it after that, at the most.
const LAG_MS: u64 = 5_000;

/// The provider of one datacenter. It outlives the coordinator. Clones share it.
#[derive(Clone)]
pub(crate) struct SimProvider {
    datacenter: Arc<str>,
    clock: MachineClock,
    trace: Trace,
    state: Arc<Mutex<State>>,
}

struct State {
    chance: fastrand::Rng,
    /// How many of a hundred calls go wrong.
    faults_percent: u32,
    sold: Vec<Sold>,
}

/// A machine that was asked for.
struct Sold {
    wanted: Create,
    /// When it runs, and when the list shows it.
    boots: Duration,
    listed: Duration,
    /// Whether it was made.
    made: bool,
}

impl SimProvider {
    pub(crate) fn new(datacenter: &str, clock: MachineClock, seed: u64, trace: Trace) -> Self {
        let chance = fastrand::Rng::with_seed(seed);
        let state = State { chance, faults_percent: 0, sold: Vec::new() };
        Self { datacenter: datacenter.into(), clock, trace, state: Arc::new(Mutex::new(state)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes calls fail, or none any more.
    pub(crate) fn fail(&self, percent: u32) {
        self.state().faults_percent = percent;
    }

    /// The machines that are due to run and do not yet.
    pub(crate) fn due(&self) -> Vec<Create> {
        let now = self.clock.boot();
        let mut state = self.state();
        let due = state.sold.iter_mut().filter(|sold| !sold.made && sold.boots <= now);
        due.map(|sold| {
            sold.made = true;
            sold.wanted.clone()
        })
        .collect()
    }

    fn sell(&self, wanted: Create) {
        let now = self.clock.boot();
        let mut state = self.state();
        if state.sold.iter().any(|sold| sold.wanted.token == wanted.token) {
            return;
        }
        let boots = now + Duration::from_millis(state.chance.u64(..BOOT_MS));
        let listed = now + Duration::from_millis(state.chance.u64(..LAG_MS));
        self.trace.note(&self.datacenter, format_args!("is sold a machine for {}", wanted.token));
        state.sold.push(Sold { wanted, boots, listed, made: false });
    }
}

impl Provider for SimProvider {
    fn name(&self) -> &'static str {
        "simulated"
    }

    fn create(&self, wanted: Create) -> BoxFuture<'_, Result<(), ProviderError>> {
        Box::pin(async move {
            let (takes, fails, lands) = {
                let mut state = self.state();
                let faults = state.faults_percent;
                let fails = state.chance.u32(..100) < faults;
                (state.chance.u64(10..500), fails, state.chance.bool())
            };
            tokio::time::sleep(Duration::from_millis(takes)).await;
            if fails && !lands {
                return Err(ProviderError::Unavailable("it answers nothing".to_owned()));
            }
            self.sell(wanted.clone());
            // The same request, delivered once more.
            self.sell(wanted);
            if fails {
                return Err(ProviderError::Unavailable("its answer was lost".to_owned()));
            }
            Ok(())
        })
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<Provided>, ProviderError>> {
        Box::pin(async move {
            let (takes, fails) = {
                let mut state = self.state();
                let faults = state.faults_percent;
                (state.chance.u64(10..500), state.chance.u32(..100) < faults)
            };
            tokio::time::sleep(Duration::from_millis(takes)).await;
            if fails {
                return Err(ProviderError::Unavailable("it answers nothing".to_owned()));
            }
            let now = self.clock.boot();
            let state = self.state();
            let listed = state.sold.iter().filter(|sold| sold.listed <= now);
            let provided = listed.map(|sold| Provided {
                token: sold.wanted.token,
                machine: sold.wanted.machine.clone(),
            });
            let mut provided: Vec<Provided> = provided.collect();
            // An answer may repeat itself.
            provided.extend(provided.last().cloned());
            Ok(provided)
        })
    }
}
