//! The ring by itself: what is numbered, what is let go, what waits for a receipt.

use switchboard_protocol::MessageType;

use super::*;

const BOUNDS: Bounds = Bounds {
    window_bytes: 8,
    window_frames: 4,
    kept_for: Duration::from_secs(10),
    waiting_bytes: 20,
    waiting_frames: 10,
};

fn filled(texts: &[&'static str]) -> (Ring, Instant) {
    let (mut ring, now) = (Ring::new(BOUNDS), Instant::now());
    for text in texts {
        ring.push(Frame::kept(*text), 1, now);
    }
    (ring, now)
}

fn volatile(name: &str, text: &'static str) -> Frame {
    Frame { bytes: text.into(), volatile: Some(Volatile::Type(MessageType::parse(name).unwrap())) }
}

fn taken(ring: &mut Ring) -> (Vec<(u64, Bytes)>, Took) {
    let mut batch = VecDeque::new();
    let took = ring.take(&mut batch, u64::MAX);
    (batch.into_iter().map(|frame| (frame.seq.unwrap(), frame.bytes)).collect(), took)
}

fn numbers(ring: &mut Ring) -> Vec<u64> {
    taken(ring).0.into_iter().map(|(seq, _)| seq).collect()
}

#[test]
fn frames_are_numbered_from_one_and_come_out_in_order() {
    let (mut ring, _) = filled(&["a", "b", "c"]);
    assert_eq!(taken(&mut ring).0, [(1, "a".into()), (2, "b".into()), (3, "c".into())]);
    assert!(numbers(&mut ring).is_empty());
}

#[test]
fn no_more_is_in_flight_than_the_window_and_a_receipt_opens_it() {
    let (mut ring, now) = filled(&["aaaa", "bbb", "cc", "d"]);
    let (frames, took) = taken(&mut ring);
    assert_eq!((frames.len(), took), (2, Took { receipt: Some(2), blocked: true }));
    assert_eq!(taken(&mut ring).1, Took { receipt: None, blocked: true }, "it was asked for already");
    ring.confirm(1, now);
    assert_eq!(numbers(&mut ring), [3, 4]);
    ring.confirm(9, now);
    assert_eq!((ring.confirmed, ring.in_flight), (4, Size::default()), "what was not sent is not believed");
}

#[test]
fn a_frame_that_is_larger_than_the_window_goes_alone() {
    let (mut ring, now) = filled(&["a", "bbbbbbbbbbbb", "c"]);
    assert_eq!(numbers(&mut ring), [1]);
    ring.confirm(1, now);
    assert_eq!(taken(&mut ring), (vec![(2, "bbbbbbbbbbbb".into())], Took { receipt: Some(2), blocked: true }));
    ring.confirm(2, now);
    assert_eq!(numbers(&mut ring), [3]);
}

#[test]
fn what_is_acknowledged_is_dropped_and_what_was_not_sent_cannot_be() {
    let (mut ring, now) = filled(&["a", "b", "c"]);
    assert_eq!(ring.ack(1, now), Err(Ahead));
    numbers(&mut ring);
    assert_eq!((ring.ack(2, now), ring.first(), ring.frames().count()), (Ok(()), 3, 1));
    assert_eq!((ring.ack(1, now), ring.first()), (Ok(()), 3), "a late acknowledgement changes nothing");
    assert_eq!(ring.ack(4, now), Err(Ahead));
    assert_eq!((ring.can_resume(1), ring.can_resume(2)), (Err(Gone), Ok(())));
}

#[test]
fn only_what_arrived_is_let_go_when_there_is_too_much_or_it_is_old() {
    let (mut ring, now) = filled(&["aaa", "bbb", "ccc"]);
    numbers(&mut ring);
    ring.confirm(2, now);
    numbers(&mut ring);
    assert_eq!(ring.first(), 1);
    ring.confirm(3, now);
    assert_eq!(ring.first(), 2, "nine bytes arrived, and eight are kept");
    ring.push(Frame::kept("d"), 1, now);
    ring.let_go(now + Duration::from_secs(11));
    assert_eq!((ring.first(), ring.frames().count()), (4, 1), "what waits is never let go");
}

#[test]
fn a_socket_that_vanishes_leaves_nothing_behind_that_is_lost() {
    let (mut ring, now) = filled(&["a", "b", "c", "d", "e"]);
    assert_eq!(numbers(&mut ring), [1, 2, 3, 4]);
    ring.confirm(2, now);
    ring.rewind();
    assert_eq!(ring.waiting, Size { bytes: 3, frames: 3 });
    ring.resume(1);
    assert_eq!(numbers(&mut ring), [2, 3, 4, 5]);
    assert_eq!(ring.first(), 2);
}

#[test]
fn a_replay_is_not_held_against_the_client() {
    let (mut ring, now) = (Ring::new(BOUNDS), Instant::now());
    let push = |ring: &mut Ring, slack| ring.push(Frame::kept("xxxxxxxxxx"), slack, now);
    assert_eq!(
        (push(&mut ring, 1), push(&mut ring, 1), push(&mut ring, 1)),
        (Pushed::Queued { seq: 1 }, Pushed::Queued { seq: 2 }, Pushed::TooMuch { seq: 3 })
    );
    ring.rewind();
    assert_eq!((push(&mut ring, 2), push(&mut ring, 2)), (Pushed::Queued { seq: 4 }, Pushed::TooMuch { seq: 5 }));
    ring.resume(0);
    assert_eq!(
        (push(&mut ring, 1), push(&mut ring, 1), push(&mut ring, 1)),
        (Pushed::Queued { seq: 6 }, Pushed::Queued { seq: 7 }, Pushed::TooMuch { seq: 8 })
    );
    numbers(&mut ring);
    assert_eq!(ring.allowance.bytes, 50);
}

#[test]
fn the_newest_of_a_volatile_type_takes_the_place_of_the_one_that_waits() {
    let (mut ring, now) = filled(&[]);
    for frame in [volatile("tick", "1"), Frame::kept("k"), volatile("other", "o")] {
        assert!(matches!(ring.push(frame, 1, now), Pushed::Queued { .. }));
    }
    assert_eq!(ring.push(volatile("tick", "22"), 1, now), Pushed::Conflated { seq: 1 });
    assert_eq!(taken(&mut ring).0, [(1, "22".into()), (2, "k".into()), (3, "o".into())]);
    assert_eq!(ring.push(volatile("tick", "3"), 1, now), Pushed::Queued { seq: 4 }, "what is in flight stays as it is");
    assert_eq!(ring.push(volatile("tick", "4"), 1, now), Pushed::Conflated { seq: 4 });
    assert_eq!(numbers(&mut ring), [4]);
}

#[test]
fn it_goes_on_where_it_was_saved() {
    let now = Instant::now();
    let mut ring = Ring::restored(BOUNDS, 7, vec![Frame::kept("g"), Frame::kept("h")], now);
    assert_eq!((ring.next(), ring.can_resume(6), ring.can_resume(5)), (9, Ok(()), Err(Gone)));
    ring.resume(7);
    assert_eq!(numbers(&mut ring), [8]);
}

#[test]
fn what_was_ever_written_is_not_replaced_for_the_client_may_have_it() {
    let (mut ring, now) = filled(&[]);
    ring.push(volatile("tick", "1"), 1, now);
    numbers(&mut ring);
    ring.rewind();
    assert_eq!(ring.push(volatile("tick", "2"), 2, now), Pushed::Queued { seq: 2 });
    assert_eq!(ring.push(volatile("tick", "3"), 2, now), Pushed::Conflated { seq: 2 });
    ring.resume(1);
    assert_eq!(taken(&mut ring).0, [(2, "3".into())]);

    let mut restored = Ring::restored(BOUNDS, 7, vec![volatile("tick", "7")], now);
    assert_eq!(restored.push(volatile("tick", "8"), 2, now), Pushed::Queued { seq: 8 });
}

#[test]
fn what_one_watch_causes_conflates_and_what_others_of_its_type_do_does_not() {
    let (mut ring, now) = (Ring::new(BOUNDS), Instant::now());
    let changed = |watch: u64, text: &'static str| Frame { bytes: text.into(), volatile: Some(Volatile::Watch(watch)) };
    for (watch, text) in [(1, "a"), (2, "b"), (1, "c"), (1, "d")] {
        ring.push(changed(watch, text), 1, now);
    }
    assert_eq!(ring.frames().map(|frame| frame.bytes).collect::<Vec<_>>(), ["d", "b"]);
}
