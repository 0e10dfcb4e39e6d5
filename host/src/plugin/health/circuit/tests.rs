//! The circuit from transition to transition, and its promises under any order of events.

use proptest::prelude::*;

use super::*;

const RULES: Rules =
    Rules { failures_to_open: 3, backoff_min: Duration::from_secs(1), backoff_max: Duration::from_secs(5) };

fn user(number: u64) -> Caller {
    Caller::numbered(number)
}

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
        self.circuit.step(Event::Asked, self.now, 0.0)
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
        assert_eq!(self.ask(), Reaction::Admitted(Pass::Probe));
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
    for _ in 0..5 {
        let State::Open { until, .. } = bench.circuit.state() else { panic!("it is open") };
        waits.push((until - bench.now).as_secs());
        bench.now = until;
        bench.probe();
        bench.fail(Pass::Probe, 1);
    }
    assert_eq!(waits, [1, 2, 4, 5, 5]);
}

#[test]
fn a_probe_that_finds_out_nothing_makes_room_for_another() {
    let mut bench = Bench::opened();
    bench.after(RULES.backoff_min).probe();
    bench.circuit.step(Event::Void(Pass::Probe), bench.now, 0.0);
    bench.probe();
}

#[test]
fn a_probe_that_takes_very_long_does_not_keep_everybody_waiting_and_still_decides() {
    let mut bench = Bench::opened();
    bench.after(RULES.backoff_min).probe();
    let nearly = RULES.backoff_max - Duration::from_millis(1);
    assert_eq!(bench.after(nearly).ask(), refused(Duration::from_millis(1)));
    bench.after(Duration::from_millis(1)).probe();
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
        let Reaction::Refused { retry_after } = circuit.step(Event::Asked, now, 0.0) else { panic!("it is open") };
        assert_eq!(retry_after.as_millis(), millis, "{roll}");
    }
}

#[derive(Debug, Clone)]
enum Act {
    Ask,
    /// Of those that are under way, the one with this number modulo how many there are.
    End(usize, u8, u64),
    Wait(u64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => Just(Act::Ask),
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
                Act::Ask => match bench.ask() {
                    Reaction::Admitted(pass) => {
                        let others = under_way.iter().filter(|other| **other == Pass::Probe).count();
                        if pass == Pass::Probe {
                            let overdue = last_probe.is_some_and(|last| bench.now - last >= RULES.backoff_max);
                            prop_assert!(others == 0 || overdue || freed);
                            (last_probe, freed) = (Some(bench.now), false);
                        }
                        under_way.push(pass);
                    }
                    Reaction::Refused { retry_after } => prop_assert!(retry_after <= RULES.backoff_max),
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
        let reaction = bench.after(RULES.backoff_max * 2).ask();
        prop_assert!(matches!(reaction, Reaction::Admitted(_)));
    }
}
