//! The circuit from transition to transition, and its promises under any order of events.

use proptest::prelude::*;

use super::*;

const RULES: Rules =
    Rules { failures_to_open: 3, backoff_min: Duration::from_secs(1), backoff_max: Duration::from_secs(5) };

fn user(number: u64) -> Asker {
    Asker::numbered(number)
}

/// Through a plugin, whose numbers are beyond those of users.
fn through(plugin: u64, number: u64) -> Asker {
    Asker { user: Caller::numbered(number), through: Caller::numbered(1_000 + plugin) }
}

/// Somebody who was never heard of.
const STRANGER: u64 = 99;

/// A circuit with a clock that stands still unless it is told to go on.
struct Bench {
    circuit: Circuit,
    now: Instant,
}

impl Bench {
    fn new(rules: Rules) -> Self {
        Self { circuit: Circuit::new(rules), now: Instant::now() }
    }

    fn after(&mut self, wait: Duration) -> &mut Self {
        self.now += wait;
        self
    }

    fn ask(&mut self) -> Reaction {
        self.ask_as(STRANGER)
    }

    fn ask_as(&mut self, who: u64) -> Reaction {
        self.circuit.step(Event::Asked(user(who)), self.now, 0.0)
    }

    fn fail(&mut self, pass: Pass, who: u64) {
        self.circuit.step(Event::Failed(pass, user(who)), self.now, 0.0);
    }

    fn serve(&mut self, pass: Pass, who: u64) {
        self.circuit.step(Event::Served(pass, user(who)), self.now, 0.0);
    }

    fn is_open(&self) -> bool {
        matches!(self.circuit.state(), State::Open { .. })
    }

    /// Opened by two users.
    fn opened() -> Self {
        let mut bench = Self::new(RULES);
        [1, 2, 1].into_iter().for_each(|who| bench.fail(Pass::Ordinary, who));
        assert!(bench.is_open());
        bench
    }

    fn probe(&mut self) {
        self.probe_as(STRANGER);
    }

    fn probe_as(&mut self, who: u64) {
        assert_eq!(self.ask_as(who), Reaction::Admitted(Pass::Probe));
    }
}

fn refused(wait: Duration) -> Reaction {
    Reaction::Refused { retry_after: wait }
}

#[test]
fn failures_in_a_row_open_it_and_a_served_call_begins_the_row_anew() {
    let mut bench = Bench::new(RULES);
    [1, 2].into_iter().for_each(|who| bench.fail(Pass::Ordinary, who));
    bench.serve(Pass::Ordinary, 3);
    [1, 2].into_iter().for_each(|who| bench.fail(Pass::Ordinary, who));
    assert!(!bench.is_open());
    bench.fail(Pass::Ordinary, 1);
    assert!(bench.is_open());
}

#[test]
fn while_it_is_open_calls_are_refused_with_what_is_left() {
    let mut bench = Bench::opened();
    assert_eq!(bench.ask(), refused(RULES.backoff_min));
    assert_eq!(bench.after(Duration::from_millis(400)).ask(), refused(Duration::from_millis(600)));
}

#[test]
fn exactly_one_call_is_the_probe_and_closes_it() {
    let mut bench = Bench::opened();
    bench.after(RULES.backoff_min).probe();
    assert_eq!(bench.ask(), refused(RULES.backoff_min));
    bench.serve(Pass::Probe, 1);
    assert_eq!(bench.ask(), Reaction::Admitted(Pass::Ordinary));
    bench.fail(Pass::Ordinary, 1);
    assert!(!bench.is_open(), "the row began anew");
}

#[test]
fn each_probe_that_fails_doubles_the_backoff_up_to_its_bound() {
    let mut bench = Bench::opened();
    let mut waits = Vec::new();
    for number in 0..5 {
        let State::Open { until, .. } = bench.circuit.state() else { panic!("it is open") };
        waits.push((until - bench.now).as_secs());
        bench.now = until;
        bench.probe_as(number % 2);
        bench.fail(Pass::Probe, number % 2);
    }
    assert_eq!(waits, [1, 2, 4, 5, 5]);
}

#[test]
fn a_probe_that_finds_out_nothing_makes_room_for_another() {
    let mut bench = Bench::opened();
    bench.after(RULES.backoff_min).probe();
    bench.circuit.step(Event::Void(Pass::Probe), bench.now, 0.0);
    assert_eq!(bench.ask(), refused(RULES.backoff_min), "and not for the same one");
    bench.probe_as(5);
}

