//! Who looks after one instance: starts its shim, follows it, and answers for it. One task for each instance, so
//! that what happens to an instance happens in one order, and a slow stop of one holds up no other.

mod reach;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use kato_core::InstanceId;
use kato_units::engine::{Assignment, Error};
use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::home::Home;
use super::launch::launch;
use super::request::{Answer, Request};
use super::verdict::{Known, Verdict, verdict};
use crate::record::{self, Recorded, Reply};
use crate::wire::Lines;

/// The pause before what failed for the instance as a whole is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// The keeper of one instance.
pub(super) struct Keeper {
    instance: InstanceId,
    home: Home,
    shared: Arc<Shared>,
    /// The shim, if it runs.
    link: Option<Link>,
    /// Whether there may be a shim that does not answer, or processes that do not die. Until that is settled,
    /// nothing is started, and no stop is said to be done.
    unreached: bool,
    /// Whether this agent has started or followed the shim. One that is gone then was killed; one that an agent does
    /// not find when it starts may have gone with the machine.
    met: bool,
    known: Option<Recorded>,
    /// The newest epoch and generation that were told to stop.
    stopped: Option<(u64, u64)>,
    stops: Vec<Answer<()>>,
    extends: VecDeque<Answer<Duration>>,
    /// What to start once nothing runs any more.
    next: Option<Next>,
}

struct Next {
    assignment: Assignment,
    deadline: Option<Duration>,
    reply: Answer<()>,
}

struct Link {
    lines: Lines<OwnedReadHalf>,
    writer: OwnedWriteHalf,
}

impl Keeper {
    pub(super) fn new(instance: InstanceId, shared: Arc<Shared>) -> Self {
        let home = Home::new(&shared.config.directory, &instance);
        Self {
            instance,
            home,
            shared,
            link: None,
            unreached: false,
            met: false,
            known: None,
            stopped: None,
            stops: Vec::new(),
            extends: VecDeque::new(),
            next: None,
        }
    }

