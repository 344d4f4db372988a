//! What waits for one watcher. A watcher who takes nothing is cut off, because until then it holds an old state; and
//! whatever ends a watch, the watcher is told how to go on.

use std::time::Duration;

use kato_raft::View;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use crate::status;

/// How long a watcher may take nothing while messages wait for it.
pub(super) const STALL: Duration = Duration::from_secs(10);

/// Why a watch ends.
#[derive(Debug)]
pub(super) enum End {
    /// The watcher went away.
    Gone,
    /// It is cut off, and told why.
    Because(Status),
}

/// Messages on their way to a watcher.
pub(super) struct Queue<M> {
    sender: mpsc::Sender<Result<M, Status>>,
    /// Room for the reason of an end: it comes behind all that waits, however full the queue is.
    last: mpsc::OwnedPermit<Result<M, Status>>,
    shutdown: CancellationToken,
    /// What to do after an end that is not the client's fault, or only a little.
    go_on: &'static str,
}

impl<M> Queue<M> {
    /// A queue for `waiting_max` messages.
    pub(super) fn new(
        waiting_max: usize,
        shutdown: CancellationToken,
        go_on: &'static str,
    ) -> (Self, mpsc::Receiver<Result<M, Status>>) {
        let (sender, messages) = mpsc::channel(waiting_max + 1);
        let last = sender.clone().try_reserve_owned().expect("a new queue has room");
        (Self { sender, last, shutdown, go_on }, messages)
    }

    /// Sends on, unless the watch is to end.
    pub(super) async fn tell(&self, message: M) -> Result<(), End> {
        let told = tokio::select! {
            biased;
            () = self.shutdown.cancelled() => return Err(self.stopping()),
            told = tokio::time::timeout(STALL, self.sender.send(Ok(message))) => told,
        };
        match told {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Gone),
            Err(_) => Err(self.too_slow()),
        }
    }

    /// Waits at least for `pace`, and until there is another state, unless the watch is to end.
    pub(super) async fn wait(
        &self,
        views: &mut watch::Receiver<View>,
        pace: Duration,
    ) -> Result<(), End> {
        let changed = async {
            tokio::time::sleep(pace).await;
            views.changed().await
        };
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => Err(self.stopping()),
            () = self.sender.closed() => Err(End::Gone),
            // The mesh is gone only when the coordinator stops.
            changed = changed => changed.map_err(|_| self.stopping()),
        }
    }

    /// Says why nothing more comes.
    pub(super) fn end(self, end: End) {
        if let End::Because(status) = end {
            self.last.send(Err(status));
        }
    }

    fn stopping(&self) -> End {
        let text = format!("this coordinator stops: {}", self.go_on);
        End::Because(status::because(Code::Unavailable, "STOPPED", text))
    }

    fn too_slow(&self) -> End {
        let text = format!("nothing was taken for {STALL:?} while changes wait: {}", self.go_on);
        End::Because(status::because(Code::ResourceExhausted, "TOO_SLOW", text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(waiting_max: usize) -> (Queue<u64>, mpsc::Receiver<Result<u64, Status>>) {
        Queue::new(waiting_max, CancellationToken::new(), "watch again from the last number")
    }

    #[tokio::test(start_paused = true)]
    async fn a_watcher_that_takes_nothing_is_cut_off_behind_what_waits_for_it() {
        let (queue, mut messages) = queue(2);
        queue.tell(1).await.unwrap();
        queue.tell(2).await.unwrap();
        let end = queue.tell(3).await.unwrap_err();
        queue.end(end);
        assert_eq!(messages.recv().await.unwrap().unwrap(), 1);
        assert_eq!(messages.recv().await.unwrap().unwrap(), 2);
        let end = messages.recv().await.unwrap().unwrap_err();
        assert_eq!(end.code(), Code::ResourceExhausted);
        assert!(end.message().contains("the last number"), "{end:?}");
        assert!(messages.recv().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_watcher_that_is_slow_and_goes_on_is_kept_and_one_that_left_is_let_go() {
        let (queue, mut messages) = queue(1);
        queue.tell(0).await.unwrap();
        for number in 1..5 {
            let taking = async {
                tokio::time::sleep(STALL / 2).await;
                messages.recv().await.unwrap().unwrap()
            };
            let (told, taken) = tokio::join!(queue.tell(number), taking);
            told.unwrap();
            assert_eq!(taken, number - 1);
        }
        drop(messages);
        assert!(matches!(queue.tell(6).await, Err(End::Gone)));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_is_told_that_the_coordinator_stops() {
        let (queue, mut messages) = queue(1);
        queue.tell(1).await.unwrap();
        queue.shutdown.cancel();
        let end = queue.tell(2).await.unwrap_err();
        queue.end(end);
        assert_eq!(messages.recv().await.unwrap().unwrap(), 1);
        let end = messages.recv().await.unwrap().unwrap_err();
        assert_eq!(end.code(), Code::Unavailable);
    }
}
