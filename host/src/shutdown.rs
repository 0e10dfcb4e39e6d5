//! Leaving: stop accepting, let what is under way finish, and be gone by a deadline.
//!
//! Everything that the host runs is spawned through [`Shutdown::tasks`]. There are two signals, in
//! this order: `draining` (begin nothing new, finish what you have) and `stop` (end now). Tasks that
//! only serve others (watchers, refreshers) listen to `stop` alone, because handlers that finish may
//! still need them.

use std::time::Duration;

use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long tasks have to notice `stop`: it cuts every wait short, so this is only computation.
const STOP_LIMIT: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Default)]
pub(crate) struct Shutdown {
    /// Connections, and what they cause.
    pub connections: TaskTracker,
    /// Everything else.
    pub tasks: TaskTracker,
    pub draining: CancellationToken,
    pub stop: CancellationToken,
}

/// What asked the process to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    Interrupt,
    Terminate,
}

/// SIGINT and SIGTERM, from the moment that this is made.
pub(crate) struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    #[cfg(unix)]
    pub fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    #[cfg(unix)]
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::Terminate,
            _ = self.interrupt.recv() => Signal::Interrupt,
        }
    }

    #[cfg(not(unix))]
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {})
    }

    #[cfg(not(unix))]
    pub async fn next(&mut self) -> Signal {
        if tokio::signal::ctrl_c().await.is_err() {
            // Without signals, only the operating system can end the process.
            std::future::pending::<()>().await;
        }
        Signal::Interrupt
    }
}

impl Shutdown {
    /// Whether new connections are turned away.
    pub fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Ends everything. `leave` and `abandon` pass the word on to connections: finish, and then, if
    /// the limit was not enough, end now. Says whether all of them finished within `limit`.
    pub async fn drain(&self, limit: Duration, leave: impl Future<Output = ()>, abandon: impl FnOnce()) -> bool {
        self.draining.cancel();
        self.connections.close();
        let all_left = async {
            leave.await;
            self.connections.wait().await;
        };
        let finished = tokio::time::timeout(limit, all_left).await.is_ok();
        if !finished {
            abandon();
        }
        self.stop.cancel();
        self.tasks.close();
        let rest = async { tokio::join!(self.connections.wait(), self.tasks.wait()) };
        if tokio::time::timeout(STOP_LIMIT, rest).await.is_err() {
            tracing::warn!("some tasks did not end in time and are abandoned");
        }
        finished
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_under_way_finishes_and_what_does_not_is_stopped() {
        let shutdown = Shutdown::default();
        let signals = shutdown.clone();
        shutdown.connections.spawn(async move { signals.draining.cancelled().await });
        assert!(shutdown.drain(Duration::from_secs(5), async {}, || ()).await);

        let shutdown = Shutdown::default();
        let signals = shutdown.clone();
        let abandoned = CancellationToken::new();
        let ordered = abandoned.clone();
        shutdown.connections.spawn(async move { ordered.cancelled().await });
        shutdown.tasks.spawn(async move { signals.stop.cancelled().await });
        assert!(!shutdown.drain(Duration::from_millis(10), async {}, || abandoned.cancel()).await);
        assert!(shutdown.connections.is_empty() && shutdown.tasks.is_empty());
    }
}
