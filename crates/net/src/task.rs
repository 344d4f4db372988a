//! How tasks are spawned: with a name, an owner, and a rule for what their failure means. No task of Káto is
//! detached: an error that nobody awaits would be an error that nobody sees.
//!
//! Everything runs on the current tokio runtime and nothing starts a thread, so a group lives as well on a
//! simulated host.

use std::any::Any;
use std::collections::BTreeMap;
use std::error::Error;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, error, warn};

/// What a task's error means to its group. A panic is a broken invariant and always stops the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// The others cannot go on without it: stop the group, and return the error from [`Tasks::join`].
    Stop,
    /// The others go on: log the error.
    Log,
}

/// Why a group of tasks stopped otherwise than asked.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// A task returned an error.
    #[error("task \"{name}\" failed")]
    Failed {
        /// The task.
        name: &'static str,
        /// What it returned.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A task panicked.
    #[error("task \"{name}\" panicked: {message}")]
    Panicked {
        /// The task.
        name: &'static str,
        /// What it said.
        message: String,
    },
    /// Tasks had not ended by the deadline, and were dropped where they stood.
    #[error("these tasks did not end within {deadline:?} of the shutdown: {names}")]
    Late {
        /// The tasks, separated by commas.
        names: String,
        /// The deadline.
        deadline: Duration,
    },
}

/// A group of tasks that stop together. Dropping it drops its tasks.
#[derive(Debug, Default)]
pub struct Tasks {
    shared: Arc<Shared>,
}

/// What the group and each of its tasks hold.
#[derive(Debug, Default)]
struct Shared {
    tracker: TaskTracker,
    /// Asks the tasks to end.
    shutdown: CancellationToken,
    /// Drops the tasks that did not.
    abort: CancellationToken,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    started: u64,
    running: BTreeMap<u64, &'static str>,
    /// The first failure: those that follow are mostly its consequences.
    failure: Option<TaskError>,
}

impl Tasks {
    /// An empty group.
    pub fn new() -> Self {
        Self::default()
    }

    /// The signal on which every task of the group ends; cancelling it stops the group. Hand it to `run`.
    pub fn shutdown(&self) -> CancellationToken {
        self.shared.shutdown.clone()
    }

    /// Starts a task, on the current runtime. Once the group was stopped it starts none.
    pub fn spawn<F, E>(&self, name: &'static str, on_error: OnError, future: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        if self.shared.shutdown.is_cancelled() {
            debug!(task = name, "not started, the group is stopping");
            return;
        }
        let id = self.shared.begin(name);
        let shared = Arc::clone(&self.shared);
        self.shared.tracker.spawn(async move {
            let caught = AssertUnwindSafe(future).catch_unwind();
            let ended = tokio::select! {
                biased;
                () = shared.abort.cancelled() => return,
                ended = caught => ended,
            };
            let ended = match ended {
                Ok(Ok(())) => None,
                Ok(Err(cause)) => {
                    Some((TaskError::Failed { name, source: cause.into() }, on_error))
                }
                Err(panic) => {
                    let message = panic_message(&*panic);
                    Some((TaskError::Panicked { name, message }, OnError::Stop))
                }
            };
            shared.end(id, ended);
        });
    }

    /// Waits until every task has ended or the group is stopped; in the latter case the tasks have until
    /// `deadline` from then, after which they are dropped where they stand.
    ///
    /// Returns the first failure that stopped the group.
    pub async fn join(&self, deadline: Duration) -> Result<(), TaskError> {
        let shared = Arc::clone(&self.shared);
        shared.tracker.close();
        tokio::select! {
            biased;
            () = shared.tracker.wait() => return shared.outcome(),
            () = shared.shutdown.cancelled() => {}
        }
        if tokio::time::timeout(deadline, shared.tracker.wait()).await.is_err() {
            let names = shared.state().running.values().copied().collect::<Vec<_>>().join(", ");
            warn!(tasks = names, ?deadline, "tasks did not end in time and are dropped");
            shared.abort.cancel();
            shared.tracker.wait().await;
            shared.state().failure.get_or_insert(TaskError::Late { names, deadline });
        }
        shared.outcome()
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.shared.shutdown.cancel();
        self.shared.abort.cancel();
    }
}