#[test]
fn who_failed_the_last_probe_leaves_the_next_to_others_for_as_long_as_it_waited() {
    let mut bench = Bench::opened();
    bench.after(RULES.backoff_min).probe_as(1);
    bench.fail(Pass::Probe, 1);
    let backoff = RULES.backoff_min * 2;
    assert_eq!(bench.ask_as(1), refused(backoff * 2));
    assert_eq!(bench.after(backoff).ask_as(1), refused(backoff));
    bench.probe_as(2);
    bench.serve(Pass::Probe, 2);
    assert_eq!(bench.ask_as(1), Reaction::Admitted(Pass::Ordinary));
}

#[test]
fn where_nobody_else_asks_the_same_user_tries_it_again_and_the_wait_does_not_grow() {
    let mut bench = Bench::opened();
    bench.after(RULES.backoff_min).probe_as(1);
    for _ in 0..5 {
        bench.fail(Pass::Probe, 1);
        let State::Open { until, .. } = bench.circuit.state() else { panic!("it is open") };
        assert_eq!(until - bench.now, RULES.backoff_min * 2);
        bench.after(RULES.backoff_min * 4).probe_as(1);
    }
    bench.serve(Pass::Probe, 1);
    assert_eq!(bench.ask_as(1), Reaction::Admitted(Pass::Ordinary));
}

#[test]
fn a_plugin_is_one_caller_whomever_it_acts_for() {
    let mut bench = Bench::new(RULES);
    bench.serve(Pass::Ordinary, 1);
    for number in 0..100 {
        bench.circuit.step(Event::Failed(Pass::Ordinary, through(1, number)), bench.now, 0.0);
    }
    assert!(!bench.is_open());
    bench.circuit.step(Event::Failed(Pass::Ordinary, through(2, 7)), bench.now, 0.0);
    assert!(bench.is_open(), "two plugins find it out");
    let ask = |bench: &mut Bench, asker| bench.circuit.step(Event::Asked(asker), bench.now, 0.0);
    assert_eq!(ask(bench.after(RULES.backoff_min), through(1, 1)), Reaction::Admitted(Pass::Probe));
    bench.circuit.step(Event::Failed(Pass::Probe, through(1, 1)), bench.now, 0.0);
    bench.after(RULES.backoff_min * 2);
    assert!(
        matches!(ask(&mut bench, through(1, 2)), Reaction::Refused { .. }),
        "for another user, it is still the same"
    );
    assert_eq!(ask(&mut bench, user(2)), Reaction::Admitted(Pass::Probe));
}

#[test]
fn one_user_is_one_caller_through_whichever_plugins() {
    let mut bench = Bench::new(RULES);
    for who in [1, 2] {
        bench.circuit.step(Event::Served(Pass::Ordinary, through(1, who)), bench.now, 0.0);
    }
    for number in 0..100 {
        bench.circuit.step(Event::Failed(Pass::Ordinary, through(number % 5, 666)), bench.now, 0.0);
    }
    assert!(!bench.is_open());
}

#[test]
fn whom_it_failed_is_known_until_it_closes() {
    let mut bench = Bench::new(RULES);
    (0..3).for_each(|_| bench.fail(Pass::Ordinary, 1));
    let several = |bench: &Bench| match bench.circuit.state() {
        State::Open { failed, .. } => failed.is_several(),
        other => panic!("{other:?}"),
    };
    assert!(!several(&bench));
    bench.after(RULES.backoff_min).probe_as(2);
    bench.fail(Pass::Probe, 2);
    assert!(several(&bench));
}

#[test]
fn a_probe_that_takes_very_long_does_not_keep_everybody_waiting_and_still_decides() {
    let mut bench = Bench::opened();
    bench.after(RULES.backoff_min).probe();
    let nearly = RULES.backoff_max - Duration::from_millis(1);
    assert_eq!(bench.after(nearly).ask(), refused(Duration::from_millis(1)));
    bench.after(Duration::from_millis(1)).probe_as(5);
    assert_eq!(bench.ask(), refused(RULES.backoff_min), "and that one holds the others in turn");
    bench.serve(Pass::Probe, 1);
    assert_eq!(bench.ask(), Reaction::Admitted(Pass::Ordinary));
}

#[test]
fn calls_from_before_it_opened_neither_close_it_nor_keep_it_open() {
    let mut bench = Bench::opened();
    let open = bench.circuit.state();
    bench.serve(Pass::Ordinary, 1);
    bench.fail(Pass::Ordinary, 2);
    assert_eq!(bench.circuit.state(), open);
    bench.after(RULES.backoff_min).probe();
    let half_open = bench.circuit.state();
    bench.serve(Pass::Ordinary, 1);
    bench.fail(Pass::Ordinary, 2);
    assert_eq!(bench.circuit.state(), half_open);
}