    /// Serves until the instance is removed or the engine closes.
    pub(super) async fn run(
        mut self,
        mut requests: mpsc::Receiver<Request>,
        shutdown: CancellationToken,
    ) -> io::Result<()> {
        loop {
            while self.unreached {
                if shutdown.run_until_cancelled(self.reach()).await.is_none() {
                    return Ok(());
                }
                if self.unreached {
                    let _ = shutdown.run_until_cancelled(tokio::time::sleep(AGAIN)).await;
                } else {
                    self.go_on();
                }
            }
            let heard = tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                heard = hear(&mut self.link) => Some(heard),
                request = requests.recv() => match request {
                    None => return Ok(()),
                    Some(Request::Remove { reply }) => {
                        let removed = self.remove();
                        let gone = removed.is_ok();
                        let _ = reply.send(removed);
                        if gone {
                            return Ok(());
                        }
                        None
                    }
                    Some(request) => {
                        self.handle(request).await;
                        None
                    }
                },
            };
            match heard {
                None => {}
                Some(Ok(Some(Reply::Status { status }))) => self.learn(status),
                Some(Ok(Some(Reply::Extended { deadline_ms, refused }))) => {
                    self.extended(deadline_ms, refused);
                }
                Some(Ok(None) | Err(_)) => {
                    self.link = None;
                    self.unreached = true;
                }
            }
        }
    }

    async fn handle(&mut self, request: Request) {
        match request {
            Request::Start { assignment, deadline, reply } => {
                self.start(Next { assignment, deadline, reply }).await;
            }
            Request::Stop { epoch, reply } => self.stop(epoch, reply).await,
            Request::Extend { epoch, deadline, reply } => self.extend(epoch, deadline, reply).await,
            // Taken by the caller, who ends with it.
            Request::Remove { reply } => _ = reply.send(Err(Error::Closed)),
        }
    }

    async fn start(&mut self, next: Next) {
        let (epoch, generation) = (next.assignment.epoch, next.assignment.generation);
        let last = |known: &Recorded| Known {
            epoch: known.epoch,
            generation: known.generation,
            end: known.end,
        };
        match verdict(self.known.as_ref().map(last), self.stopped, epoch, generation) {
            Verdict::Nothing => _ = next.reply.send(Ok(())),
            Verdict::Stale(known_epoch, known_generation) => {
                _ = next.reply.send(Err(self.stale(
                    epoch,
                    generation,
                    known_epoch,
                    known_generation,
                )));
            }
            Verdict::Start | Verdict::Replace => {
                let waiting = self.next.as_ref().map(|next| &next.assignment);
                let waiting = waiting.map(|waiting| (waiting.epoch, waiting.generation));
                if let Some((known_epoch, known_generation)) =
                    waiting.filter(|w| *w > (epoch, generation))
                {
                    let error = self.stale(epoch, generation, known_epoch, known_generation);
                    _ = next.reply.send(Err(error));
                    return;
                }
                if let Some(older) = self.next.replace(next) {
                    let known = &older.assignment;
                    let error = self.stale(known.epoch, known.generation, epoch, generation);
                    _ = older.reply.send(Err(error));
                }
                if let Some(running) = self.running() {
                    self.say(record::Request::Stop { epoch: running }).await;
                } else {
                    self.go_on();
                }
            }
        }
    }

    async fn stop(&mut self, epoch: u64, reply: Answer<()>) {
        if let Some(known) = self.known.as_ref().filter(|known| known.epoch > epoch) {
            let _ = reply.send(Err(self.stale(epoch, u64::MAX, known.epoch, known.generation)));
            return;
        }
        let mut newest = self.known.as_ref().map_or(0, |known| known.generation);
        if let Some(next) = self.next.take_if(|next| next.assignment.epoch <= epoch) {
            newest = newest.max(next.assignment.generation);
            let _ = next.reply.send(Err(Error::NotRunning(self.instance.clone())));
        }
        self.stopped = self.stopped.max(Some((epoch, newest)));
        if self.running().is_none() {
            let _ = reply.send(Ok(()));
            return;
        }
        self.stops.push(reply);
        self.say(record::Request::Stop { epoch }).await;
    }

    async fn extend(&mut self, epoch: u64, deadline: Duration, reply: Answer<Duration>) {
        let error = match (self.running(), &self.known) {
            (Some(running), Some(known)) if running != epoch => {
                self.stale(epoch, known.generation, running, known.generation)
            }
            (None, _) => Error::NotRunning(self.instance.clone()),
            _ => {
                // Rounded down: the shim must not guard a later time than was granted.
                let deadline_ms = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
                self.extends.push_back(reply);
                self.say(record::Request::Extend { epoch, deadline_ms }).await;
                return;
            }
        };
        let _ = reply.send(Err(error));
    }

    fn extended(&mut self, deadline_ms: Option<u64>, refused: Option<String>) {
        let Some(reply) = self.extends.pop_front() else { return };
        let reason = refused.unwrap_or_default();
        let refusal = || Error::Invalid { instance: self.instance.clone(), reason };
        let _ = reply.send(deadline_ms.map(Duration::from_millis).ok_or_else(refusal));
    }

    fn remove(&mut self) -> Result<(), Error> {
        if self.link.is_some() || self.next.is_some() {
            return Err(Error::StillRuns(self.instance.clone()));
        }
        self.home.remove().map_err(|error| self.failed("remove", error))?;
        self.shared.forget(&self.instance);
        Ok(())
    }

    /// Once nothing runs: answers those who waited for that, and starts what is next.
    fn go_on(&mut self) {
        if self.running().is_some() {
            return;
        }
        for reply in self.stops.drain(..) {
            let _ = reply.send(Ok(()));
        }
        let Some(Next { assignment, deadline, reply }) = self.next.take() else { return };
        let launched = launch(&self.shared, &self.home, &assignment, deadline);
        let _ = reply.send(launched.map(|starting| {
            // From here on the shim answers for it, and the status says what becomes of it.
            self.unreached = true;
            self.met = true;
            self.learn(starting);
        }));
    }

    fn learn(&mut self, recorded: Recorded) {
        match recorded.status() {
            Ok(status) => self.shared.publish(status),
            Err(error) => {
                tracing::error!(instance = %self.instance, %error, "its status is damaged");
            }
        }
        self.known = Some(recorded);
    }

    /// The epoch that runs.
    fn running(&self) -> Option<u64> {
        self.link.as_ref().and(self.known.as_ref()).map(|known| known.epoch)
    }

    /// Asks the shim. If it does not hear, its stream ends, and that is dealt with there.
    async fn say(&mut self, request: record::Request) {
        if let (Some(link), Ok(line)) = (&mut self.link, record::line(&request)) {
            let written = link.writer.write_all(&line).await;
            if let Err(error) = written {
                tracing::debug!(instance = %self.instance, %error, "the shim hung up");
            }
        }
    }

    fn stale(&self, epoch: u64, generation: u64, known_epoch: u64, known_generation: u64) -> Error {
        Error::Stale {
            instance: self.instance.clone(),
            epoch,
            generation,
            known_epoch,
            known_generation,
        }
    }

    fn failed(&self, action: &'static str, error: io::Error) -> Error {
        Error::Engine { action, instance: self.instance.clone(), source: error.into() }
    }
}

/// What the shim says next; never anything where there is none. Cancel-safe.
async fn hear(link: &mut Option<Link>) -> io::Result<Option<Reply>> {
    let Some(link) = link else { return std::future::pending().await };
    let said = link.lines.next().await?;
    Ok(said.map(|said| serde_json::from_slice(&said)).transpose()?)
}
