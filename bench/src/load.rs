//! The driver of everything that asks and waits for answers: a fixed number in flight on each connection (closed loop), or
//! a fixed rate whatever the server does (open loop).
//!
//! In an open loop, a message's time begins when it was due, not when it was sent: a server that stalls is charged for
//! everybody who would have come meanwhile.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use crate::{
    client::{
        connection::{Closed, Connection},
        engine::{Driver, Engine},
        template::{Template, number_after, text_after},
    },
    progress,
    tally::{InFlight, Tally},
};

/// Stretches of load in this process so far, of all threads.
static STRETCHES: AtomicU64 = AtomicU64::new(1);

/// How messages look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speech {
    Envelope,
    JsonRpc,
}

/// When the next message is sent.
#[derive(Debug, Clone, Copy)]
pub enum Pace {
    /// When an answer has come; so many wait on each connection.
    Closed { in_flight: usize },
    /// One for each of these intervals, on one connection after the other.
    Open { interval: Duration },
}

/// What answers said about who gave them, and when a build was first heard of.
#[derive(Debug, Default)]
pub struct Builds(Mutex<HashMap<u64, Instant>>);

pub struct Load<'a> {
    speech: Speech,
    pace: Pace,
    /// One for all connections, or one for each.
    templates: Vec<Template>,
    begun: Option<Instant>,
    lasts: Duration,
    asks: bool,
    /// Connections that may ask, by place.
    places: Vec<usize>,
    /// Messages that were due so far, in an open loop.
    turns: u32,
    waiting: Vec<InFlight>,
    unanswered: usize,
    pub tally: Tally,
    /// How much later than it was due a message was sent: what the generator itself adds.
    pub lag: Tally,
    builds: Option<&'a Builds>,
    last_build: u64,
    stopper: Stopper,
}

/// Ends a load before its time.
#[derive(Debug, Clone, Default)]
pub struct Stopper(Arc<AtomicBool>);

impl Stopper {
    pub fn stop(&self) {
        self.0.store(true, Relaxed);
    }
}

impl Speech {
    /// What stands before the number in an answer.
    fn mark(self) -> &'static str {
        match self {
            Self::Envelope => r#""correlation_id":""#,
            Self::JsonRpc => r#""id":""#,
        }
    }

    /// The code of a refusal.
    fn refusal(self, text: &[u8]) -> Option<&str> {
        match self {
            Self::Envelope if text.starts_with(br#"{"type":"error""#) => {
                Some(text_after(text, r#""code":""#).unwrap_or("error"))
            }
            Self::JsonRpc if memchr::memmem::find(text, br#""error":{"#).is_some() => {
                Some(text_after(text, r#""message":""#).unwrap_or("error"))
            }
            Self::JsonRpc if memchr::memmem::find(text, br#""isError":true"#).is_some() => Some("isError"),
            _ => None,
        }
    }
}

impl Builds {
    pub fn forget(&self, build: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&build);
    }

    pub fn heard_at(&self, build: u64) -> Option<Instant> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&build).copied()
    }

    fn note(&self, build: u64, now: Instant) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(build).or_insert(now);
    }
}

impl<'a> Load<'a> {
    /// `text` has the number where [`crate::client::template::NUMBER`] stands.
    pub fn new(speech: Speech, pace: Pace, text: &str, lasts: Duration) -> Self {
        Self::of(speech, pace, vec![Template::new(text)], lasts)
    }

    /// With several templates, connections have them in turn, by their places.
    pub fn of(speech: Speech, pace: Pace, templates: Vec<Template>, lasts: Duration) -> Self {
        Self {
            speech,
            pace,
            templates,
            begun: None,
            lasts,
            asks: true,
            places: Vec::new(),
            turns: 0,
            waiting: Vec::new(),
            unanswered: 0,
            tally: Tally::default(),
            lag: Tally::default(),
            builds: None,
            last_build: 0,
            stopper: Stopper::default(),
        }
    }

    pub fn watching(mut self, builds: &'a Builds) -> Self {
        self.builds = Some(builds);
        self
    }

    pub fn stopped_by(mut self, stopper: Stopper) -> Self {
        self.stopper = stopper;
        self
    }

    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// What was found; whatever has no answer by now is lost.
    pub fn finish(mut self) -> (Tally, Tally) {
        self.tally.lost += self.unanswered as u64;
        (self.tally, self.lag)
    }

    fn begin(&mut self, engine: &mut Engine, now: Instant) -> Instant {
        self.begun = Some(now);
        self.places = engine.places();
        let count = self.places.last().map_or(0, |last| last + 1);
        let stretch = STRETCHES.fetch_add(1, Relaxed);
        self.waiting.resize_with(count, || InFlight::of_stretch(stretch));
        if let Pace::Closed { in_flight } = self.pace {
            for place in self.places.clone() {
                (0..in_flight).for_each(|_| self.ask(engine, place, now));
            }
        }
        now
    }

