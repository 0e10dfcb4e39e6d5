//! Wakes an event loop at an exact moment. The loop's own waiting has a grain of milliseconds, which is more than most of
//! what is measured here takes.

use std::{io, os::fd::AsRawFd as _, time::Duration};

use mio::{Interest, Registry, Token, unix::SourceFd};
use rustix::{
    fd::OwnedFd,
    time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime},
};

/// Zero would mean never.
const SOON: Duration = Duration::from_nanos(1);

pub struct Timer(OwnedFd);

impl Timer {
    pub fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        registry.register(&mut SourceFd(&timer.as_raw_fd()), token, Interest::READABLE)?;
        Ok(Self(timer))
    }

    /// Replaces what was set before. The event that it causes need not be read: setting it again clears it.
    pub fn set(&self, after: Duration) -> io::Result<()> {
        let value = Timespec::try_from(after.max(SOON)).map_err(|_| io::ErrorKind::InvalidInput)?;
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &once)?;
        Ok(())
    }
}
