//! Brings changes to the disk in the order in which they were made. In production one thread does it and
//! takes all changes that wait into one transaction, so that one sync serves many of them. In simulation a task
//! does it, because a thread would end determinism, and takes as long as a disk would.

use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;
use std::{fmt, io};

use tokio::sync::oneshot;

use super::file::{Change, LogFile};
use crate::StoreError;
use crate::error::chain;
use crate::types::TypeConfig;

type IOFlushed = openraft::storage::IOFlushed<TypeConfig>;

/// Who brings changes to the disk.
#[derive(Clone)]
pub enum Flush {
    /// A thread of its own.
    Thread,
    /// The caller, at once.
    Inline,
    /// A task, which waits before each write for as long as this says: a disk that takes its time.
    Task(Arc<dyn Fn() -> Duration + Send + Sync>),
}

impl fmt::Debug for Flush {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Thread => "Thread",
            Self::Inline => "Inline",
            Self::Task(_) => "Task",
        })
    }
}

/// How a change's writer learns that it is durable.
pub(crate) enum Done {
    Raft(IOFlushed),
    Waiter(oneshot::Sender<io::Result<()>>),
}

impl Done {
    fn tell(self, result: io::Result<()>) {
        match self {
            Self::Raft(callback) => callback.io_completed(result),
            // A waiter that went away was shut down; nobody needs the answer.
            Self::Waiter(waiter) => drop(waiter.send(result)),
        }
    }
}

struct Job {
    changes: Vec<Change>,
    done: Done,
}

/// Jobs that may wait for the disk. openraft bounds what is in flight far below.
const JOBS_MAX: usize = 1024;
/// How long the log must be idle until its mark is synced ([`super::head`]).
const IDLE: Duration = Duration::from_millis(100);
/// Jobs that one transaction takes.
const JOBS_PER_SYNC: usize = 128;

pub(crate) struct Writer {
    way: Way,
    /// Changes that may wait for the next durable one.
    lazy: Mutex<Vec<Change>>,
}

enum Way {
    Thread(mpsc::SyncSender<Job>),
    Inline(Arc<LogFile>),
    Task(tokio::sync::mpsc::UnboundedSender<Job>),
}

impl Writer {
    pub(crate) fn start(file: LogFile, flush: Flush) -> io::Result<Self> {
        let way = match flush {
            Flush::Inline => Way::Inline(Arc::new(file)),
            Flush::Task(delay) => {
                let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
                tokio::spawn(run_slowly(file, delay, receiver));
                Way::Task(sender)
            }
            Flush::Thread => {
                let (sender, receiver) = mpsc::sync_channel(JOBS_MAX);
                thread::Builder::new()
                    .name("raft-log".to_owned())
                    .spawn(move || run(&file, &receiver))?;
                Way::Thread(sender)
            }
        };
        Ok(Self { way, lazy: Mutex::new(Vec::new()) })
    }

    /// Hands over a change that needs not be durable by itself: it goes with the next one.
    pub(crate) fn lazily(&self, change: Change) {
        let mut lazy = self.lazy.lock().unwrap_or_else(PoisonError::into_inner);
        lazy.clear();
        lazy.push(change);
    }

    /// Hands over a change; `done` hears when it is durable, or that it failed.
    pub(crate) fn write(&self, change: Change, done: Done) {
        let mut changes =
            std::mem::take(&mut *self.lazy.lock().unwrap_or_else(PoisonError::into_inner));
        changes.push(change);
        let job = Job { changes, done };
        match &self.way {
            Way::Inline(file) => {
                let result = file.write(&job.changes).map_err(io::Error::from);
                job.done.tell(result);
            }
            Way::Thread(sender) => {
                if let Err(mpsc::SendError(job)) = sender.send(job) {
                    job.done.tell(Err(stopped()));
                }
            }
            Way::Task(sender) => {
                if let Err(tokio::sync::mpsc::error::SendError(job)) = sender.send(job) {
                    job.done.tell(Err(stopped()));
                }
            }
        }
    }

    /// Hands over a change and waits until it is durable.
    pub(crate) async fn write_and_wait(&self, change: Change) -> io::Result<()> {
        let (done, durable) = oneshot::channel();
        self.write(change, Done::Waiter(done));
        durable.await.map_err(|_| stopped())?
    }
}

fn stopped() -> io::Error {
    io::Error::other("the log's writer has stopped")
}

/// Group commit, until the last handle is gone. A failed write is the last one: after a failed sync nobody knows
/// what the disk holds (Rebello et al., "Can Applications Recover from fsync Failures?", ATC 2020), so nothing may
/// be tried again on it, and openraft stops the node. Whoever asks for more hears of that failure.
fn run(file: &LogFile, jobs: &mpsc::Receiver<Job>) {
    let Err(error) = serve(file, jobs) else { return };
    tracing::error!(error = &error as &dyn std::error::Error, "the log cannot be written");
    let message = chain(&error);
    while let Ok(job) = jobs.recv() {
        job.done.tell(Err(io::Error::other(message.clone())));
    }
}

fn serve(file: &LogFile, jobs: &mpsc::Receiver<Job>) -> Result<(), StoreError> {
    loop {
        let first = match jobs.recv_timeout(IDLE) {
            Ok(first) => first,
            Err(mpsc::RecvTimeoutError::Disconnected) => return file.settle(),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                file.settle()?;
                let Ok(first) = jobs.recv() else { return Ok(()) };
                first
            }
        };
        commit(file, first, std::iter::from_fn(|| jobs.try_recv().ok()))?;
    }
}

/// Writes jobs in one transaction, and tells all of them.
fn commit(file: &LogFile, first: Job, more: impl Iterator<Item = Job>) -> Result<(), StoreError> {
    let mut changes = first.changes;
    let mut waiting = vec![first.done];
    for next in more.take(JOBS_PER_SYNC - 1) {
        changes.extend(next.changes);
        waiting.push(next.done);
    }
    let written = file.write(&changes);
    let message = written.as_ref().err().map(|error| chain(error));
    for done in waiting {
        done.tell(message.clone().map_or(Ok(()), |message| Err(io::Error::other(message))));
    }
    written
}

/// The same in simulated time, until the first failure: whoever asks for more is told that the writer has stopped.
async fn run_slowly(
    file: LogFile,
    delay: Arc<dyn Fn() -> Duration + Send + Sync>,
    mut jobs: tokio::sync::mpsc::UnboundedReceiver<Job>,
) {
    while let Some(first) = jobs.recv().await {
        tokio::time::sleep(delay()).await;
        if let Err(error) = commit(&file, first, std::iter::from_fn(|| jobs.try_recv().ok())) {
            tracing::error!(error = &error as &dyn std::error::Error, "the log cannot be written");
            return;
        }
    }
}
