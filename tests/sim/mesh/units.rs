//! What a simulated machine runs. As in the sandbox, an instance and its guard outlive the agent: they belong to the
//! machine, and only its power ends them all.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use kato_agent::sandbox::verdict::{End, Known, Verdict, verdict};
use kato_agent::shim::KILL_MARGIN;
use kato_core::InstanceId;
use kato_net::clock::Clock as _;
use kato_units::engine::{
    Assignment, BoxFuture, BoxStream, Error, InstanceStatus, LogLine, RunState, Statuses,
    UnitEngine,
};
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;

use crate::trace::Trace;
use crate::world::MachineClock;

/// How long a start takes at the most until its processes are there, and a stop until they are gone; milliseconds.
const START_MS: u64 = 300;
const STOP_MS: u64 = 4_000;

/// The instances of one machine, and the engine that its agent sees. Clones share it.
#[derive(Clone)]
pub(crate) struct Units {
    machine: Arc<str>,
    clock: MachineClock,
    trace: Trace,
    state: Arc<Mutex<State>>,
    statuses: watch::Sender<Statuses>,
}

struct State {
    chance: fastrand::Rng,
    units: BTreeMap<InstanceId, Unit>,
    /// The newest that was ever told to stop, of each.
    stopped: BTreeMap<InstanceId, (u64, u64)>,
    /// Copies that have ended and were not asked about yet.
    ended: Vec<(InstanceId, Copy, End)>,
    /// Whether a copy has begun or ended since somebody asked.
    changed: bool,
}

struct Unit {
    assignment: Assignment,
    status: InstanceStatus,
    /// Why nothing of it runs any more.
    end: Option<End>,
    deadline: Option<Duration>,
    /// When its processes will be there, until they are; on the machine's clock.
    begins: Option<Duration>,
    /// When nothing of it will run any more, and why; on the machine's clock.
    ending: Option<(Duration, End)>,
}

/// One running copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Copy {
    pub(crate) epoch: u64,
    pub(crate) singleton: bool,
}

impl Unit {
    fn copy(&self) -> Copy {
        Copy { epoch: self.assignment.epoch, singleton: self.assignment.singleton }
    }

    /// Whether its guard lives.
    fn guarded(&self) -> bool {
        self.end.is_none()
    }

    /// Whether its processes do.
    fn runs(&self) -> bool {
        self.guarded() && self.begins.is_none()
    }

    /// What becomes of it at `now`, other than its end.
    fn turn(&mut self, now: Duration, chance: &mut fastrand::Rng) -> bool {
        let fencing = self.ending.is_some_and(|(_, end)| end == End::Fenced);
        let late = self.deadline.is_some_and(|deadline| now + KILL_MARGIN >= deadline);
        if late && !fencing {
            // The kernel takes its time, but the margin covers it. What was not yet there is not begun.
            let takes = KILL_MARGIN.mul_f64(chance.f64() * 0.9);
            self.ending = Some((now + takes, End::Fenced));
        }
        let begins = self.begins.is_some_and(|at| at <= now) && self.ending.is_none();
        if begins {
            self.begins = None;
            self.status.state = RunState::Running;
        }
        begins
    }
}

