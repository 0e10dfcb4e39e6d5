//! Those who listen, and the one who publishes to them.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use super::dialect::{AT, Dialect, News, PONG};
use crate::{
    client::{
        connection::{Closed, Connection},
        engine::{Driver, Engine},
        template::{Template, number_after},
    },
    progress,
    tally::Tally,
};

/// How often the publisher looks whether its subscribers, on all threads, have what was published.
const LOOK: Duration = Duration::from_micros(200);

/// The place of the publisher's connection, in the first engine.
const PUBLISHER: usize = 0;

/// One thread's connections, until all of them are subscribed.
pub struct Subscriber {
    dialect: Dialect,
    has_publisher: bool,
    begun: bool,
    waiting: usize,
    pub done: usize,
}

impl Subscriber {
    pub fn new(dialect: Dialect, has_publisher: bool) -> Self {
        Self { dialect, has_publisher, begun: false, waiting: 0, done: 0 }
    }
}

impl Driver for Subscriber {
    fn message(&mut self, _connection: &mut Connection, text: &[u8], _now: Instant) {
        // Whatever a stream says before the first publication is one short frame for each line.
        if let Some((News::Subscribed, _)) = self.dialect.news(text) {
            self.waiting -= 1;
            self.done += 1;
            progress::count(1);
        }
    }

    fn due(&mut self, engine: &mut Engine, _now: Instant) -> Option<Instant> {
        if !self.begun {
            self.begun = true;
            let mut subscription = Template::new(&self.dialect.subscription());
            for place in engine.places() {
                if self.has_publisher && place == PUBLISHER {
                    self.dialect.introduction().inspect(|text| engine.send(place, Template::new(text).with(0)));
                    continue;
                }
                engine.send(place, subscription.with(0));
                self.waiting += 1;
            }
        }
        None
    }

    fn is_done(&self) -> bool {
        self.begun && self.waiting == 0
    }
}

/// What all threads of a stretch know.
#[derive(Debug, Default)]
pub struct Counts {
    pub delivered: AtomicU64,
    pub published: AtomicU64,
}

impl Counts {
    /// Deliveries that never came.
    pub fn lost(&self, receivers: u64) -> u64 {
        (self.published.load(Relaxed) * receivers).saturating_sub(self.delivered.load(Relaxed))
    }
}

/// How much is published, and to how many.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub dialect: Dialect,
    pub base: Instant,
    pub end: Instant,
    /// Publications a second; 0: as many as the window has room for.
    pub rate: u32,
    /// Publications that not everybody has yet.
    pub window: u64,
    pub receivers: u64,
}

/// One thread's subscribers, and perhaps the publisher.
pub struct Listener<'a> {
    plan: Plan,
    publisher: Option<Template>,
    /// The time of the last publication: each has another, by which one that comes twice is known.
    last: u64,
    counts: &'a Counts,
    /// The publisher has stopped.
    finished: bool,
    /// Of each connection, the time of the newest publication that it has.
    newest: Vec<u64>,
    /// Of each connection, what came in of a message.
    partial: Vec<Vec<u8>>,
    tally: Tally,
}

impl<'a> Listener<'a> {
    pub fn new(plan: Plan, publisher: Option<Template>, counts: &'a Counts) -> Self {
        let (newest, partial) = (Vec::new(), Vec::new());
        Self { plan, publisher, last: 0, counts, finished: false, newest, partial, tally: Tally::default() }
    }

    /// What came to these; what nobody has by now is for whoever knows all of them.
    pub fn finish(self) -> Tally {
        self.tally
    }

    fn publish(&mut self, engine: &mut Engine, due: Instant) {
        let Some(template) = &mut self.publisher else { return };
        let at = u64::try_from((due - self.plan.base).as_nanos()).unwrap_or_default();
        self.last = at.max(self.last + 1);
        engine.send(PUBLISHER, template.with(self.last));
        self.counts.published.fetch_add(1, Relaxed);
    }

    fn keep_pace(&mut self, engine: &mut Engine, now: Instant) -> Instant {
        let interval = Duration::from_secs(1) / self.plan.rate;
        loop {
            let turns = u32::try_from(self.counts.published.load(Relaxed)).unwrap_or(u32::MAX);
            let due = self.plan.base + interval * turns;
            if due > now || due >= self.plan.end {
                return due;
            }
            self.publish(engine, due);
        }
    }

    /// As many as the window has room for.
    fn fill(&mut self, engine: &mut Engine, now: Instant) -> Instant {
        let complete = self.counts.delivered.load(Relaxed) / self.plan.receivers.max(1);
        while self.counts.published.load(Relaxed) < complete + self.plan.window {
            self.publish(engine, now);
        }
        now + LOOK
    }

    /// Takes what is whole. Returns how much that was.
    fn take(&mut self, connection: &mut Connection, bytes: &[u8], now: Instant) -> usize {
        let (dialect, mut used) = (self.plan.dialect, 0);
        while used < bytes.len()
            && let Some((news, length)) = dialect.news(&bytes[used..])
        {
            used += length;
            match news {
                News::Publication(text) => self.delivered(connection.id, text, now),
                News::Refusal(code) => self.tally.error(code),
                News::Ping => connection.send(Template::new(PONG).with(0)),
                News::Subscribed | News::Other => {}
            }
        }
        used
    }

    fn delivered(&mut self, id: usize, text: &[u8], now: Instant) {
        let Some(at) = number_after(text, AT) else { return };
        if std::mem::replace(&mut self.newest[id], at) >= at {
            self.tally.twice += 1;
            return;
        }
        self.tally.took((now - self.plan.base).saturating_sub(Duration::from_nanos(at)));
        self.counts.delivered.fetch_add(1, Relaxed);
        progress::count(1);
    }
}

impl Driver for Listener<'_> {
    fn message(&mut self, connection: &mut Connection, text: &[u8], now: Instant) {
        let id = connection.id;
        if self.newest.len() <= id {
            self.newest.resize(id + 1, 0);
            self.partial.resize_with(id + 1, Vec::new);
        }
        if self.partial[id].is_empty() {
            let used = self.take(connection, text, now);
            self.partial[id].extend_from_slice(&text[used..]);
            return;
        }
        let mut bytes = std::mem::take(&mut self.partial[id]);
        bytes.extend_from_slice(text);
        let used = self.take(connection, &bytes, now);
        bytes.drain(..used);
        self.partial[id] = bytes;
    }

    fn closed(&mut self, _id: usize, how: Closed, _now: Instant) {
        self.tally.error(&how.word());
    }

    fn due(&mut self, engine: &mut Engine, now: Instant) -> Option<Instant> {
        if now >= self.plan.end {
            self.finished = true;
            // What is still on its way may be on its way to another thread.
            return Some(now + LOOK);
        }
        match (&self.publisher, self.plan.rate) {
            (None, _) => Some(self.plan.end),
            (Some(_), 0) => Some(self.fill(engine, now)),
            (Some(_), _) => Some(self.keep_pace(engine, now)),
        }
    }

    fn is_done(&self) -> bool {
        let published = self.counts.published.load(Relaxed);
        self.finished && self.counts.delivered.load(Relaxed) >= published * self.plan.receivers
    }
}
