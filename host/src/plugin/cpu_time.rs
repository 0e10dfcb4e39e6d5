//! How much of a processor a call has used, as far as its limit has to know.
//!
//! Counted are the polls of the call's future, so that time spent waiting is not. A poll takes as much of the processor
//! as it takes time, or less: a thread that is ready to run may have to wait for others, and so may a whole machine that
//! shares its hardware or is moved to another. A guest is not to blame for that. So the kernel's account of the
//! thread is asked as well, though not for each poll: reading it is a system call and takes half a
//! microsecond, reading the time is none. It is asked about polls that took longer than a tick, and for their beginning
//! whatever was read on this thread within the last tick is near enough.
//!
//! What is counted is therefore never less than what was used, never more than the time that went by, and by no more than a
//! tick for each poll too much, as far as the kernel knows: of a virtual machine that was paused, it need not.

use std::{
    cell::Cell,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};

use super::ticker::TICK;

/// What the kernel's account of a thread was at a moment.
#[derive(Debug, Clone, Copy)]
struct Account {
    read: Instant,
    used: Duration,
}

thread_local! {
    static LAST_ACCOUNT: Cell<Option<Account>> = const { Cell::new(None) };
}

/// By this thread, in all. A system call.
fn used() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap_or_default()
}

impl Account {
    /// Of this thread.
    fn read() -> Self {
        let account = Self { used: used(), read: Instant::now() };
        LAST_ACCOUNT.set(Some(account));
        account
    }

    /// Of this thread, and so much older than `now` at most.
    fn recent(now: Instant, age: Duration) -> Self {
        let last = LAST_ACCOUNT.get().filter(|last| now.saturating_duration_since(last.read) < age);
        last.unwrap_or_else(Self::read)
    }
}

/// The processor's time that a call has used. Shared between the future that measures and the guest's epoch check.
#[derive(Debug)]
pub(crate) struct CpuMeter {
    base: Instant,
    /// In polls that have ended.
    spent_ns: AtomicU64,
    /// When the poll that is under way began, after `base`.
    begun_ns: AtomicU64,
    /// The account of its thread when it began, or a little before.
    account_ns: AtomicU64,
    /// Of what is spent, what went to others that pay for themselves: calls of other plugins, and the handover
    /// from one instance to the next.
    others_ns: AtomicU64,
    /// How old an account may be at the beginning of a poll, and how long a poll for which none is asked.
    age: Duration,
}

impl CpuMeter {
    pub fn new() -> Arc<Self> {
        Self::with_accounts_of(TICK)
    }

    fn with_accounts_of(age: Duration) -> Arc<Self> {
        Arc::new(Self {
            base: Instant::now(),
            spent_ns: AtomicU64::new(0),
            begun_ns: AtomicU64::new(0),
            account_ns: AtomicU64::new(0),
            others_ns: AtomicU64::new(0),
            age,
        })
    }

    fn begin_poll(&self) {
        let now = Instant::now();
        self.begun_ns.store(nanoseconds(now.saturating_duration_since(self.base)), Relaxed);
        self.account_ns.store(nanoseconds(Account::recent(now, self.age).used), Relaxed);
    }

    /// To be asked on the thread that polls.
    fn of_this_poll(&self) -> u64 {
        let by_the_wall = nanoseconds(self.base.elapsed()).saturating_sub(self.begun_ns.load(Relaxed));
        if by_the_wall <= nanoseconds(self.age) {
            return by_the_wall;
        }
        let by_account = nanoseconds(Account::read().used).saturating_sub(self.account_ns.load(Relaxed));
        by_account.min(by_the_wall)
    }

    /// To be asked from within a poll.
    pub fn spent(&self) -> Duration {
        let total = self.spent_ns.load(Relaxed).saturating_add(self.of_this_poll());
        Duration::from_nanos(total.saturating_sub(self.others_ns.load(Relaxed)))
    }

    /// Work within this call whose time is not the call's own: somebody else pays for it.
    pub async fn without<F: Future>(&self, work: F) -> F::Output {
        // What is too much for them would be too little for this call: exactly, and whatever it costs.
        let others = Self::with_accounts_of(Duration::ZERO);
        let result = Metered::new(work, others.clone()).await;
        self.others_ns.fetch_add(others.spent_ns.load(Relaxed), Relaxed);
        result
    }
}