    fn ask(&mut self, engine: &mut Engine, place: usize, due: Instant) {
        let number = self.waiting[place].begin(due);
        let count = self.templates.len();
        engine.send(place, self.templates[place % count].with(number));
        self.tally.sent += 1;
        self.unanswered += 1;
    }

    /// Sends what was due. Returns when the next is.
    fn keep_pace(&mut self, engine: &mut Engine, begun: Instant, interval: Duration, now: Instant) -> Instant {
        loop {
            let due = begun + interval * self.turns;
            if due > now || self.places.is_empty() {
                return due;
            }
            let place = self.places[self.turns as usize % self.places.len()];
            self.ask(engine, place, due);
            self.lag.took(now - due);
            self.turns += 1;
        }
    }
}

impl Driver for Load<'_> {
    fn message(&mut self, connection: &mut Connection, text: &[u8], now: Instant) {
        let refusal = self.speech.refusal(text);
        let number = number_after(text, self.speech.mark());
        let Some((number, waiting)) = number.zip(self.waiting.get_mut(connection.id)) else {
            // A heartbeat, or an error that is about no message of ours.
            refusal.inspect(|code| self.tally.error(code));
            return;
        };
        let Some(since) = waiting.end(number) else {
            self.tally.twice += 1;
            return;
        };
        self.unanswered -= 1;
        match refusal {
            None => self.tally.took(now - since),
            Some(code) => self.tally.error(code),
        }
        progress::count(1);
        if let Some(builds) = self.builds
            && let Some(build) = number_after(text, r#""build":""#)
            && build != self.last_build
        {
            self.last_build = build;
            builds.note(build, now);
        }
        if self.asks && matches!(self.pace, Pace::Closed { .. }) {
            // From now on, not from when the answer before it was read: what else was in that read is our own delay.
            let number = waiting.begin(Instant::now());
            let count = self.templates.len();
            connection.send(self.templates[connection.id % count].with(number));
            self.tally.sent += 1;
            self.unanswered += 1;
        }
    }

    fn closed(&mut self, id: usize, how: Closed, _now: Instant) {
        self.tally.error(&how.word());
        self.places.retain(|place| *place != id);
        if let Some(waiting) = self.waiting.get_mut(id) {
            self.tally.lost += waiting.len() as u64;
            self.unanswered -= waiting.len();
            // Its place may be somebody else's next, whose numbers must not be these.
            *waiting = InFlight::of_stretch(STRETCHES.fetch_add(1, Relaxed));
        }
    }

    fn due(&mut self, engine: &mut Engine, now: Instant) -> Option<Instant> {
        let begun = match self.begun {
            Some(begun) => begun,
            None => self.begin(engine, now),
        };
        let end = begun + self.lasts;
        if now >= end || self.stopper.0.load(Relaxed) {
            self.asks = false;
            return None;
        }
        match self.pace {
            Pace::Closed { .. } => Some(end),
            Pace::Open { interval } => Some(self.keep_pace(engine, begun, interval, now).min(end)),
        }
    }

    fn is_done(&self) -> bool {
        !self.asks && self.unanswered == 0
    }
}

/// An object whose text is about this long, of the kind that applications send: strings, numbers, flags and lists.
pub fn payload(bytes: usize) -> String {
    const ITEM: &str = r#"{"id":1048577,"name":"a line of an order","price":12.5,"tags":["red","blue"],"open":true}"#;
    let mut text = String::from(r#"{"items":["#);
    while text.len() + ITEM.len() + 16 < bytes {
        let comma = if text.ends_with('[') { "" } else { "," };
        text.push_str(comma);
        text.push_str(ITEM);
    }
    text.push_str(r#"],"note":""#);
    while text.len() + 2 < bytes {
        text.push('x');
    }
    text.push_str(r#""}"#);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_json_objects_of_the_size_asked_for() {
        for bytes in [64, 200, 2_048, 10_240] {
            let text = payload(bytes);
            assert_eq!(text.len(), bytes);
            assert!(serde_json::from_str::<serde_json::Value>(&text).unwrap().is_object(), "{text}");
        }
    }

    #[test]
    fn refusals_are_recognised_in_either_speech() {
        let error = br#"{"type":"error","payload":{"code":"PLUGIN_BUSY"}}"#;
        assert_eq!(Speech::Envelope.refusal(error), Some("PLUGIN_BUSY"));
        assert_eq!(Speech::Envelope.refusal(br#"{"type":"echo_result","payload":{"code":"x"}}"#), None);
        let error = br#"{"jsonrpc":"2.0","id":"1","error":{"code":-32601,"message":"no"}}"#;
        assert_eq!(Speech::JsonRpc.refusal(error), Some("no"));
        assert_eq!(Speech::JsonRpc.refusal(br#"{"jsonrpc":"2.0","id":"1","result":{}}"#), None);
    }
}
