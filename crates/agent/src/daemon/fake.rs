//! What the daemon's tests share: an engine without processes, and a clock that moves with tokio's.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use kato_core::{InstanceId, MachineSpec, Market, MicroDollars, Offer, Resources, Timestamp};
use kato_net::clock::Clock;
use kato_units::engine::{
    Assignment, BoxFuture, BoxStream, Error, InstanceStatus, LogLine, RunState, Statuses,
    UnitEngine,
};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_stream::wrappers::WatchStream;

use super::served::{Coordinator, Served};
use super::{Failures, Grants, Shared};

/// Runs one instance, as soon as it has room.
#[derive(Default)]
pub(super) struct Engine {
    pub(super) full: watch::Sender<bool>,
    /// Holds every start up.
    pub(super) held: watch::Sender<bool>,
    pub(super) tries: Mutex<u32>,
    statuses: watch::Sender<Statuses>,
}

/// The time that the test moves.
struct Moved(Instant);

impl Clock for Moved {
    fn boot(&self) -> Duration {
        self.0.elapsed()
    }

    fn wall(&self) -> Timestamp {
        Timestamp(u64::try_from(self.boot().as_millis()).unwrap())
    }
}

impl UnitEngine for Engine {
    fn start(&self, wanted: Assignment, _: Option<Duration>) -> BoxFuture<'_, Result<(), Error>> {
        *self.tries.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        if *self.full.borrow() {
            return Box::pin(async { Err(Error::NoPort { first: 20_000, last: 20_001 }) });
        }
        let mut held = self.held.subscribe();
        Box::pin(async move {
            let _ = held.wait_for(|held| !held).await;
            self.statuses.send_replace(one(&wanted.instance, wanted.epoch, RunState::Running));
            Ok(())
        })
    }

    fn stop(&self, id: InstanceId, epoch: u64) -> BoxFuture<'_, Result<(), Error>> {
        self.statuses.send_replace(one(&id, epoch, RunState::Exited));
        Box::pin(async { Ok(()) })
    }

    fn extend(
        &self,
        _: InstanceId,
        _: u64,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<Duration, Error>> {
        Box::pin(async move { Ok(deadline) })
    }

    fn remove(&self, _: InstanceId) -> BoxFuture<'_, Result<(), Error>> {
        self.statuses.send_replace(Statuses::default());
        Box::pin(async { Ok(()) })
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

/// How one instance is, of generation 1.
pub(super) fn one(instance: &InstanceId, epoch: u64, state: RunState) -> Statuses {
    let status = InstanceStatus {
        instance: instance.clone(),
        epoch,
        generation: 1,
        state,
        since: Timestamp(0),
        restarts: 0,
        ports: BTreeMap::new(),
        pid: None,
        detail: String::new(),
    };
    Arc::new(BTreeMap::from([(instance.clone(), status)]))
}

/// What tasks share, with nothing wanted yet.
pub(super) fn shared(engine: &Arc<Engine>) -> Shared {
    let machine = machine();
    let home = Coordinator::new(&machine.id, "dub:1".to_owned());
    // Nothing is written before somebody says something.
    let directory = Path::new("/nonexistent");
    Shared {
        engine: Arc::clone(engine) as Arc<dyn UnitEngine>,
        clock: Arc::new(Moved(Instant::now())),
        wanted: Arc::new(watch::Sender::new(None)),
        settled: Arc::default(),
        grants: Grants::new(1),
        served: Served::load(directory, home),
        failures: Failures::default(),
        machine: Arc::new(machine),
    }
}

fn machine() -> MachineSpec {
    let resources = Resources::new(1_000, 1_024);
    let offer = Offer {
        provider: "sandbox".parse().unwrap(),
        region: "here".parse().unwrap(),
        kind: "one".to_owned(),
        market: Market::OnDemand,
        arch: "x86_64".parse().unwrap(),
        capacity: resources,
        gpu: None,
        terms: kato_core::Terms::default(),
        price_micros_per_hour: MicroDollars(1),
        priced_at: Timestamp(0),
        source: "a test".to_owned(),
    };
    MachineSpec {
        id: "core-1.cell-1.dub".parse().unwrap(),
        resources,
        offer: Arc::new(offer),
        address: "127.0.0.1".to_owned(),
        incarnation: 1,
        order: None,
    }
}
