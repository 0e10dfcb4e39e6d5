//! By example, and against a list that does the same without an index (`model`).

use std::time::UNIX_EPOCH;

use super::*;

mod model;

const USER: Bounds = Bounds { window: Duration::from_secs(300), ids_per_user: 1000, bytes: 64 << 20 };

struct Fixture {
    answers: Arc<Answers<&'static str>>,
    metrics: Arc<Metrics>,
    bounds: Bounds,
    now: Instant,
}

fn fixture() -> Fixture {
    let metrics = Metrics::new();
    Fixture { answers: Answers::new(metrics.clone()), metrics, bounds: USER, now: Instant::now() }
}

fn key(user: u128, message: u128) -> Key {
    Key { user, message: user << 64 | message }
}

fn from(session: &str) -> Origin {
    Origin { session_id: session.into(), connection_id: format!("ws_{session}").into(), seq: None }
}

fn text(length: usize) -> Option<StoredAnswer> {
    Some(StoredAnswer { message_type: "echo".into(), payload: "x".repeat(length).into(), timestamp: 1.5 })
}

impl Fixture {
    fn begin(&self, key: Key, session: &'static str) -> Begun<&'static str> {
        self.answers.begin(key, from(session), &session, &self.bounds, self.now)
    }

    #[track_caller]
    fn first(&self, key: Key, session: &'static str) -> Ticket<&'static str> {
        match self.begin(key, session) {
            Begun::New(ticket) => ticket,
            other => panic!("expected a new message, but: {other:?}"),
        }
    }

    #[track_caller]
    fn handled(&self, key: Key, answer: Option<StoredAnswer>) {
        assert_eq!(self.first(key, "a").finish(answer, Some(7), self.now), [""; 0]);
    }

    #[track_caller]
    fn answer(&self, key: Key) -> Remembered {
        match self.begin(key, "z") {
            Begun::Answered { answer, .. } => answer,
            other => panic!("expected an answer, but: {other:?}"),
        }
    }

    fn is_new(&self, key: Key) -> bool {
        matches!(self.begin(key, "z"), Begun::New(_))
    }
}

#[test]
fn a_repeat_gets_the_answer_and_hears_where_it_was_first_given() {
    let fixture = fixture();
    fixture.handled(key(1, 1), text(3));
    let Begun::Answered { answer, origin } = fixture.begin(key(1, 1), "b") else { panic!("expected an answer") };
    assert_eq!(answer, Remembered::Message(Arc::new(text(3).unwrap())));
    assert_eq!(origin, Origin { seq: Some(7), ..from("a") });
}

#[test]
fn a_message_without_an_answer_is_remembered_as_such() {
    let fixture = fixture();
    fixture.handled(key(1, 1), None);
    assert_eq!(fixture.answer(key(1, 1)), Remembered::Silent);
}

#[test]
fn whoever_repeats_while_it_runs_is_answered_at_its_end() {
    let fixture = fixture();
    let ticket = fixture.first(key(1, 1), "a");
    for session in ["b", "c", "b", "a"] {
        assert!(matches!(fixture.begin(key(1, 1), session), Begun::Joined));
    }
    // Each session once, and not the one that is answered anyway.
    assert_eq!(ticket.finish(text(1), None, fixture.now), ["c", "b"]);
    assert!(matches!(fixture.answer(key(1, 1)), Remembered::Message(_)));
}

#[test]
fn what_was_not_handled_is_new_again_and_its_askers_are_told() {
    let fixture = fixture();
    let ticket = fixture.first(key(1, 1), "a");
    assert!(matches!(fixture.begin(key(1, 1), "b"), Begun::Joined));
    assert_eq!(ticket.forget(), ["b"]);
    assert!(fixture.is_new(key(1, 1)));
}

#[test]
fn a_ticket_that_is_lost_in_a_panic_frees_its_message() {
    let fixture = fixture();
    let ticket = fixture.first(key(1, 1), "a");
    let lost = std::thread::spawn(move || {
        let _held = ticket;
        panic!("on purpose");
    });
    assert!(lost.join().is_err());
    assert!(fixture.is_new(key(1, 1)));
}

#[test]
fn askers_of_one_message_are_bounded_and_the_newest_are_kept() {
    let fixture = fixture();
    let answers = Answers::<u32>::new(fixture.metrics.clone());
    let begin = |asker: u32| answers.begin(key(1, 1), from(&asker.to_string()), &asker, &USER, fixture.now);
    let Begun::New(ticket) = begin(0) else { panic!("expected a new message") };
    (1..=100).for_each(|asker| assert!(matches!(begin(asker), Begun::Joined)));
    assert_eq!(ticket.finish(None, None, fixture.now), (37..=100).collect::<Vec<_>>());
}

#[test]
fn the_window_begins_when_it_finished_and_what_runs_has_none() {
    let mut fixture = fixture();
    let ticket = fixture.first(key(1, 1), "a");
    fixture.now += USER.window * 2;
    assert!(matches!(fixture.begin(key(1, 1), "b"), Begun::Joined));
    ticket.finish(None, None, fixture.now);
    fixture.now += USER.window - Duration::from_millis(1);
    assert_eq!(fixture.answer(key(1, 1)), Remembered::Silent);
    fixture.now += Duration::from_millis(1);
    assert!(fixture.is_new(key(1, 1)));
}

#[test]
fn of_a_user_who_sends_too_many_those_that_finished_first_are_forgotten() {
    let mut fixture = fixture();
    fixture.bounds.ids_per_user = 2;
    let running = fixture.first(key(1, 0), "a");
    (1..=3).for_each(|id| fixture.handled(key(1, id), None));
    fixture.handled(key(17, 1), None);
    assert!(matches!(fixture.begin(key(1, 0), "b"), Begun::Joined), "what runs is not counted");
    assert!(fixture.is_new(key(1, 1)));
    assert_eq!(fixture.answer(key(1, 2)), Remembered::Silent);
    assert_eq!(fixture.answer(key(17, 1)), Remembered::Silent, "another user of the same shard");
    assert_eq!(fixture.metrics.forgotten_messages.get(), 1);
    drop(running);
}

#[test]
fn an_answer_that_is_too_long_is_not_kept_and_still_not_handled_again() {
    let fixture = fixture();
    fixture.handled(key(1, 1), text(MAX_ANSWER_BYTES));
    assert_eq!(fixture.answer(key(1, 1)), Remembered::NotKept);
}

#[test]
fn texts_give_way_before_messages_are_forgotten() {
    let mut fixture = fixture();
    // 32 KiB for texts in each shard, and room for 81 records beside them.
    fixture.bounds.bytes = 1 << 20;
    (0..40).for_each(|id| fixture.handled(key(1, id), text(1000)));
    assert_eq!(fixture.answer(key(1, 0)), Remembered::NotKept);
    assert!(matches!(fixture.answer(key(1, 39)), Remembered::Message(_)));
    (40..100).for_each(|id| fixture.handled(key(1, id), None));
    assert!(fixture.is_new(key(1, 0)));
    assert_eq!(fixture.answer(key(1, 99)), Remembered::Silent);
    assert_eq!(fixture.metrics.forgotten_messages.get(), 100 - 81);
}

#[test]
fn the_metrics_count_repeats_and_what_is_remembered() {
    let mut fixture = fixture();
    fixture.handled(key(1, 1), text(1));
    let ticket = fixture.first(key(2, 1), "a");
    fixture.answer(key(1, 1));
    fixture.begin(key(2, 1), "b");
    let repeats = |outcome| fixture.metrics.repeated_messages.get_or_create(&Outcome { outcome }).get();
    assert_eq!((repeats("answered"), repeats("joined")), (1, 1));
    assert_eq!(fixture.metrics.remembered_messages.get(), 2);
    drop(ticket);
    fixture.now += USER.window;
    fixture.answers.expire(&USER, fixture.now);
    assert_eq!(fixture.metrics.remembered_messages.get(), 0);
}

/// What the next process has, that starts when `away` has passed by the clock on the wall.
fn restarted(before: &Fixture, away: Duration) -> Fixture {
    let saved = before.answers.export(before.now, UNIX_EPOCH + Duration::from_secs(1_000_000));
    let bytes = postcard::to_allocvec(&saved).unwrap();
    let saved: Vec<SavedAnswer> = postcard::from_bytes(&bytes).unwrap();
    let after = fixture();
    after.answers.restore(saved, &USER, after.now, UNIX_EPOCH + Duration::from_secs(1_000_000) + away);
    after
}

#[test]
fn a_repeat_after_a_restart_is_answered_and_what_was_running_is_called_interrupted() {
    let mut before = fixture();
    before.handled(key(1, 1), text(3));
    before.now += Duration::from_secs(100);
    let _running = before.first(key(1, 2), "a");
    let mut after = restarted(&before, Duration::from_secs(50));
    let Begun::Answered { answer, origin } = after.begin(key(1, 1), "b") else { panic!("expected an answer") };
    assert_eq!(answer, Remembered::Message(Arc::new(text(3).unwrap())));
    assert_eq!(origin, Origin { seq: Some(7), ..from("a") });
    assert_eq!(after.answer(key(1, 2)), Remembered::Interrupted);
    // Both go on to age.
    after.now += Duration::from_secs(150);
    assert!(after.is_new(key(1, 1)));
    assert_eq!(after.answer(key(1, 2)), Remembered::Interrupted);
    after.now += Duration::from_secs(100);
    assert!(after.is_new(key(1, 2)));
}

#[test]
fn what_is_too_old_after_a_restart_is_not_taken_back() {
    let before = fixture();
    before.handled(key(1, 1), None);
    assert!(restarted(&before, USER.window).is_new(key(1, 1)));
}

#[test]
fn what_is_known_already_is_not_replaced_by_what_was_saved() {
    let before = fixture();
    before.handled(key(1, 1), None);
    let saved = before.answers.export(before.now, UNIX_EPOCH);
    let after = fixture();
    let ticket = after.first(key(1, 1), "a");
    after.answers.restore(saved, &USER, after.now, UNIX_EPOCH);
    assert_eq!(ticket.finish(text(1), None, after.now), [""; 0]);
    assert!(matches!(after.answer(key(1, 1)), Remembered::Message(_)));
}
