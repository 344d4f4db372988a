//! Whole passes, with an engine that has no room at first.

use std::sync::{Mutex, PoisonError};

use futures_util::stream;
use kato_core::Timestamp;
use kato_net::clock::Clock;
use kato_units::engine::{BoxFuture, BoxStream, LogLine, UnitEngine};
use tokio::sync::watch;
use tokio::time::Instant;

use super::*;
use crate::daemon::failures::Failures;

/// Runs everything at once, as soon as it has room.
#[derive(Default)]
struct Engine {
    full: watch::Sender<bool>,
    tries: Mutex<u32>,
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
        self.statuses.send_replace(current(wanted.epoch, RunState::Running));
        Box::pin(async { Ok(()) })
    }

    fn stop(&self, _: InstanceId, epoch: u64) -> BoxFuture<'_, Result<(), Error>> {
        self.statuses.send_replace(current(epoch, RunState::Exited));
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
        let mut changes = self.statuses.subscribe();
        changes.mark_changed();
        stream::unfold(changes, async |mut changes: watch::Receiver<Statuses>| {
            changes.changed().await.ok()?;
            let statuses = changes.borrow_and_update().clone();
            Some((statuses, changes))
        })
        .boxed()
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

fn machine() -> kato_core::MachineSpec {
    let resources = kato_core::Resources::new(1_000, 1_024);
    let offer = kato_core::Offer {
        provider: "sandbox".parse().unwrap(),
        region: "here".parse().unwrap(),
        kind: "one".to_owned(),
        market: kato_core::Market::OnDemand,
        arch: "x86_64".parse().unwrap(),
        capacity: resources,
        price_micros_per_hour: kato_core::MicroDollars(1),
        priced_at: Timestamp(0),
        source: "a test".to_owned(),
    };
    kato_core::MachineSpec {
        id: "core-1.cell-1.dub".parse().unwrap(),
        resources,
        offer: Arc::new(offer),
        address: "127.0.0.1".to_owned(),
        incarnation: 1,
        order: None,
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_started_says_why_and_starts_once_there_is_room() {
    let engine = Arc::new(Engine::default());
    engine.full.send_replace(true);
    let shared = Shared {
        engine: engine.clone(),
        clock: Arc::new(Moved(Instant::now())),
        wanted: Arc::new(watch::Sender::new(Some(Arc::new(wanted([assignment(7, false)]))))),
        grants: crate::daemon::Grants::default(),
        failures: Failures::default(),
        machine: Arc::new(machine()),
    };
    let shutdown = CancellationToken::new();
    let passes = tokio::spawn(run(shared.clone(), shutdown.clone()));
    let id: InstanceId = "db@1".parse().unwrap();
    let shown = || shared.failures.over(&engine.current()).get(&id).cloned();

    tokio::time::sleep(Duration::from_mins(2)).await;
    let failed = shown().expect("nothing tells of it");
    assert_eq!((failed.epoch, failed.generation, failed.state), (7, 1, RunState::Failed));
    assert_eq!(failed.detail, "it could not be started: no port is free from 20000 to 20001");
    assert!(settled(&wanted([]), &engine.current()), "nothing runs");
    let tries = *engine.tries.lock().unwrap();
    assert!((6..=8).contains(&tries), "{tries} tries in two minutes");

    engine.full.send_replace(false);
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert_eq!(shown().unwrap().state, RunState::Running);

    // What is given up is forgotten.
    engine.full.send_replace(true);
    shared.wanted.send_replace(Some(Arc::new(wanted([assignment(8, false)]))));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(shown().unwrap().state, RunState::Failed);
    shared.wanted.send_replace(Some(Arc::new(wanted([]))));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(shown(), None);
    shutdown.cancel();
    passes.await.unwrap();
}
