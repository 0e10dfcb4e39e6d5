//! The handlers of one connection that are under way: they run in the connection's own task.
//!
//! A bug that panics in one of them ends that message, not the connection.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::{StreamExt as _, stream::FuturesUnordered};

use crate::{
    dispatch::Job,
    session::{
        Inbox,
        inbox::{Accepted, Lane},
    },
};

pub(crate) struct Running {
    inbox: Inbox<Job>,
    handlers: FuturesUnordered<InLane>,
}

impl Running {
    pub fn new(capacity: usize) -> Self {
        Self { inbox: Inbox::new(capacity), handlers: FuturesUnordered::new() }
    }

    /// Starts the job, or lets it wait for its lane. Gives it back if there is no room.
    pub fn accept(&mut self, lane: Lane, job: Job) -> Result<(), Job> {
        match self.inbox.accept(&lane, job) {
            Accepted::Start(job) => self.handlers.push(InLane { lane, job }),
            Accepted::Queued => {}
            Accepted::Full(job) => return Err(job),
        }
        Ok(())
    }

    /// Returns when a handler has finished; never, while none is under way.
    pub async fn finished_one(&mut self) {
        let Some(lane) = self.handlers.next().await else { return std::future::pending().await };
        if let Some(job) = self.inbox.finished(&lane) {
            self.handlers.push(InLane { lane, job });
        }
    }

    /// Returns when all handlers have finished, those that waited included.
    pub async fn finish(&mut self) {
        while !self.inbox.is_idle() {
            self.finished_one().await;
        }
    }

    pub fn is_full(&self) -> bool {
        self.inbox.is_full()
    }

    pub fn is_idle(&self) -> bool {
        self.inbox.is_idle()
    }
}

/// A job that says at its end which lane is free again.
struct InLane {
    lane: Lane,
    job: Job,
}

impl Future for InLane {
    type Output = Lane;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Lane> {
        match catch_unwind(AssertUnwindSafe(|| self.job.as_mut().poll(context))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(())) => {}
            Err(_) => tracing::error!("the host panicked while it handled a message"),
        }
        Poll::Ready(self.lane.clone())
    }
}
