//! How a keeper comes to know its instance: it follows the shim, or where there is none, finds out how the instance
//! ended and finishes what was left.

use std::io;
use std::time::Duration;

use kato_units::engine::{Error, RunState};

use super::{Keeper, Link};
use crate::record::{self, End, MESSAGE_BYTES_MAX, Recorded};
use crate::shim;
use crate::wire::Lines;

/// How long a shim may take until it listens, or until it is gone after its last word.
const SHIM_DEADLINE: Duration = Duration::from_secs(20);
/// How long an agent that starts waits for each shim before it leaves it for later.
const SETTLE: Duration = Duration::from_secs(2);
/// The pause between two looks at it.
const LOOK: Duration = Duration::from_millis(5);

impl Keeper {
    /// Finds what an earlier agent left: a shim that runs, or what one that does not has left behind.
    pub(in crate::sandbox) async fn settle(&mut self) -> io::Result<()> {
        if let Some(assigned) = self.home.assigned()? {
            self.shared.ports.note(&self.instance, &assigned.ports);
        }
        // Shown before it is reached: as long as its end is not recorded it may run, and what is not shown is taken for
        // stopped.
        if let Some(recorded) = self.home.recorded()? {
            self.learn(recorded);
        }
        // One shim that does not answer must not keep the agent from renewing what all the others live on.
        self.unreached =
            tokio::time::timeout(SETTLE, self.reach()).await.is_err() || self.unreached;
        if let Some(known) = self.known.as_ref().filter(|known| known.end == Some(End::Stopped)) {
            self.stopped = Some((known.epoch, known.generation));
        }
        Ok(())
    }

    /// Follows the shim or buries the instance; where neither can be done, that is tried again.
    pub(super) async fn reach(&mut self) {
        let reached = self.follow().await;
        self.unreached = reached.is_err();
        if let Err(error) = reached {
            tracing::error!(instance = %self.instance, %error, "the shim cannot be reached");
        }
    }

    /// Connects to the shim, or where there is none, finishes what it left. Either is known when this returns.
    async fn follow(&mut self) -> io::Result<()> {
        let found = async {
            loop {
                if let Some(lock) = self.home.lock()? {
                    return io::Result::Ok(Err(lock));
                }
                if let Ok(stream) = self.home.connect().await {
                    return Ok(Ok(stream));
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "the shim does not answer");
        match tokio::time::timeout(SHIM_DEADLINE, found).await.map_err(late)?? {
            Ok(stream) => {
                let (reader, writer) = stream.into_split();
                self.met = true;
                self.link = Some(Link { lines: Lines::new(reader, MESSAGE_BYTES_MAX), writer });
                // Whoever asked before the connection broke, asks again.
                self.ask_again().await;
                if let Some(known) = self.known.take() {
                    self.learn(known);
                }
                Ok(())
            }
            Err(lock) => {
                self.extends.drain(..).for_each(|reply| {
                    let _ = reply.send(Err(Error::NotRunning(self.instance.clone())));
                });
                let buried = self.bury().await;
                // Closing it is not enough: a process that another thread has just forked holds it until its exec.
                lock.unlock()?;
                buried
            }
        }
    }

    /// Learns how the instance ended. Where its shim did not live to say, that is the end of everything.
    async fn bury(&mut self) -> io::Result<()> {
        let Some(mut recorded) = self.home.recorded()? else { return Ok(()) };
        if let Some(known) = self.known.as_ref().filter(|known| known.end.is_some())
            && (known.epoch, known.generation) == (recorded.epoch, recorded.generation)
        {
            // It said so before it went; a full disk may have kept it from writing that down.
            recorded = known.clone();
        }
        if recorded.end.is_none() {
            self.home.clear().await?;
            let (end, why) = self.lost(&recorded)?;
            recorded.state = RunState::Failed;
            recorded.end = Some(end);
            recorded.pid = None;
            recorded.since_ms = self.shared.clock.wall().0;
            recorded.explain(&why);
            self.home.record(&recorded)?;
        }
        self.learn(recorded);
        Ok(())
    }

    /// Whether what is gone with its shim may come back, and what there is to say of it.
    fn lost(&self, recorded: &Recorded) -> io::Result<(End, String)> {
        let complaint = self.home.complaint();
        let gone = "no process of it is left";
        let before_all = recorded.state == RunState::Starting && recorded.pid.is_none();
        if !complaint.is_empty() && before_all {
            return Ok((End::Lost, format!("its shim failed; {gone}: {complaint}")));
        }
        if !self.met {
            let why = format!("its shim was killed or the machine went down; {gone}");
            return Ok((End::Lost, why));
        }
        let why = if complaint.is_empty() {
            format!("its shim was killed; {gone}")
        } else {
            format!("its shim failed; {gone}: {complaint}")
        };
        let assigned = self.home.assigned()?;
        let again = assigned
            .is_some_and(|assigned| shim::restarts_when_killed(&assigned, self.home.path()));
        Ok(if again {
            (End::Lost, format!("{why}; it is to start again"))
        } else {
            (End::Own, format!("{why}; by its Restart= it is not started again"))
        })
    }

    async fn ask_again(&mut self) {
        let stopping = !self.stops.is_empty() || self.next.is_some();
        if let (true, Some(epoch)) = (stopping, self.running()) {
            self.say(record::Request::Stop { epoch }).await;
        }
        self.extends.clear();
    }
}
