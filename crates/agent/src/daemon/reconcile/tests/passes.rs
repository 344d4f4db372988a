//! Whole passes, with an engine that has no room at first.

use kato_units::engine::UnitEngine as _;

use super::*;
use crate::daemon::fake::{Engine, shared};

/// Waits until `holds`, looking ten times a second of the paused clock, and says how long that took.
async fn until(what: &str, within: Duration, holds: impl Fn() -> bool) -> Duration {
    let began = tokio::time::Instant::now();
    let mut look = tokio::time::interval(Duration::from_millis(100));
    let looking = async {
        while !holds() {
            look.tick().await;
        }
    };
    let found = tokio::time::timeout(within, looking).await;
    found.unwrap_or_else(|_| panic!("it never came to that: {what}"));
    began.elapsed()
}

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

    let state = || shown().map(|status| status.state);
    let tries = || *engine.tries.lock().unwrap();

    until("it was tried", Duration::from_secs(1), || tries() == 1).await;
    // Pauses of 1, 2, 4, 8 and 16 s, then of 30 s each.
    for (next, pause) in [(2, 1), (3, 2), (4, 4), (5, 8), (6, 16), (7, 30), (8, 30)] {
        let pause = Duration::from_secs(pause);
        let late = pause + Duration::from_secs(2);
        let took = until("it was tried again", late, || tries() == next).await;
        let early = pause.saturating_sub(Duration::from_millis(200));
        assert!(took >= early, "try {next} came after {took:?}");
    }
    let failed = shown().expect("nothing tells of it");
    assert_eq!((failed.epoch, failed.generation, failed.state), (7, 1, RunState::Failed));
    assert_eq!(failed.detail, "it could not be started: no port is free from 20000 to 20001");
    assert!(settled(&wanted([]), &engine.current(), &Busy::new()), "nothing runs");

    engine.full.send_replace(false);
    let pause = Duration::from_secs(32);
    until("it runs", pause, || state() == Some(RunState::Running)).await;

    // What is given up is forgotten.
    engine.full.send_replace(true);
    shared.wanted.send_replace(Some(Arc::new(wanted([assignment(8, false)]))));
    let soon = Duration::from_secs(1);
    until("the next one failed", soon, || state() == Some(RunState::Failed)).await;
    shared.wanted.send_replace(Some(Arc::new(wanted([]))));
    until("nothing is said of it", soon, || shown().is_none()).await;
    shutdown.cancel();
    passes.await.unwrap();
}
