//! The life of a session against a model that is too simple to be wrong: a list of all messages that
//! were ever pushed, and what the client has seen of it.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use bytes::Bytes;
use proptest::prelude::*;
use switchboard_protocol::{MessageType, ResumeFailure};

use super::{Core, Life, Push, ResumeRequest, Resumption};
use crate::session::{
    frame::{Frame, Outgoing, Volatile},
    ring::{Bounds, Ring},
    token::TokenDigest,
};

const EPOCH: &str = "epoch";
const WINDOW: Duration = Duration::from_secs(10);
const BOUNDS: Bounds =
    Bounds { window_bytes: 12, window_frames: 6, kept_for: WINDOW, waiting_bytes: 24, waiting_frames: 12 };

/// What can happen to a session.
#[derive(Debug, Clone)]
enum Step {
    /// A frame of so many bytes.
    Push(usize),
    /// One that may take the place of an older one.
    PushVolatile(usize),
    /// The writer has its turn.
    Take,
    /// So many frames that are under way reach the application.
    Arrive(usize),
    /// A pong for the newest receipt that was asked for and whose frames arrived.
    Pong,
    /// The application acknowledges all but the last so many.
    Ack(u64),
    AckAhead,
    Cut,
    /// Another socket comes, with everything that arrived; it may come while the first still lives.
    Resume,
    /// `resumed` was lost on the way: the client has the old token.
    ResumeBlindly,
    ResumeWithWrongToken,
    ResumeInOtherEpoch,
    ResumeAhead,
    /// Milliseconds.
    Wait(u64),
    /// A socket that was fenced acts.
    ActLate,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1_usize..6).prop_map(Step::Push),
        4 => (1_usize..6).prop_map(Step::PushVolatile),
        8 => Just(Step::Take),
        6 => (1_usize..5).prop_map(Step::Arrive),
        4 => Just(Step::Pong),
        3 => (0_u64..4).prop_map(Step::Ack),
        1 => Just(Step::AckAhead),
        2 => Just(Step::Cut),
        3 => Just(Step::Resume),
        1 => Just(Step::ResumeBlindly),
        1 => Just(Step::ResumeWithWrongToken),
        1 => Just(Step::ResumeInOtherEpoch),
        1 => Just(Step::ResumeAhead),
        1 => (1_u64..6_000).prop_map(Step::Wait),
        1 => Just(Step::ActLate),
    ]
}

/// Both ends, and the way between them.
struct World {
    core: Core,
    now: Instant,
    /// Everything that was taken in; the first has number 1.
    pushed: Vec<Bytes>,
    made: usize,
    /// The last number that was ever given out.
    written: u64,
    /// On the way to the client, in order.
    under_way: VecDeque<Outgoing>,
    receipts: VecDeque<u64>,
    /// What the application saw last.
    seen: u64,
    acked: u64,
    generation: u64,
    tokens: u64,
    /// The newest token that the client has, and the one before it.
    held: u64,
    connected: bool,
}

impl World {
    fn new() -> Self {
        Self {
            core: Core::new(Ring::new(BOUNDS), EPOCH, token(0)),
            now: Instant::now(),
            pushed: Vec::new(),
            made: 0,
            written: 0,
            under_way: VecDeque::new(),
            receipts: VecDeque::new(),
            seen: 0,
            acked: 0,
            generation: 1,
            tokens: 0,
            held: 0,
            connected: true,
        }
    }

