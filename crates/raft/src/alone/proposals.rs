//! What becomes of proposals that share an entry, and of those that a shutdown meets.

use std::sync::Arc;

use futures_util::future::join_all;
use kato_net::task::Tasks;
use tempfile::TempDir;

use super::{PATIENCE, large, register, start};
use crate::proposer::ENTRY_BYTES_MAX;
use crate::{DirDisk, Error};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proposal_that_is_too_large_fails_alone() {
    let directory = TempDir::new().unwrap();
    let tasks = Tasks::new();
    let mesh = start(Arc::new(DirDisk::open(directory.path()).unwrap()), &tasks).await.unwrap();
    mesh.propose(register("first"), PATIENCE).await.unwrap();
    // Together they take three entries, and come at once.
    let fitting = (0..48).map(|_| mesh.propose(large(ENTRY_BYTES_MAX / 16), PATIENCE));
    let refused = mesh.propose(large(ENTRY_BYTES_MAX), PATIENCE);
    let (fitting, refused) = tokio::join!(join_all(fitting), refused);
    for outcome in fitting {
        assert_eq!(outcome.expect("each of them fits").len(), 1);
    }
    assert!(matches!(refused, Err(Error::TooLarge { .. })), "{refused:?}");
    mesh.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_answers_everybody_and_ends_while_handles_are_held() {
    let directory = TempDir::new().unwrap();
    let tasks = Tasks::new();
    let mesh = start(Arc::new(DirDisk::open(directory.path()).unwrap()), &tasks).await.unwrap();
    mesh.propose(register("first"), PATIENCE).await.unwrap();
    let proposals = (0..100).map(|n| mesh.propose(register(&format!("dc-{n}")), PATIENCE));
    let stop = async {
        tasks.shutdown().cancel();
        mesh.shutdown().await;
    };
    let (outcomes, ()) = tokio::join!(join_all(proposals), stop);
    for outcome in outcomes {
        assert!(matches!(outcome, Ok(_) | Err(Error::Unknown | Error::Stopped(_))), "{outcome:?}");
    }
    tasks.join(PATIENCE).await.expect("no task waits for the handle that is still held");
    let late = mesh.propose(register("late"), PATIENCE).await;
    assert!(matches!(late, Err(Error::Stopped(_))), "{late:?}");
}
