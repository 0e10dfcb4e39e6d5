//! The handlers of one session that are under way. They belong to the session, not to a socket: one
//! that was started finishes, whatever becomes of the connection that its message came in on.
//!
//! Most handlers have nothing to wait for. So the first turn of each is taken at once, by whoever accepts its
//! message: no task is made for it, no other thread is woken, and answers to messages that came together can
//! leave together. Only one that has to wait becomes a task. A guest that computes for long waits, too: it
//! gives up its turn with the next tick of the engine's clock.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use futures_util::{FutureExt as _, future::BoxFuture};
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use super::inbox::{Accepted, Inbox, Lane};

/// The handling of one message.
pub(crate) type Job = BoxFuture<'static, ()>;

#[derive(Debug, Clone)]
pub(crate) struct Handlers {
    shared: Arc<Shared>,
}

struct Shared {
    inbox: Mutex<Inbox<Job>>,
    /// How many have finished, for everybody who waits for one to: for a moment, two sockets can. A count and a place to
    /// wait, since each idle session has one; a channel would be ten times as large.
    finished: AtomicUsize,
    one_finished: Notify,
    is_abandoned: AtomicBool,
    abandoned: Notify,
    tasks: TaskTracker,
}

/// Who waits for handlers to finish.
#[derive(Debug)]
pub(crate) struct Finished {
    shared: Arc<Shared>,
    /// How many had finished at the last return.
    seen: usize,
}

impl Finished {
    /// Those that have finished so far are not waited for.
    pub fn forget(&mut self) {
        self.seen = self.shared.finished.load(Ordering::Acquire);
    }

