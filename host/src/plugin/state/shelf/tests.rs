//! One shelf by itself, with time passed in.

use super::{super::usage::Usage, *};
use crate::{plugin::state::StateScope, telemetry::Metrics};

const QUOTA: usize = 1_000;

fn at(now: u64) -> Bounds {
    Bounds { quota: QUOTA, pool: usize::MAX, now }
}

fn shelf() -> Shelf {
    Shelf::new(Usage::new(Metrics::new()).account(&"notes".into(), StateScope::User))
}

/// With a key of one byte, as much as fits.
fn big() -> Vec<u8> {
    vec![0; QUOTA - ENTRY_OVERHEAD - 1]
}

#[test]
fn entries_end_at_their_time_to_live_and_are_purged() {
    let mut shelf = shelf();
    shelf.set("k", b"v", Some(5), at(100)).unwrap();
    shelf.set("for good", b"v", None, at(100)).unwrap();
    assert_eq!(shelf.get("k", 104), Some(&b"v"[..]));
    assert_eq!(shelf.get("k", 105), None);
    assert!(!shelf.delete("k", 105));
    shelf.set("k", b"v", Some(5), at(100)).unwrap();
    assert_eq!((shelf.purge(104), shelf.purge(105), shelf.purge(106)), (0, 1, 0));
    assert!(shelf.get("for good", u64::MAX).is_some());
    shelf.set("k", b"v", Some(u64::MAX), at(100)).unwrap();
    assert!(shelf.get("k", u64::MAX).is_some(), "longer than the clock can tell is for good");
}

#[test]
fn the_quota_holds_and_what_has_ended_makes_room() {
    let mut shelf = shelf();
    shelf.set("k", &big(), Some(5), at(0)).unwrap();
    assert!(matches!(shelf.set("l", b"0", None, at(4)), Err(StateFault::Quota { quota: QUOTA, .. })));
    shelf.set("l", &big(), None, at(5)).unwrap();
    assert_eq!((shelf.get("k", 0), shelf.bytes()), (None, QUOTA));
}

#[test]
fn beyond_a_quota_that_was_lowered_everything_works_that_does_not_grow() {
    let mut shelf = shelf();
    let lowered = Bounds { quota: 100, ..at(0) };
    shelf.set("k", &[1; 300], None, at(0)).unwrap();
    shelf.set("n", b"5", None, at(0)).unwrap();
    assert!(shelf.get("k", 0).is_some());
    assert_eq!(shelf.increment("n", 1, lowered), Ok(6));
    shelf.set("k", &[2; 299], None, lowered).unwrap();
    assert!(matches!(shelf.set("k", &[2; 300], None, lowered), Err(StateFault::Quota { quota: 100, .. })));
    assert!(matches!(shelf.increment("n", 10, lowered), Err(StateFault::Quota { .. })), "one digit more");
    assert!(shelf.delete("k", 0) && shelf.delete("n", 0) && shelf.is_empty());
    assert_eq!(shelf.bytes(), 0);
}

#[test]
fn the_bound_of_all_together_holds() {
    let usage = Usage::new(Metrics::new());
    let mut shelves = ["a", "b"].map(|plugin| Shelf::new(usage.account(&plugin.into(), StateScope::User)));
    let within = Bounds { pool: 150, ..at(0) };
    shelves[0].set("k", &[0; 10], None, within).unwrap();
    shelves[1].set("k", &[0; 10], None, within).unwrap();
    assert_eq!(shelves[1].set("k", &[0; 11], None, within), Err(StateFault::Full { most: 150 }));
    shelves[0].delete("k", 0);
    shelves[1].set("k", &[0; 11], None, within).unwrap();
}

#[test]
fn numbers_are_added_and_anything_else_is_left_alone() {
    let mut shelf = shelf();
    assert_eq!(shelf.increment("n", 2, at(0)), Ok(2));
    assert_eq!(shelf.increment("n", -5, at(0)), Ok(-3));
    assert_eq!(shelf.get("n", 0), Some(&b"-3"[..]));
    assert_eq!(shelf.increment("n", i64::MIN, at(0)), Err(StateFault::NotANumber));
    shelf.set("t", b"text", None, at(0)).unwrap();
    assert_eq!(shelf.increment("t", 1, at(0)), Err(StateFault::NotANumber));
    assert_eq!(shelf.get("t", 0), Some(&b"text"[..]));
    shelf.set("short", b"1", Some(5), at(0)).unwrap();
    shelf.increment("short", 1, at(1)).unwrap();
    assert_eq!(shelf.get("short", 5), None, "it keeps its time to live");
}

#[test]
fn a_value_is_replaced_only_if_it_is_the_expected_one() {
    let mut shelf = shelf();
    let mut cas = |expected: Option<&[u8]>, value: &[u8]| shelf.compare_and_set("k", expected, value, None, at(0));
    assert_eq!(cas(Some(b"a"), b"b"), Ok(false));
    assert_eq!(cas(None, b"a"), Ok(true));
    assert_eq!(cas(None, b"b"), Ok(false));
    assert_eq!(cas(Some(b"a"), b"b"), Ok(true));
}

#[test]
fn a_journal_names_each_change_once_until_it_was_taken() {
    let backlog = Arc::new(AtomicUsize::new(0));
    let account = Usage::new(Metrics::new()).account(&"notes".into(), StateScope::User);
    let mut shelf = Shelf::loaded(Vec::new(), account, backlog.clone());
    assert!(!shelf.is_dirty());
    for value in [b"1", b"2"] {
        shelf.set("k", value, None, at(0)).unwrap();
    }
    shelf.set("gone", b"", None, at(0)).unwrap();
    shelf.delete("gone", 0);
    let taken = shelf.take_changes();
    let mut rows: Vec<_> = taken.rows.iter().map(|(key, row)| (&**key, row.as_ref().map(|row| &*row.value))).collect();
    rows.sort();
    assert_eq!(rows, [("gone", None), ("k", Some(&b"2"[..]))]);
    assert_eq!(taken.header, Some(Header { bytes: 66, entries: 1, due: None }));
    assert!(!shelf.is_dirty());
    assert_eq!(backlog.load(Relaxed), 66 + 68, "until they are on disk");
    shelf.set("k", b"3", None, at(0)).unwrap();
    shelf.put_back(taken.keys);
    assert_eq!((shelf.take_changes().rows.len(), backlog.load(Relaxed)), (2, 66 + 68));
}