    fn ended(&self) -> bool {
        matches!(self.core.life(), Life::Ended { .. })
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Push(bytes) => self.push(*bytes, None),
            Step::PushVolatile(bytes) => self.push(*bytes, MessageType::parse("tick").ok().map(Volatile::Type)),
            Step::Take => self.take(),
            Step::Arrive(count) => self.arrive(*count),
            Step::Pong => self.pong(),
            Step::Ack(behind) => self.ack(self.seen.saturating_sub(*behind)),
            Step::AckAhead => self.ack_ahead(),
            Step::Cut => self.cut(),
            Step::Resume => self.resume(true),
            Step::ResumeBlindly => self.resume(false),
            Step::ResumeWithWrongToken => {
                self.refused(token(u64::MAX), EPOCH, self.seen, ResumeFailure::TokenInvalid);
            }
            Step::ResumeInOtherEpoch => {
                self.refused(token(self.held), "other", self.seen, ResumeFailure::EpochMismatch)
            }
            Step::ResumeAhead => {
                let ahead = self.pushed.len() as u64 + 1;
                self.refused(token(self.held), EPOCH, ahead, ResumeFailure::SeqAhead);
            }
            Step::Wait(millis) => self.now += Duration::from_millis(*millis),
            Step::ActLate => self.act_late(),
        }
        self.check_memory();
    }

    fn push(&mut self, bytes: usize, volatile: Option<Volatile>) {
        self.made += 1;
        let text = Bytes::from(vec![b'a' + (self.made % 26) as u8; bytes]);
        let was = self.core.life();
        match self.core.push(Frame { bytes: text.clone(), volatile }, self.now) {
            Push::Queued { seq, conflated: true } => {
                assert!(seq > self.written, "what was written is not replaced: the client may have it");
                self.pushed[seq as usize - 1] = text;
            }
            Push::Queued { seq, .. } => {
                self.pushed.push(text);
                assert_eq!(seq, self.pushed.len() as u64);
            }
            Push::TooSlow { .. } => {
                assert_eq!(was, Life::Attached);
                self.pushed.push(text);
                self.cut();
            }
            Push::Overflow => {
                assert!(!matches!(was, Life::Ended { .. }));
                assert_eq!(self.core.life(), Life::Ended { why: ResumeFailure::BufferOverflow });
            }
            Push::Ended => assert!(matches!(was, Life::Ended { .. })),
        }
    }

    fn take(&mut self) {
        let mut batch = VecDeque::new();
        let took = self.core.take(self.generation, &mut batch, u64::MAX);
        assert_eq!(took.is_some(), self.connected && !self.ended());
        let last = batch.iter().filter_map(|frame| frame.seq).max();
        self.written = self.written.max(last.unwrap_or(0));
        self.under_way.extend(batch);
        self.receipts.extend(took.and_then(|took| took.receipt));
    }

    fn arrive(&mut self, count: usize) {
        for _ in 0..count {
            let Some(frame) = self.under_way.pop_front() else { return };
            assert_eq!(frame.seq, Some(self.seen + 1), "the application sees each number once and in order");
            assert_eq!(Some(&frame.bytes), self.pushed.get(self.seen as usize), "and what was pushed under it");
            self.seen += 1;
        }
    }

    fn pong(&mut self) {
        if let Some(seq) = self.receipts.front().copied().filter(|seq| *seq <= self.seen) {
            self.receipts.pop_front();
            self.core.confirm(self.generation, seq, self.now);
            // The token came before any frame of this socket.
            self.held = self.tokens;
        }
    }

    fn ack(&mut self, seq: u64) {
        if self.connected {
            assert_eq!(self.core.ack(self.generation, seq, self.now), Ok(()));
            self.acked = self.acked.max(seq);
        }
    }

    fn ack_ahead(&mut self) {
        let next = self.core.ring().cursor();
        assert_eq!(self.core.ack(self.generation, next, self.now).is_err(), self.connected && !self.ended());
    }

    fn cut(&mut self) {
        assert_eq!(self.core.detach(self.generation, self.now), self.connected && !self.ended());
        self.lose_the_way();
    }

    fn lose_the_way(&mut self) {
        self.connected = false;
        self.under_way.clear();
        self.receipts.clear();
    }

    /// `arrives`: whether the client gets to know its new token.
    fn resume(&mut self, arrives: bool) {
        let before = self.core.life();
        let request = ResumeRequest { token: token(self.held), epoch: EPOCH, last_seq: self.seen };
        match self.core.resume(request, token(self.tokens + 1), WINDOW, self.now) {
            Ok(Resumption { generation, replay_from, replay_to }) => {
                assert!(generation > self.generation);
                assert_eq!((replay_from, replay_to), (self.seen + 1, self.pushed.len() as u64));
                assert!(replay_from > self.acked, "what was acknowledged is never replayed");
                self.lose_the_way();
                (self.generation, self.connected) = (generation, true);
                self.tokens += 1;
                if arrives {
                    self.held = self.tokens;
                }
            }
            Err(reason) => self.check_refusal(before, reason),
        }
    }

    /// A client that has the right token and counts right is refused for one of two reasons.
    fn check_refusal(&self, before: Life, reason: ResumeFailure) {
        assert_eq!(before, self.core.life(), "a refusal changes nothing");
        match before {
            Life::Ended { why } => assert_eq!(reason, why),
            Life::Detached { since } => {
                assert_eq!(reason, ResumeFailure::WindowExceeded);
                let too_late = self.now > since + WINDOW;
                assert!(too_late, "what the client has not seen is kept as long as it may come back");
            }
            Life::Attached => panic!("a client that has the right token takes over: {reason:?}"),
        }
    }

    fn refused(&mut self, token: TokenDigest, epoch: &str, last_seq: u64, expected: ResumeFailure) {
        let before = self.core.life();
        let next = self.core.ring().next();
        let request = ResumeRequest { token, epoch, last_seq };
        let reason = self.core.resume(request, self::token(9_999), WINDOW, self.now).expect_err("it is wrong");
        assert_eq!((self.core.life(), self.core.ring().next()), (before, next), "a refusal changes nothing");
        match before {
            Life::Ended { why } => assert_eq!(reason, why),
            _ => assert_eq!(reason, expected),
        }
    }

    fn act_late(&mut self) {
        let late = self.generation - 1;
        let before = self.core.ring().cursor();
        assert_eq!(self.core.take(late, &mut VecDeque::new(), u64::MAX), None);
        self.core.confirm(late, u64::MAX, self.now);
        assert_eq!(self.core.ack(late, u64::MAX, self.now), Ok(()));
        assert!(!self.core.detach(late, self.now));
        assert_eq!(self.core.ring().cursor(), before, "a socket that was fenced changes nothing");
    }

    fn check_memory(&self) {
        let ring = self.core.ring();
        let held: usize = ring.frames().map(|frame| frame.bytes.len()).sum();
        // A window is kept, another is in flight, and twice the bounds may wait; twice again, when a
        // replay of as much is not held against the client. And the frame that was too much.
        let most = 3 * BOUNDS.window_bytes + 2 * (2 * BOUNDS.waiting_bytes + BOUNDS.window_bytes) + 6;
        assert!(held <= most, "{held} bytes are held");
        assert!(!self.ended() || held == 0);
    }
}

fn token(number: u64) -> TokenDigest {
    TokenDigest::of(&number.to_string())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_a_client_sees_every_message_once_and_in_order(steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World::new();
        for step in &steps {
            world.apply(step);
        }
    }

    #[test]
    fn a_client_that_comes_back_in_time_gets_all_of_it(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World::new();
        for step in steps.iter().filter(|step| !matches!(step, Step::Wait(_))) {
            world.apply(step);
        }
        if !world.ended() {
            world.resume(true);
            for _ in 0..500 {
                world.take();
                world.arrive(100);
                world.pong();
            }
            assert_eq!(world.seen, world.pushed.len() as u64);
        }
    }
}
