//! Clients that come, stay a moment, are cut off, come back with `resume`, stay, and say goodbye.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use crate::{
    client::{
        connection::{Closed, Connection},
        engine::{Driver, Engine},
        template::{Template, text_after},
        ticket::Ticket,
        token,
    },
    fleet::user,
    progress,
    tally::Tally,
};

/// Before a client is cut off, and before it leaves.
const STAY: Duration = Duration::from_millis(1500);

/// Users, who take turns: nobody has more than a few visits at a time.
const USERS: u64 = 200;

/// RFC 6455, section 7.4.1.
const NORMAL: u16 = 1000;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    Arriving,
    /// What it would come back with.
    There(Ticket),
    /// On its way back, before and after it asked for its session.
    Returning(Ticket),
    Back,
    Leaving,
}

struct Visit {
    number: u64,
    /// When what it waits for was due.
    since: Instant,
    phase: Phase,
}

pub struct Churn {
    interval: Duration,
    lasts: Duration,
    begun: Option<Instant>,
    /// Visits so far.
    count: u64,
    /// By the place of their connection.
    visits: HashMap<usize, Visit>,
    /// When a visit's stay is over: its place then, and its number.
    stays: VecDeque<(Instant, usize, u64)>,
    over: bool,
    pub arrivals: Tally,
    pub returns: Tally,
}

impl Churn {
    pub fn new(interval: Duration, lasts: Duration) -> Self {
        let (arrivals, returns) = (Tally::default(), Tally::default());
        let (visits, stays) = (HashMap::new(), VecDeque::new());
        Self { interval, lasts, begun: None, count: 0, visits, stays, over: false, arrivals, returns }
    }

    fn open(&mut self, engine: &mut Engine, visit: Visit) {
        let tally = if visit.phase == Phase::Arriving { &mut self.arrivals } else { &mut self.returns };
        tally.sent += 1;
        match engine.open("/ws", &token::of(&format!("visitor-{}", user((visit.number % USERS) as usize))), None) {
            Ok(place) => _ = self.visits.insert(place, visit),
            Err(fault) => tally.error(&fault.kind().to_string()),
        }
    }

    /// Whoever was there is cut off and comes back; whoever was back leaves.
    fn end_stays(&mut self, engine: &mut Engine, now: Instant) {
        while let Some((due, place, number)) = self.stays.front().copied().filter(|(due, ..)| *due <= now) {
            self.stays.pop_front();
            let Some(visit) = self.visits.get_mut(&place).filter(|visit| visit.number == number) else { continue };
            match std::mem::replace(&mut visit.phase, Phase::Leaving) {
                Phase::There(ticket) => {
                    self.visits.remove(&place);
                    engine.cut(place);
                    self.open(engine, Visit { number, since: due, phase: Phase::Returning(ticket) });
                }
                _ => engine.leave(place, NORMAL),
            }
        }
    }

    fn stay(&mut self, place: usize, now: Instant) {
        if let Some(visit) = self.visits.get(&place) {
            self.stays.push_back((now + STAY, place, visit.number));
        }
        progress::count(1);
    }
}

impl Driver for Churn {
    fn message(&mut self, connection: &mut Connection, text: &[u8], now: Instant) {
        let Some(visit) = self.visits.get_mut(&connection.id) else { return };
        match (text_after(text, r#"{"type":""#), &visit.phase) {
            (Some("connection_established"), Phase::Arriving) => match Ticket::in_greeting(text) {
                Some(ticket) => {
                    self.arrivals.took(now - visit.since);
                    visit.phase = Phase::There(ticket);
                    self.stay(connection.id, now);
                }
                None => self.arrivals.error("no ticket"),
            },
            (Some("connection_established"), Phase::Returning(ticket)) => {
                connection.send(Template::new(&ticket.message()).with(0));
            }
            (Some("replay_complete"), Phase::Returning(_)) => {
                self.returns.took(now - visit.since);
                visit.phase = Phase::Back;
                self.stay(connection.id, now);
            }
            (Some("resume_failed"), Phase::Returning(_)) => {
                self.returns.error(text_after(text, r#""reason":""#).unwrap_or("resume_failed"));
                visit.phase = Phase::Back;
                self.stay(connection.id, now);
            }
            (Some("error"), _) => self.arrivals.error(text_after(text, r#""code":""#).unwrap_or("error")),
            _ => {}
        }
    }

    fn closed(&mut self, id: usize, how: Closed, _now: Instant) {
        let Some(visit) = self.visits.remove(&id) else { return };
        match visit.phase {
            Phase::Leaving if how == Closed::Code(NORMAL) => {}
            Phase::Arriving => self.arrivals.error(&how.word()),
            _ => self.returns.error(&how.word()),
        }
    }

    fn due(&mut self, engine: &mut Engine, now: Instant) -> Option<Instant> {
        let begun = *self.begun.get_or_insert(now);
        self.end_stays(engine, now);
        let mut next = begun + self.interval * u32::try_from(self.count).unwrap_or(u32::MAX);
        while next <= now && next < begun + self.lasts {
            self.open(engine, Visit { number: self.count, since: next, phase: Phase::Arriving });
            self.count += 1;
            next += self.interval;
        }
        self.over = next >= begun + self.lasts;
        let stay = self.stays.front().map(|(due, ..)| *due);
        [stay, (!self.over).then_some(next)].into_iter().flatten().min()
    }

    fn is_done(&self) -> bool {
        self.over && self.visits.is_empty()
    }
}
