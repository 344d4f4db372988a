//! Work that nobody asks for: each reconciler wakes when the state changes and from time to time, looks at what
//! is, compares it with what should be, does one idempotent pass, and sleeps. It takes no input and keeps
//! nothing that it could not find again.

mod bind;
mod disk;
mod failover;
mod order;
mod place;
mod quarantine;
mod rebalance;
mod register;
mod report;
mod stand_in;
#[cfg(test)]
mod tests;
mod timing;
mod version;

pub(crate) use report::ReportService;

use std::convert::Infallible;
use std::time::Duration;

use kato_net::task::{OnError, Tasks};
use kato_raft::{Leadership, View};
use tokio_util::sync::CancellationToken;

use crate::Config;
use crate::context::Context;

/// The shortest time between two passes of one reconciler.
const PACE: Duration = Duration::from_millis(20);

/// Starts every reconciler.
pub(crate) fn start(context: &Context, config: &Config, tasks: &Tasks) {
    let spawn = |name, work| tasks.spawn(name, OnError::Stop, never_fails(work));
    let shutdown = tasks.shutdown();
    let registering = register::run(context.clone(), config.clone(), shutdown.clone());
    tasks.spawn("register", OnError::Stop, never_fails(registering));
    tasks.spawn(
        "report",
        OnError::Stop,
        never_fails(report::run(context.clone(), shutdown.clone())),
    );
    spawn("bind", boxed(bind::run(context.clone(), shutdown.clone())));
    spawn("order", boxed(order::run(context.clone(), shutdown.clone())));
    spawn("place", boxed(place::run(context.clone(), shutdown.clone())));
    let after = config.rebalance_after;
    spawn("rebalance", boxed(rebalance::run(context.clone(), after, shutdown.clone())));
    spawn("failover", boxed(failover::run(context.clone(), shutdown.clone())));
    spawn("disk", boxed(disk::run(context.clone(), shutdown.clone())));
    spawn("quarantine", boxed(quarantine::run(context.clone(), shutdown.clone())));
    spawn("stand in", boxed(stand_in::run(context.clone(), shutdown.clone())));
    spawn("version", boxed(version::run(context.clone(), shutdown.clone())));
    tasks.spawn("timing", OnError::Stop, timing::run(context.clone(), shutdown));
}

type Work = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

fn boxed(work: impl Future<Output = ()> + Send + 'static) -> Work {
    Box::pin(work)
}

async fn never_fails(work: impl Future<Output = ()>) -> Result<(), Infallible> {
    work.await;
    Ok(())
}

/// Wakes a reconciler: when the state or the leadership changed, or after `period`; never faster than [`PACE`].
struct Wake {
    views: tokio::sync::watch::Receiver<View>,
    leadership: tokio::sync::watch::Receiver<Leadership>,
    period: Duration,
    shutdown: CancellationToken,
}

impl Wake {
    fn new(context: &Context, period: Duration, shutdown: CancellationToken) -> Self {
        Self {
            views: context.mesh.watch(),
            leadership: context.mesh.leadership(),
            period,
            shutdown,
        }
    }

    /// The state and who leads, at the next pass; none when it is time to stop.
    async fn next(&mut self) -> Option<(View, Leadership)> {
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => return None,
            () = tokio::time::sleep(PACE) => {}
        }
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => return None,
            changed = self.views.changed() => changed.ok()?,
            changed = self.leadership.changed() => changed.ok()?,
            () = tokio::time::sleep(self.period) => {}
        }
        let view = self.views.borrow_and_update().clone();
        let leadership = self.leadership.borrow_and_update().clone();
        Some((view, leadership))
    }
}
