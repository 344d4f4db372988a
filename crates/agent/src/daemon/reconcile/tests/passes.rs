//! Whole passes, with an engine that has no room at first.

use kato_units::engine::UnitEngine as _;

use super::*;
use crate::daemon::fake::{Engine, shared};

#[tokio::test(start_paused = true)]
async fn what_cannot_be_started_says_why_and_starts_once_there_is_room() {
    let engine = Arc::new(Engine::default());
    engine.full.send_replace(true);
    let shared = shared(&engine);
    shared.wanted.send_replace(Some(Arc::new(wanted([assignment(7, false)]))));
    let shutdown = CancellationToken::new();
    let passes = tokio::spawn(run(shared.clone(), shutdown.clone()));
    let id: InstanceId = "db@1".parse().unwrap();
    let shown = || shared.failures.over(&engine.current()).get(&id).cloned();

    tokio::time::sleep(Duration::from_mins(2)).await;
    let failed = shown().expect("nothing tells of it");
    assert_eq!((failed.epoch, failed.generation, failed.state), (7, 1, RunState::Failed));
    assert_eq!(failed.detail, "it could not be started: no port is free from 20000 to 20001");
    assert!(settled(&wanted([]), &engine.current(), &Busy::new()), "nothing runs");
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