impl Units {
    pub(crate) fn new(machine: &str, clock: MachineClock, seed: u64, trace: Trace) -> Self {
        let chance = fastrand::Rng::with_seed(seed);
        let (units, stopped) = (BTreeMap::new(), BTreeMap::new());
        let state = State { chance, units, stopped, ended: Vec::new(), changed: false };
        Self {
            machine: machine.into(),
            clock,
            trace,
            state: Arc::new(Mutex::new(state)),
            statuses: watch::Sender::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What runs, by instance.
    pub(crate) fn running(&self) -> BTreeMap<InstanceId, Copy> {
        let state = self.state();
        let running = state.units.iter().filter(|(_, unit)| unit.runs());
        running.map(|(id, unit)| (id.clone(), unit.copy())).collect()
    }

    /// Whether a copy has begun or ended since this was last asked, and those that have ended.
    pub(crate) fn changes(&self) -> Option<Vec<(InstanceId, Copy, End)>> {
        let mut state = self.state();
        let ended = std::mem::take(&mut state.ended);
        std::mem::take(&mut state.changed).then_some(ended)
    }

    /// The machine has lost its power.
    pub(crate) fn cut_power(&self) {
        let mut state = self.state();
        let ids: Vec<InstanceId> = state.units.keys().cloned().collect();
        for id in ids {
            self.finish(&mut state, &id, End::Lost);
        }
        self.publish(&state);
    }

    /// The guards and the processes do what is due.
    pub(crate) fn step(&self) {
        let now = self.clock.boot();
        let mut state = self.state();
        let State { chance, units, .. } = &mut *state;
        let (mut begun, mut over) = (Vec::new(), Vec::new());
        for (id, unit) in units.iter_mut().filter(|(_, unit)| unit.guarded()) {
            if unit.turn(now, chance) {
                begun.push((id.clone(), unit.assignment.epoch));
            }
            if let Some((_, end)) = unit.ending.filter(|(at, _)| *at <= now) {
                over.push((id.clone(), end));
            }
        }
        for (id, epoch) in &begun {
            state.changed = true;
            self.trace.note(&self.machine, format_args!("{id} of epoch {epoch} starts"));
        }
        for (id, end) in &over {
            self.finish(&mut state, id, *end);
        }
        if !(begun.is_empty() && over.is_empty()) {
            self.publish(&state);
        }
    }

    fn finish(&self, state: &mut State, id: &InstanceId, end: End) {
        let Some(unit) = state.units.get_mut(id).filter(|unit| unit.guarded()) else { return };
        let ran = unit.runs();
        unit.end = Some(end);
        unit.status.since = self.clock.wall();
        unit.status.state = match end {
            End::Own | End::Stopped => RunState::Exited,
            End::Fenced => RunState::Fenced,
            End::Lost => RunState::Failed,
        };
        let copy = unit.copy();
        if ran {
            state.ended.push((id.clone(), copy, end));
            state.changed = true;
        }
        let epoch = copy.epoch;
        self.trace.note(&self.machine, format_args!("{id} of epoch {epoch} ends: {end:?}"));
    }

    fn publish(&self, state: &State) {
        let statuses = state.units.iter().map(|(id, unit)| (id.clone(), unit.status.clone()));
        self.statuses.send_replace(Arc::new(statuses.collect()));
    }

    /// Tells an instance to stop.
    fn stop_one(&self, id: &InstanceId, epoch: u64) {
        let now = self.clock.boot();
        let mut state = self.state();
        let State { chance, units, stopped, .. } = &mut *state;
        let Some(unit) = units.get_mut(id).filter(|unit| unit.assignment.epoch <= epoch) else {
            return;
        };
        let newest = (unit.assignment.epoch, unit.assignment.generation);
        let known = stopped.entry(id.clone()).or_default();
        *known = newest.max(*known);
        if unit.guarded() && unit.ending.is_none() {
            let takes = Duration::from_millis(chance.u64(..STOP_MS));
            unit.ending = Some((now + takes, End::Stopped));
            unit.status.state = RunState::Stopping;
            self.publish(&state);
        }
    }

    /// Waits until nothing of an instance runs.
    async fn ended(&self, id: &InstanceId) {
        let mut statuses = self.statuses.subscribe();
        let ended = |all: &Statuses| all.get(id).is_none_or(|found| found.state.is_final());
        // The sender is this engine's own.
        drop(statuses.wait_for(ended).await);
    }

    /// What is to be done about an assignment.
    fn verdict(&self, wanted: &Assignment) -> Verdict {
        let state = self.state();
        let known = state.units.get(&wanted.instance).map(|unit| Known {
            epoch: unit.assignment.epoch,
            generation: unit.assignment.generation,
            end: unit.end,
        });
        let stopped = state.stopped.get(&wanted.instance).copied();
        verdict(known, stopped, wanted.epoch, wanted.generation)
    }

    /// Starts the guard, which starts the processes a moment later.
    fn launch(&self, assignment: Assignment, deadline: Option<Duration>) {
        let mut state = self.state();
        let takes = Duration::from_millis(state.chance.u64(..START_MS));
        let status = InstanceStatus {
            instance: assignment.instance.clone(),
            epoch: assignment.epoch,
            generation: assignment.generation,
            state: RunState::Starting,
            since: self.clock.wall(),
            restarts: 0,
            ports: BTreeMap::new(),
            pid: None,
            detail: String::new(),
        };
        let begins = Some(self.clock.boot() + takes);
        let id = assignment.instance.clone();
        let unit = Unit { assignment, status, end: None, deadline, begins, ending: None };
        state.units.insert(id, unit);
        self.publish(&state);
    }
}

impl UnitEngine for Units {
    fn start(
        &self,
        assignment: Assignment,
        deadline: Option<Duration>,
    ) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            if assignment.singleton && deadline.is_none() {
                return Err(Error::NoDeadline(assignment.instance));
            }
            loop {
                match self.verdict(&assignment) {
                    Verdict::Nothing => return Ok(()),
                    Verdict::Stale(known_epoch, known_generation) => {
                        return Err(Error::Stale {
                            instance: assignment.instance,
                            epoch: assignment.epoch,
                            generation: assignment.generation,
                            known_epoch,
                            known_generation,
                        });
                    }
                    Verdict::Replace => {
                        self.stop_one(&assignment.instance, u64::MAX);
                        self.ended(&assignment.instance).await;
                    }
                    Verdict::Start => {
                        self.launch(assignment, deadline);
                        return Ok(());
                    }
                }
            }
        })
    }

    fn stop(&self, instance: InstanceId, epoch: u64) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            self.stop_one(&instance, epoch);
            self.ended(&instance).await;
            Ok(())
        })
    }

    fn extend(
        &self,
        instance: InstanceId,
        epoch: u64,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<Duration, Error>> {
        Box::pin(async move {
            let mut state = self.state();
            let unit = state.units.get_mut(&instance);
            let runs = |unit: &&mut Unit| {
                unit.guarded()
                    && unit.assignment.epoch == epoch
                    && unit.ending.is_none_or(|(_, end)| end != End::Fenced)
            };
            let unit = unit.filter(runs).ok_or(Error::NotRunning(instance))?;
            let later = unit.deadline.map_or(deadline, |known| known.max(deadline));
            unit.deadline = Some(later);
            Ok(later)
        })
    }

    fn remove(&self, instance: InstanceId) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let mut state = self.state();
            if state.units.get(&instance).is_some_and(Unit::guarded) {
                return Err(Error::StillRuns(instance));
            }
            state.units.remove(&instance);
            state.stopped.remove(&instance);
            self.publish(&state);
            Ok(())
        })
    }

    fn current(&self) -> Statuses {
        self.statuses.borrow().clone()
    }

    fn statuses(&self) -> BoxStream<'static, Statuses> {
        WatchStream::new(self.statuses.subscribe()).boxed()
    }

    fn log(
        &self,
        instance: InstanceId,
        _: bool,
        _: usize,
    ) -> BoxFuture<'_, Result<BoxStream<'static, LogLine>, Error>> {
        Box::pin(async { Err(Error::NotRunning(instance)) })
    }
}