#[test]
fn one_user_cannot_open_it_for_those_who_were_served() {
    let mut bench = Bench::new(RULES);
    bench.serve(Pass::Ordinary, 1);
    (0..100).for_each(|_| bench.fail(Pass::Ordinary, 666));
    assert!(!bench.is_open());
    bench.fail(Pass::Ordinary, 1);
    assert!(bench.is_open(), "it fails others as well");
}

#[test]
fn a_version_that_has_served_nobody_else_is_left_alone_on_the_word_of_one() {
    for served in [None, Some(7)] {
        let mut bench = Bench::new(RULES);
        served.into_iter().for_each(|who| bench.serve(Pass::Ordinary, who));
        (0..3).for_each(|_| bench.fail(Pass::Ordinary, 7));
        assert!(bench.is_open(), "{served:?}");
    }
}

#[test]
fn with_zero_failures_it_never_opens_and_nobody_asks() {
    let mut bench = Bench::new(Rules { failures_to_open: 0, ..RULES });
    (0..100).for_each(|who| bench.fail(Pass::Ordinary, who));
    assert!(!bench.is_open() && bench.circuit.is_settled());
}

#[test]
fn the_backoff_strays_by_a_tenth_at_most() {
    for (roll, millis) in [(-1.0, 900), (0.0, 1_000), (1.0, 1_100), (9.0, 1_100)] {
        let (mut circuit, now) = (Circuit::new(RULES), Instant::now());
        for who in [1, 2, 3] {
            circuit.step(Event::Failed(Pass::Ordinary, user(who)), now, roll);
        }
        let Reaction::Refused { retry_after } = circuit.step(Event::Asked(user(9)), now, 0.0) else {
            panic!("it is open")
        };
        assert_eq!(retry_after.as_millis(), millis, "{roll}");
    }
}

#[derive(Debug, Clone)]
enum Act {
    Ask(u64),
    /// Of those that are under way, the one with this number modulo how many there are.
    End(usize, u8, u64),
    Wait(u64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (0..3_u64).prop_map(Act::Ask),
        3 => (any::<usize>(), 0..3_u8, 0..3_u64).prop_map(|(which, how, who)| Act::End(which, how, who)),
        1 => (0..6_000_u64).prop_map(Act::Wait),
    ]
}

proptest! {
    #[test]
    fn probes_come_one_at_a_time_and_there_is_always_a_way_back(acts in prop::collection::vec(act(), 1..200)) {
        let mut bench = Bench::new(RULES);
        let mut under_way = Vec::new();
        let mut last_probe = None;
        // By a probe that ended: what others there are were overdue when that one began.
        let mut freed = false;
        for act in acts {
            match act {
                Act::Ask(who) => match bench.ask_as(who) {
                    Reaction::Admitted(pass) => {
                        let others = under_way.iter().filter(|other| **other == Pass::Probe).count();
                        if pass == Pass::Probe {
                            let overdue = last_probe.is_some_and(|last| bench.now - last >= RULES.backoff_max);
                            prop_assert!(others == 0 || overdue || freed);
                            (last_probe, freed) = (Some(bench.now), false);
                        }
                        under_way.push(pass);
                    }
                    Reaction::Refused { retry_after } => prop_assert!(retry_after <= RULES.backoff_max * 2),
                    Reaction::Noted => prop_assert!(false, "an answer is due"),
                },
                Act::End(which, how, who) if !under_way.is_empty() => {
                    let pass = under_way.swap_remove(which % under_way.len());
                    let event = match how {
                        0 => Event::Served(pass, user(who)),
                        1 => Event::Failed(pass, user(who)),
                        _ => Event::Void(pass),
                    };
                    freed |= pass == Pass::Probe;
                    bench.circuit.step(event, bench.now, 0.0);
                }
                Act::End(..) => {}
                Act::Wait(millis) => _ = bench.after(Duration::from_millis(millis)),
            }
        }
        // Whatever happened, once all calls have ended and time has passed, somebody is let in.
        for pass in under_way {
            bench.circuit.step(Event::Void(pass), bench.now, 0.0);
        }
        let reaction = bench.after(RULES.backoff_max * 2).ask_as(0);
        prop_assert!(matches!(reaction, Reaction::Admitted(_)));
    }
}
