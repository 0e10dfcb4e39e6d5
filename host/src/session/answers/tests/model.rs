//! Random interleavings against a list that is searched from end to end.

use proptest::{
    collection::vec,
    prelude::{Just, Strategy, any},
    prop_assert, prop_assert_eq, prop_oneof, proptest,
};

use super::*;
use crate::session::answers::shard::{RECORD_BYTES, half_of_share, longest_text};

/// Tight, so that all of them are reached: two texts and six records in a shard, four of a user.
const TIGHT: Bounds = Bounds { window: Duration::from_secs(10), ids_per_user: 4, bytes: 16 * 2 * 6 * RECORD_BYTES };

#[derive(Debug, Clone)]
enum Step {
    Begin {
        user: u128,
        id: u128,
        session: usize,
    },
    /// Of the tickets that are held, the one at this place (modulo).
    Finish {
        ticket: usize,
        text: Option<usize>,
    },
    Forget {
        ticket: usize,
    },
    Drop {
        ticket: usize,
    },
    Pass {
        millis: u64,
    },
    Expire,
    Restart {
        away: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    // Users 0, 16 and 32 share a shard.
    let user = prop_oneof![Just(0_u128), Just(16), Just(32), Just(1)];
    let ticket = any::<usize>();
    prop_oneof![
        8 => (user, 0..6_u128, 0..4_usize).prop_map(|(user, id, session)| Step::Begin { user, id, session }),
        6 => (ticket, proptest::option::of(0..3000_usize)).prop_map(|(ticket, text)| Step::Finish { ticket, text }),
        1 => any::<usize>().prop_map(|ticket| Step::Forget { ticket }),
        1 => any::<usize>().prop_map(|ticket| Step::Drop { ticket }),
        2 => (0..8_u64).prop_map(|halves| Step::Pass { millis: 500 * halves }),
        1 => Just(Step::Expire),
        1 => (0..8_u64).prop_map(|halves| Step::Restart { away: 500 * halves }),
    ]
}

#[derive(Debug, Clone)]
struct Known {
    key: Key,
    session: usize,
    /// Sessions, in the order in which they last asked.
    askers: Vec<usize>,
    /// When, and the length of the text with its overhead.
    finished: Option<(u64, Outcome)>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Outcome {
    Text(usize),
    Silent,
    NotKept,
}

impl From<Remembered> for Outcome {
    fn from(answer: Remembered) -> Self {
        match answer {
            Remembered::Message(answer) => Self::Text(answer.payload.len()),
            Remembered::Silent => Self::Silent,
            Remembered::NotKept => Self::NotKept,
            Remembered::Interrupted => unreachable!("nothing runs at a restart"),
        }
    }
}

/// In the order of finishing, with what is running anywhere.
#[derive(Debug, Default)]
struct Model {
    known: Vec<Known>,
    millis: u64,
}

fn bytes(length: usize) -> usize {
    size_of::<StoredAnswer>() + "echo".len() + length
}

impl Model {
    fn expire(&mut self, shard: Option<usize>) {
        let window = TIGHT.window.as_millis() as u64;
        self.known.retain(|known| {
            let old = known.finished.is_some_and(|(at, _)| self.millis >= at + window);
            !(old && shard.is_none_or(|shard| known.key.shard() == shard))
        });
    }

    fn find(&mut self, key: Key) -> Option<&mut Known> {
        self.known.iter_mut().find(|known| known.key == key)
    }

    fn remove(&mut self, key: Key) -> Known {
        let at = self.known.iter().position(|known| known.key == key).unwrap();
        self.known.remove(at)
    }

    fn finish(&mut self, key: Key, text: Option<usize>) -> Vec<usize> {
        let mut known = self.remove(key);
        let outcome = match text {
            Some(length) if bytes(length) > longest_text(&TIGHT) => Outcome::NotKept,
            Some(length) => Outcome::Text(length),
            None => Outcome::Silent,
        };
        known.finished = Some((self.millis, outcome));
        let askers = std::mem::take(&mut known.askers);
        self.known.push(known);
        self.keep_within(|other| other.user == key.user, TIGHT.ids_per_user);
        self.keep_within(|other| other.shard() == key.shard(), half_of_share(&TIGHT) / RECORD_BYTES);
        while self.texts(key.shard()) > half_of_share(&TIGHT) {
            let oldest = self.known.iter_mut().find(|known| {
                known.key.shard() == key.shard() && matches!(known.finished, Some((_, Outcome::Text(_))))
            });
            let (_, outcome) = oldest.unwrap().finished.as_mut().unwrap();
            *outcome = Outcome::NotKept;
        }
        askers
    }