    /// Returns when one or more have finished since the last return.
    pub async fn next(&mut self) {
        loop {
            // Before the look: what finishes in between wakes it.
            let one_finished = self.shared.one_finished.notified();
            let finished = self.shared.finished.load(Ordering::Acquire);
            if finished != self.seen {
                self.seen = finished;
                return;
            }
            one_finished.await;
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handlers").finish_non_exhaustive()
    }
}

impl Handlers {
    /// At most `capacity` are unfinished; each runs as one of `tasks`.
    pub fn new(capacity: usize, tasks: TaskTracker) -> Self {
        let shared = Shared {
            inbox: Mutex::new(Inbox::new(capacity)),
            finished: AtomicUsize::new(0),
            one_finished: Notify::new(),
            is_abandoned: AtomicBool::new(false),
            abandoned: Notify::new(),
            tasks,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Runs the job as far as it goes without waiting, or lets it wait for its lane. Gives it back if there is no room.
    pub fn accept(&self, lane: Lane, job: Job) -> Result<(), Job> {
        let accepted = self.shared.inbox().accept(&lane, job);
        match accepted {
            Accepted::Start(job) => {
                if let Some(job) = self.shared.first_turns(&lane, job) {
                    let lane = self.shared.clone().run(lane, job);
                    drop(self.shared.tasks.spawn(lane.in_current_span()));
                }
                Ok(())
            }
            Accepted::Queued => Ok(()),
            Accepted::Full(job) => Err(job),
        }
    }

    pub fn is_full(&self) -> bool {
        self.shared.inbox().is_full()
    }

    pub fn is_idle(&self) -> bool {
        self.shared.inbox().is_idle()
    }

    /// Sees every handler that finishes from now on.
    pub fn finished(&self) -> Finished {
        let seen = self.shared.finished.load(Ordering::Acquire);
        Finished { shared: self.shared.clone(), seen }
    }

    /// Whether the host has no time left for them.
    pub fn is_abandoned(&self) -> bool {
        self.shared.is_abandoned()
    }

    /// Drops those that are under way, and those that wait.
    pub fn abandon(&self) {
        self.shared.is_abandoned.store(true, Ordering::Release);
        self.shared.abandoned.notify_waiters();
    }
}

impl Shared {
    fn inbox(&self) -> MutexGuard<'_, Inbox<Job>> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the job have its first turn, and then those behind it in its lane. Returns the one that has to wait.
    fn first_turns(&self, lane: &Lane, mut job: Job) -> Option<Job> {
        // Nobody has to be woken: what waits has another turn at once, as a task.
        let mut context = Context::from_waker(Waker::noop());
        loop {
            if !self.is_abandoned() {
                let turn = AssertUnwindSafe(|| job.poll_unpin(&mut context));
                match std::panic::catch_unwind(turn) {
                    Ok(Poll::Pending) => return Some(job),
                    Ok(Poll::Ready(())) => {}
                    Err(_) => report_panic(),
                }
            }
            // What it says when it goes comes before whoever waits for its place.
            drop(job);
            job = self.ended(lane)?;
        }
    }

    /// One lane, until nothing waits in it.
    async fn run(self: Arc<Self>, lane: Lane, mut job: Job) {
        loop {
            // A bug that panics in one of them ends that message, not its lane.
            let caught = AssertUnwindSafe(job).catch_unwind();
            let ended = tokio::select! {
                biased;
                () = self.abandoned() => Ok(()),
                ended = caught => ended,
            };
            if ended.is_err() {
                report_panic();
            }
            match self.ended(&lane) {
                Some(next) => job = next,
                None => return,
            }
        }
    }

    /// One has ended. Returns the next of its lane.
    fn ended(&self, lane: &Lane) -> Option<Job> {
        let next = self.inbox().finished(lane);
        self.finished.fetch_add(1, Ordering::AcqRel);
        self.one_finished.notify_waiters();
        next
    }

    fn is_abandoned(&self) -> bool {
        self.is_abandoned.load(Ordering::Acquire)
    }

    /// Returns when the host has no time left for any of them.
    async fn abandoned(&self) {
        let abandoned = self.abandoned.notified();
        if !self.is_abandoned() {
            abandoned.await;
        }
    }
}

fn report_panic() {
    tracing::error!("the host panicked while it handled a message");
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn handlers_run_without_anybody_who_waits_for_them() {
        let tasks = TaskTracker::new();
        let handlers = Handlers::new(2, tasks.clone());
        let (release, released) = oneshot::channel::<()>();
        let (said, heard) = oneshot::channel();
        let held = async move { drop(released.await) };
        assert!(handlers.accept(Lane::Concurrent, held.boxed()).is_ok());
        assert!(
            handlers
                .accept(
                    Lane::Concurrent,
                    async move {
                        tokio::task::yield_now().await;
                        let _ = said.send("done");
                    }
                    .boxed()
                )
                .is_ok()
        );
        assert!(handlers.is_full());
        assert_eq!(heard.await, Ok("done"));
        drop(release);
        tasks.close();
        tasks.wait().await;
        assert!(handlers.is_idle());
    }

    #[tokio::test]
    async fn a_handler_that_waits_for_nothing_is_done_when_it_is_accepted_and_those_behind_one_that_waits_are_not() {
        let tasks = TaskTracker::new();
        let handlers = Handlers::new(4, tasks.clone());
        let done = Arc::new(Mutex::new(Vec::new()));
        let note = |name: &'static str| {
            let done = done.clone();
            async move { done.lock().unwrap().push(name) }.boxed()
        };
        assert!(handlers.accept(Lane::Concurrent, note("first")).is_ok());
        assert_eq!((&done.lock().unwrap()[..], handlers.is_idle(), tasks.len()), (&["first"][..], true, 0));
        let lane = || Lane::Serial(switchboard_protocol::MessageType::parse("a").unwrap());
        let (release, released) = oneshot::channel::<()>();
        assert!(handlers.accept(lane(), async move { drop(released.await) }.boxed()).is_ok());
        assert!(handlers.accept(lane(), note("second")).is_ok());
        assert!(handlers.accept(Lane::Concurrent, note("third")).is_ok());
        assert_eq!(done.lock().unwrap()[..], ["first", "third"]);
        drop(release);
        tasks.close();
        tasks.wait().await;
        assert_eq!(done.lock().unwrap()[..], ["first", "third", "second"]);
    }

    #[tokio::test]
    async fn a_panic_ends_one_message_and_abandoning_ends_all() {
        let tasks = TaskTracker::new();
        let handlers = Handlers::new(8, tasks.clone());
        let mut finished = handlers.finished();
        assert!(handlers.accept(Lane::Concurrent, async { panic!("on purpose") }.boxed()).is_ok());
        finished.next().await;
        assert!(handlers.is_idle());
        assert!(handlers.accept(Lane::Concurrent, std::future::pending().boxed()).is_ok());
        // It waits, so that it has to be woken.
        tokio::task::yield_now().await;
        handlers.abandon();
        tasks.close();
        let all_ended = tokio::time::timeout(std::time::Duration::from_secs(20), tasks.wait()).await;
        assert!(all_ended.is_ok() && handlers.is_idle());
    }

    #[tokio::test]
    async fn everybody_who_waits_hears_of_one_that_finishes_and_of_none_that_was_forgotten() {
        let handlers = Handlers::new(8, TaskTracker::new());
        let [mut one, mut other, mut forgetful] = [handlers.finished(), handlers.finished(), handlers.finished()];
        let (mut at_one, mut at_other) = (Box::pin(one.next()), Box::pin(other.next()));
        assert!((&mut at_one).now_or_never().is_none() && (&mut at_other).now_or_never().is_none());
        assert!(handlers.accept(Lane::Concurrent, async {}.boxed()).is_ok());
        assert!(at_one.now_or_never().is_some() && at_other.now_or_never().is_some());
        forgetful.forget();
        assert!(forgetful.next().now_or_never().is_none());
        assert!(one.next().now_or_never().is_none(), "it was heard of already");
    }
}
