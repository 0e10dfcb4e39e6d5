//! Engines on threads of their own, which run a stretch together.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow, bail};

use crate::{
    client::{
        connection::{Closed, Connection},
        engine::{Abandon, Driver, Engine},
        token,
    },
    progress,
};

/// Handshakes of one thread that are under way at a time, where their rate is not what is measured.
const OPENING_AT_ONCE: usize = 64;

/// For opening all connections of a scenario.
const OPENING_LIMIT: Duration = Duration::from_secs(300);

pub struct Fleet {
    pub engines: Vec<Engine>,
}

/// Who connects.
#[derive(Debug, Clone, Copy)]
pub struct Crowd {
    pub connections: usize,
    pub door: Door,
}

/// Where they come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// A WebSocket at this path, whose server has the first word.
    Greeted(&'static str),
    /// A WebSocket with this subprotocol, whose server waits to be asked.
    Silent(&'static str, &'static str),
    /// Requests over HTTP.
    Requests,
}

impl Crowd {
    pub fn of(connections: usize) -> Self {
        Self { connections, door: Door::Greeted("/ws") }
    }
}

impl Fleet {
    /// Opens all connections, each for a user of its own, and returns when all were greeted.
    pub fn connect(to: SocketAddr, threads: usize, burst: bool, crowd: Crowd) -> anyhow::Result<Self> {
        let engines = (0..threads).map(|_| Engine::new(to, burst)).collect::<Result<Vec<_>, _>>()?;
        let mut fleet = Self { engines };
        let mut openers: Vec<Opener> = (0..threads)
            .map(|thread| Opener {
                // Spread evenly, the first threads have one more.
                left: (thread..crowd.connections).step_by(threads).collect(),
                crowd,
                under_way: 0,
                open: 0,
                fault: None,
            })
            .collect();
        fleet.run(&mut openers, OPENING_LIMIT, |_| Ok(()))?;
        let open: usize = openers.iter().map(|opener| opener.open).sum();
        if let Some(fault) = openers.into_iter().find_map(|opener| opener.fault) {
            bail!("a connection could not be opened: {fault}");
        }
        if open < crowd.connections {
            bail!("{open} of {} connections could be opened in time", crowd.connections);
        }
        Ok(fleet)
    }

    /// Runs one driver on each engine until all are done, or until the time is over; and meanwhile something else, here,
    /// which is told when they have ended.
    pub fn run<D: Driver + Send, R>(
        &mut self,
        drivers: &mut [D],
        limit: Duration,
        meanwhile: impl FnOnce(&AtomicBool) -> anyhow::Result<R>,
    ) -> anyhow::Result<R> {
        let (until, ended, left) =
            (Instant::now() + limit, AtomicBool::new(false), AtomicU64::new(drivers.len() as u64));
        let (ended, left) = (&ended, &left);
        let engines: Vec<Abandon> = self.engines.iter().map(Engine::abandon).collect();
        thread::scope(|scope| {
            let run = |(engine, driver): (&mut Engine, &mut D)| {
                let result = engine.run(driver, until);
                if left.fetch_sub(1, Relaxed) == 1 {
                    ended.store(true, Relaxed);
                }
                result
            };
            let pairs = self.engines.iter_mut().zip(drivers);
            let threads: Vec<_> = pairs.map(|pair| scope.spawn(move || run(pair))).collect();
            let result = meanwhile(ended);
            if result.is_err() {
                // Nobody wants to know what would still be found.
                engines.iter().for_each(Abandon::now);
            }
            for thread in threads {
                thread.join().map_err(|_| anyhow!("a thread panicked"))?.context("an event loop failed")?;
            }
            result
        })
    }
}

/// The user of a connection's number.
pub fn user(number: usize) -> String {
    format!("user-{number}")
}

struct Opener {
    left: Vec<usize>,
    crowd: Crowd,
    under_way: usize,
    open: usize,
    fault: Option<String>,
}

impl Driver for Opener {
    /// The greeting: from here on the server knows it.
    fn message(&mut self, _connection: &mut Connection, _text: &[u8], _now: Instant) {
        self.under_way -= usize::from(self.under_way > 0);
        self.open += 1;
        progress::count(1);
    }

    fn opened(&mut self, _connection: &mut Connection, _now: Instant) {
        if !matches!(self.crowd.door, Door::Greeted(_)) {
            self.under_way -= usize::from(self.under_way > 0);
            self.open += 1;
        }
    }

    fn closed(&mut self, _id: usize, how: Closed, _now: Instant) {
        self.fault = Some(how.word());
    }

    fn due(&mut self, engine: &mut Engine, _now: Instant) -> Option<Instant> {
        while self.under_way < OPENING_AT_ONCE
            && let Some(number) = self.left.pop()
        {
            let token = || token::of(&user(number));
            let opened = match self.crowd.door {
                Door::Greeted(path) => engine.open(path, &token(), None),
                Door::Silent(path, subprotocol) => engine.open(path, &token(), Some(subprotocol)),
                Door::Requests => engine.open_for_requests(),
            };
            match opened {
                Ok(_) => self.under_way += 1,
                Err(fault) => self.fault = Some(fault.to_string()),
            }
        }
        None
    }

    fn is_done(&self) -> bool {
        self.fault.is_some() || (self.left.is_empty() && self.under_way == 0)
    }
}
