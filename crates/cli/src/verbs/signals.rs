//! What a server does when it is told to stop: the first signal asks for an orderly end, the second ends at once.

use std::error::Error;
use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// SIGTERM and SIGINT.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes the signals over.
    pub(super) fn listen() -> io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        Ok(Self { terminate, interrupt: signal(SignalKind::interrupt())? })
    }

    /// The next one.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Waits for `ended`; a signal cancels `shutdown`, another one ends the process.
    pub(super) async fn stop<E>(
        mut self,
        shutdown: CancellationToken,
        ended: impl Future<Output = Result<(), E>>,
    ) -> anyhow::Result<()>
    where
        E: Error + Send + Sync + 'static,
    {
        let mut ended = std::pin::pin!(ended);
        tokio::select! {
            biased;
            ended = &mut ended => return Ok(ended?),
            () = self.next() => {}
        }
        tracing::info!("stopping");
        shutdown.cancel();
        tokio::select! {
            biased;
            ended = &mut ended => Ok(ended?),
            () = self.next() => anyhow::bail!("stopped at once, at the second signal"),
        }
    }
}