impl Shared {
    /// The state. A panic inside a task happens outside the lock, so a poisoned one is still whole.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, name: &'static str) -> u64 {
        let mut state = self.state();
        state.started += 1;
        let id = state.started;
        state.running.insert(id, name);
        id
    }

    fn end(&self, id: u64, failed: Option<(TaskError, OnError)>) {
        let mut state = self.state();
        state.running.remove(&id);
        let Some((failure, on_error)) = failed else { return };
        let shown = &failure as &dyn Error;
        match on_error {
            OnError::Log => warn!(error = shown, "a task failed, the others go on"),
            OnError::Stop => {
                error!(error = shown, "a task failed, the group stops");
                state.failure.get_or_insert(failure);
                self.shutdown.cancel();
            }
        }
    }

    fn outcome(&self) -> Result<(), TaskError> {
        self.state().failure.take().map_or(Ok(()), Err)
    }
}

/// What `panic!` was given, which is text in all but contrived cases.
fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "with something that is not text".to_owned())
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::io;

    use super::*;

    const DEADLINE: Duration = Duration::from_mins(1);

    /// A well-behaved task: it ends on the signal.
    async fn obedient(signal: CancellationToken) -> Result<(), Infallible> {
        signal.cancelled().await;
        Ok(())
    }

    #[tokio::test]
    async fn a_stopped_group_ends_without_an_error() {
        let tasks = Tasks::new();
        let signal = tasks.shutdown();
        tasks.spawn("obedient", OnError::Stop, obedient(signal.clone()));
        signal.cancel();
        tasks.spawn("too late", OnError::Stop, async { Err("never runs") });
        tasks.join(DEADLINE).await.unwrap();
    }

    #[tokio::test]
    async fn a_failure_or_a_panic_stops_the_group_and_is_its_outcome() {
        let tasks = Tasks::new();
        tasks.spawn("obedient", OnError::Stop, obedient(tasks.shutdown()));
        tasks.spawn("store", OnError::Stop, async { Err(io::Error::other("disk full")) });
        let error = tasks.join(DEADLINE).await.unwrap_err();
        assert_eq!(error.to_string(), "task \"store\" failed");
        assert_eq!(error.source().unwrap().to_string(), "disk full");

        let tasks = Tasks::new();
        tasks.spawn("obedient", OnError::Stop, obedient(tasks.shutdown()));
        tasks.spawn("planner", OnError::Log, async {
            let (before, after) = std::hint::black_box((2, 1));
            assert!(after > before, "revision went back");
            Ok::<(), Infallible>(())
        });
        let error = tasks.join(DEADLINE).await.unwrap_err();
        assert_eq!(error.to_string(), "task \"planner\" panicked: revision went back");
    }

    #[tokio::test]
    async fn a_logged_failure_leaves_the_others_running() {
        let tasks = Tasks::new();
        let (sender, receiver) = tokio::sync::oneshot::channel();
        tasks.spawn("prices", OnError::Log, async { Err("no answer") });
        tasks.spawn("survivor", OnError::Stop, receiver);
        tokio::task::yield_now().await;
        assert!(!tasks.shutdown().is_cancelled());
        sender.send(()).unwrap();
        tasks.join(DEADLINE).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_ignores_the_signal_is_named_and_dropped() {
        let tasks = Tasks::new();
        tasks.spawn("deaf", OnError::Stop, std::future::pending::<Result<(), Infallible>>());
        tasks.shutdown().cancel();
        let error = tasks.join(DEADLINE).await.unwrap_err();
        assert_eq!(error.to_string(), "these tasks did not end within 60s of the shutdown: deaf");
    }

    #[tokio::test]
    async fn dropping_the_group_drops_its_tasks() {
        let tasks = Tasks::new();
        let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
        tasks.spawn("held", OnError::Stop, async move {
            let _held = sender;
            std::future::pending::<Result<(), Infallible>>().await
        });
        drop(tasks);
        receiver.await.unwrap_err();
    }
}