    fn keep_within(&mut self, of: impl Fn(Key) -> bool, most: usize) {
        let counts = |known: &Known| known.finished.is_some() && of(known.key);
        while self.known.iter().filter(|known| counts(known)).count() > most {
            let oldest = self.known.iter().position(counts).unwrap();
            self.known.remove(oldest);
        }
    }

    fn texts(&self, shard: usize) -> usize {
        let texts = self.known.iter().filter(|known| known.key.shard() == shard).map(|known| match known.finished {
            Some((_, Outcome::Text(length))) => bytes(length),
            _ => 0,
        });
        texts.sum()
    }
}

proptest! {
    #[test]
    fn it_does_what_a_list_would_do(steps in vec(step(), 1..120)) {
        let metrics = Metrics::new();
        let mut answers = Answers::<usize>::new(metrics.clone());
        let mut model = Model::default();
        let mut tickets: Vec<Ticket<usize>> = Vec::new();
        let start = Instant::now();
        let wall = UNIX_EPOCH + Duration::from_secs(1_000_000);
        for step in steps {
            let passed = Duration::from_millis(model.millis);
            let now = start + passed;
            let taken = |tickets: &mut Vec<Ticket<usize>>, ticket: usize| {
                (!tickets.is_empty()).then(|| { let at = ticket % tickets.len(); tickets.remove(at) })
            };
            match step {
                Step::Begin { user, id, session } => {
                    let key = key(user, id);
                    model.expire(Some(key.shard()));
                    let begun = answers.begin(key, from(&session.to_string()), &session, &TIGHT, now);
                    match (begun, model.find(key)) {
                        (Begun::New(ticket), None) => {
                            tickets.push(ticket);
                            model.known.push(Known { key, session, askers: Vec::new(), finished: None });
                        }
                        (Begun::Joined, Some(Known { askers, finished: None, session: first, .. })) => {
                            askers.retain(|asker| *asker != session);
                            askers.extend((session != *first).then_some(session));
                        }
                        (Begun::Answered { answer, origin }, Some(Known { finished: Some((_, outcome)), session, .. })) => {
                            prop_assert_eq!(Outcome::from(answer), *outcome);
                            prop_assert_eq!(&*origin.session_id, session.to_string());
                        }
                        (begun, known) => prop_assert!(false, "{begun:?} for {known:?}"),
                    }
                }
                Step::Finish { ticket, text: length } => {
                    if let Some(ticket) = taken(&mut tickets, ticket) {
                        let expected = model.finish(ticket.key, length);
                        prop_assert_eq!(ticket.finish(length.and_then(text), None, now), expected);
                    }
                }
                Step::Forget { ticket } => {
                    if let Some(ticket) = taken(&mut tickets, ticket) {
                        let expected = model.remove(ticket.key).askers;
                        prop_assert_eq!(ticket.forget(), expected);
                    }
                }
                Step::Drop { ticket } => {
                    if let Some(ticket) = taken(&mut tickets, ticket) {
                        model.remove(ticket.key);
                    }
                }
                Step::Pass { millis } => model.millis += millis,
                Step::Expire => {
                    model.expire(None);
                    answers.expire(&TIGHT, now);
                }
                Step::Restart { away } => {
                    // In which order running ones are saved is open, so here nothing runs.
                    tickets.clear();
                    model.known.retain(|known| known.finished.is_some());
                    let saved = answers.export(now, wall + passed);
                    model.millis += away;
                    model.expire(None);
                    let passed = Duration::from_millis(model.millis);
                    metrics.remembered_messages.set(0);
                    answers = Answers::new(metrics.clone());
                    answers.restore(saved, &TIGHT, start + passed, wall + passed);
                }
            }
            prop_assert_eq!(metrics.remembered_messages.get(), model.known.len() as i64);
        }
        let running = model.known.iter().filter(|known| known.finished.is_none()).count();
        prop_assert_eq!(running, tickets.len());
    }
}
