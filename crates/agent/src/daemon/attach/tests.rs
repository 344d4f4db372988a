//! The stream, with a coordinator at the other end of a pipe.

use kato_core::{Resources, UNIT_BYTES_MAX};

use super::*;
use crate::daemon::fake::{Engine, shared};
use crate::daemon::pipes::{Pipes, Scripted};
use crate::daemon::reconcile;

/// 100 instances with large units.
fn large() -> pb::Assignments {
    let assignment = |number: u32| pb::Assignment {
        instance: format!("web@{number}"),
        epoch: 7,
        generation: 1,
        unit_name: "web@.service".to_owned(),
        unit: "#".repeat(UNIT_BYTES_MAX),
        request: Some(Resources::new(1, 1).into()),
        ports: Vec::new(),
        singleton: false,
    };
    pb::Assignments { revision: 9, instances: (1..=100).map(assignment).collect() }
}

#[tokio::test]
async fn large_assignments_reach_the_agent() {
    let attached = |_| {
        let message = Some(FromCoordinator::Assignments(large()));
        let told = futures_util::stream::iter([Ok(pb::CoordinatorMessage { message })]);
        told.chain(futures_util::stream::pending()).boxed()
    };
    let door = Scripted { attached, served: None }.serve();
    let identity = "spiffe://demo.com/agent/core-1.cell-1.dub".parse().unwrap();
    let transport = Arc::new(Pipes { identity, door });

    let shared = shared(&Arc::new(Engine::default()));
    let mut wanted = shared.wanted.subscribe();
    let shutdown = CancellationToken::new();
    let agent = tokio::spawn(run(shared, transport, shutdown.clone()));
    let list = tokio::time::timeout(Duration::from_secs(20), wanted.wait_for(Option::is_some));
    let count = list.await.expect("it never came").unwrap().as_ref().unwrap().assignments.len();
    assert_eq!(count, 100);
    shutdown.cancel();
    agent.await.unwrap();
}

fn small(revision: u64, instances: &[&str]) -> pb::Assignments {
    let assignment = |instance: &&str| pb::Assignment {
        instance: (*instance).to_owned(),
        epoch: 7,
        generation: 1,
        unit_name: "db@.service".to_owned(),
        unit: String::new(),
        request: Some(Resources::new(1, 1).into()),
        ports: Vec::new(),
        singleton: false,
    };
    pb::Assignments { revision, instances: instances.iter().map(assignment).collect() }
}

/// What was settled, and whether anything ran, in each status that was said.
fn said(messages: &mut mpsc::Receiver<pb::AgentMessage>) -> Vec<(u64, bool)> {
    let mut said = Vec::new();
    while let Ok(message) = messages.try_recv() {
        let Some(ToCoordinator::Status(status)) = message.message else { continue };
        let runs = status.instances.iter().any(|seen| seen.state() == pb::RunState::Running);
        said.push((status.settled, runs));
    }
    said
}

#[tokio::test(start_paused = true)]
async fn a_list_is_settled_only_once_no_start_from_before_it_is_under_way() {
    let engine = Arc::new(Engine::default());
    let shared = shared(&engine);
    let shutdown = CancellationToken::new();
    let passes = tokio::spawn(reconcile::run(shared.clone(), shutdown.clone()));
    let (outbox, mut messages) = mpsc::channel(OUTBOX_MAX);
    let own = shared.clone();
    let telling = tokio::spawn(async move { tell(&own, &outbox).await });
    let long = Duration::from_secs(5);

    engine.held.send_replace(true);
    take(&shared, small(9, &["db@1"]));
    tokio::time::sleep(long).await;
    assert_eq!(said(&mut messages).last(), Some(&(9, false)), "nothing else runs or starts");
    take(&shared, small(10, &[]));
    tokio::time::sleep(long).await;
    let early = said(&mut messages);
    assert!(early.iter().all(|(settled, _)| *settled < 10), "it may start yet: {early:?}");

    engine.held.send_replace(false);
    tokio::time::sleep(long).await;
    let late = said(&mut messages);
    assert_eq!(late.last(), Some(&(10, false)));
    assert!(!late.contains(&(10, true)), "settled while it runs: {late:?}");
    assert_eq!(*engine.tries.lock().unwrap(), 1);
    telling.abort();
    shutdown.cancel();
    passes.await.unwrap();
}
