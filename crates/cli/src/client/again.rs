//! Streams that go on at another coordinator when theirs is gone: a watch is for the time when things break.

use std::time::Duration;

use kato_net::clock::{Clock, SystemClock};
use tonic::{Response, Status, Streaming};

use super::{Calls, Client, ClientError};

/// Between two rounds over all coordinators, and before a stream that broke at once is opened again.
const PAUSE: Duration = Duration::from_millis(300);

/// How long a stream must have been open to count as one that worked, where nothing came.
const STEADY: Duration = Duration::from_secs(2);

/// A stream's trouble, from its first break until it works again.
#[derive(Debug, Default)]
pub(crate) struct Outage {
    /// Since the machine booted.
    began: Option<Duration>,
    opened: Duration,
}

impl Outage {
    /// Takes note of a break; whether it is the first one.
    pub(crate) fn begin(&mut self) -> bool {
        let now = SystemClock.boot();
        if self.began.is_some() && now.saturating_sub(self.opened) < STEADY {
            return false;
        }
        self.began = Some(now);
        true
    }

    /// Something came.
    pub(crate) fn end(&mut self) {
        self.began = None;
    }

    fn lasts(&self) -> Duration {
        self.began.map_or(Duration::ZERO, |began| SystemClock.boot().saturating_sub(began))
    }
}

impl Client {
    /// Opens a stream again at the next coordinator that gives it, the one that it was at last of all.
    pub(crate) async fn reopen<T>(
        &mut self,
        outage: &mut Outage,
        call: impl AsyncFn(Calls) -> Result<Response<Streaming<T>>, Status>,
    ) -> Result<Streaming<T>, ClientError> {
        let within = self.patience();
        let left = within.saturating_sub(outage.lasts());
        let mut last = None;
        let trying = self.reopen_anywhere(&call, &mut last);
        match tokio::time::timeout(left, trying).await {
            Ok(opened) => {
                outage.opened = SystemClock.boot();
                opened
            }
            Err(_) => Err(ClientError::GaveUp { within, last }),
        }
    }

    async fn reopen_anywhere<T>(
        &mut self,
        call: &impl AsyncFn(Calls) -> Result<Response<Streaming<T>>, Status>,
        last: &mut Option<Box<ClientError>>,
    ) -> Result<Streaming<T>, ClientError> {
        loop {
            self.dialer.begin_anew();
            while let Some(channel) = self.dialer.next_known(last).await {
                self.channel = channel;
                match self.open(call).await {
                    Err(error) if error.may_pass() => *last = Some(error.into()),
                    answered => return answered,
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