/// A call takes less than the 584 years that fit.
fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A future whose polls are measured.
pub(super) struct Metered<F> {
    work: Pin<Box<F>>,
    meter: Arc<CpuMeter>,
}

impl<F: Future> Metered<F> {
    pub fn new(work: F, meter: Arc<CpuMeter>) -> Self {
        Self { work: Box::pin(work), meter }
    }
}

impl<F: Future> Future for Metered<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.meter.begin_poll();
        let result = self.work.as_mut().poll(cx);
        self.meter.spent_ns.fetch_add(self.meter.of_this_poll(), Relaxed);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Uses so much of the processor, by the account of this thread.
    async fn compute(time: Duration) {
        let begun = used();
        while used() - begun < time {}
    }

    /// Within one poll.
    async fn stand_still(time: Duration) {
        std::thread::sleep(time);
    }

    async fn metered(work: impl Future<Output = ()>) -> Duration {
        let meter = CpuMeter::new();
        Metered::new(work, meter.clone()).await;
        Duration::from_nanos(meter.spent_ns.load(Relaxed))
    }

    #[tokio::test]
    async fn time_spent_waiting_is_not_cpu_time() {
        assert!(metered(tokio::time::sleep(Duration::from_millis(50))).await < Duration::from_millis(40));
    }

    #[tokio::test]
    async fn a_thread_that_is_kept_from_the_processor_uses_none() {
        let spent = metered(stand_still(Duration::from_millis(200))).await;
        assert!(spent < Duration::from_millis(100), "{spent:?}");
    }

    #[tokio::test]
    async fn all_that_is_computed_is_counted_in_long_polls_and_in_short_ones() {
        let long = metered(compute(Duration::from_millis(50))).await;
        assert!(long >= Duration::from_millis(50), "{long:?}");
        let short = metered(async {
            for _ in 0..100 {
                compute(Duration::from_micros(300)).await;
                tokio::task::yield_now().await;
            }
        });
        let short = short.await;
        assert!(short >= Duration::from_millis(30), "{short:?}");
    }

    #[tokio::test]
    async fn a_poll_in_which_the_thread_stood_still_counts_for_what_it_computed() {
        let spent = metered(async {
            compute(Duration::from_millis(20)).await;
            stand_still(Duration::from_millis(300)).await;
            compute(Duration::from_millis(20)).await;
        });
        let spent = spent.await;
        assert!((Duration::from_millis(40)..Duration::from_millis(300)).contains(&spent), "{spent:?}");
    }

    #[tokio::test]
    async fn what_others_pay_for_is_not_counted() {
        let meter = CpuMeter::new();
        let call = async {
            meter.without(compute(Duration::from_millis(200))).await;
            compute(Duration::from_millis(5)).await;
            meter.spent()
        };
        let spent = Metered::new(call, meter.clone()).await;
        assert!((Duration::from_millis(5)..Duration::from_millis(100)).contains(&spent), "{spent:?}");
    }

    /// Whoever asks others again and again, and computes meanwhile, has that counted.
    async fn counted_between<F: Future<Output = ()>>(of_others: impl Fn() -> F) -> Duration {
        let meter = CpuMeter::new();
        let call = async {
            for _ in 0..50 {
                compute(TICK / 2).await;
                meter.without(of_others()).await;
            }
            meter.spent()
        };
        Metered::new(call, meter.clone()).await
    }

    #[tokio::test]
    async fn what_was_computed_before_others_were_asked_is_not_taken_for_theirs() {
        let spent = counted_between(|| compute(TICK * 2)).await;
        assert!(spent >= TICK * 25, "{spent:?}");
    }

    #[tokio::test]
    async fn others_who_stand_still_for_a_moment_use_nothing_of_what_was_computed() {
        let spent = counted_between(|| stand_still(TICK * 3 / 4)).await;
        assert!(spent >= TICK * 25, "{spent:?}");
    }
}
