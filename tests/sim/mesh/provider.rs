//! A seller of machines as they are: its lists lag, what it was asked for may come after it seemed to have failed, and
//! what it says it may say twice.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kato_net::clock::Clock as _;
use kato_provision::{BoxFuture, Create, Provided, Provider, ProviderError};

use tokio::sync::oneshot;

use crate::trace::Trace;
use crate::world::MachineClock;

/// How long a machine takes until it is there, at the most.
const BOOT_MS: u64 = 8_000;
/// How long the list does not show it after that, at the most.
const LAG_MS: u64 = 5_000;
/// How long a request is under way.
const ANSWER_MS: std::ops::Range<u64> = 10..500;

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
    /// Requests under way. They arrive even if who sent them has died meanwhile.
    requests: Vec<Request>,
}

struct Request {
    /// When it is carried out and answered.
    due: Duration,
    asked: Asked,
    fault: Option<Fault>,
}

enum Asked {
    Create(Create, oneshot::Sender<Result<(), ProviderError>>),
    List(oneshot::Sender<Result<Vec<Provided>, ProviderError>>),
}

/// What goes wrong with a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// It is never carried out.
    Dropped,
    /// It is carried out, and who sent it is told that it failed.
    Unanswered,
}

impl From<Fault> for ProviderError {
    fn from(fault: Fault) -> Self {
        let told = match fault {
            Fault::Dropped => "it answers nothing",
            Fault::Unanswered => "its answer was lost",
        };
        Self::Unavailable(told.to_owned())
    }
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
        let state = State { chance, faults_percent: 0, sold: Vec::new(), requests: Vec::new() };
        Self { datacenter: datacenter.into(), clock, trace, state: Arc::new(Mutex::new(state)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes calls fail, or none any more.
    pub(crate) fn fail(&self, percent: u32) {
        self.state().faults_percent = percent;
    }

    /// Carries out what is due, and returns the machines that are due to run and do not yet.
    pub(crate) fn step(&self) -> Vec<Create> {
        let now = self.clock.boot();
        let mut state = self.state();
        let (due, waiting) =
            std::mem::take(&mut state.requests).into_iter().partition(|sent| sent.due <= now);
        state.requests = waiting;
        for request in due {
            self.carry_out(&mut state, request, now);
        }
        let boots = state.sold.iter_mut().filter(|sold| !sold.made && sold.boots <= now);
        boots
            .map(|sold| {
                sold.made = true;
                sold.wanted.clone()
            })
            .collect()
    }

    /// Who asked may have died: an answer that nobody takes is lost.
    fn carry_out(&self, state: &mut State, request: Request, now: Duration) {
        match request.asked {
            Asked::Create(wanted, answer) => {
                if request.fault != Some(Fault::Dropped) {
                    self.sell(state, &wanted, now);
                    // The same request, delivered once more.
                    self.sell(state, &wanted, now);
                }
                let _lost = answer.send(request.fault.map_or(Ok(()), |fault| Err(fault.into())));
            }
            Asked::List(answer) => {
                let listed =
                    request.fault.map_or_else(|| Ok(state.list(now)), |fault| Err(fault.into()));
                let _lost = answer.send(listed);
            }
        }
    }

    fn sell(&self, state: &mut State, wanted: &Create, now: Duration) {
        if state.sold.iter().any(|sold| sold.wanted.token == wanted.token) {
            return;
        }
        let boots = now + Duration::from_millis(state.chance.u64(..BOOT_MS));
        let listed = now + Duration::from_millis(state.chance.u64(..LAG_MS));
        self.trace.note(&self.datacenter, format_args!("is sold a machine for {}", wanted.token));
        state.sold.push(Sold { wanted: wanted.clone(), boots, listed, made: false });
    }

    /// Sends a request.
    fn ask(&self, asked: Asked) {
        let now = self.clock.boot();
        let mut state = self.state();
        let faults = state.faults_percent;
        let fails = state.chance.u32(..100) < faults;
        let fault = if state.chance.bool() { Fault::Dropped } else { Fault::Unanswered };
        let due = now + Duration::from_millis(state.chance.u64(ANSWER_MS));
        state.requests.push(Request { due, asked, fault: fails.then_some(fault) });
    }
}

impl State {
    fn list(&self, now: Duration) -> Vec<Provided> {
        let listed = self.sold.iter().filter(|sold| sold.listed <= now);
        let provided = listed.map(|sold| Provided {
            token: sold.wanted.token,
            machine: sold.wanted.machine.clone(),
        });
        let mut provided: Vec<Provided> = provided.collect();
        // An answer may repeat itself.
        provided.extend(provided.last().cloned());
        provided
    }
}

/// What whoever waits is told when the world ends before the answer.
fn ended(_: oneshot::error::RecvError) -> ProviderError {
    ProviderError::Unavailable("it is no more".to_owned())
}

impl Provider for SimProvider {
    fn name(&self) -> &'static str {
        "simulated"
    }

    fn create(&self, wanted: Create) -> BoxFuture<'_, Result<(), ProviderError>> {
        let (sender, answer) = oneshot::channel();
        self.ask(Asked::Create(wanted, sender));
        Box::pin(async { answer.await.map_err(ended)? })
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<Provided>, ProviderError>> {
        let (sender, answer) = oneshot::channel();
        self.ask(Asked::List(sender));
        Box::pin(async { answer.await.map_err(ended)? })
    }
}
