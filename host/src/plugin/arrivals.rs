//! When a file in the plugin directory has arrived, and when it has gone: a state machine that is shown
//! what is there, again and again, and says what to do. It reads nothing and knows no clock.
//!
//! The rule is to take eagerly and to give up reluctantly. A file that was renamed into place is taken
//! at once. One that is written in place is left alone until two looks in a row find it unchanged, so
//! that no mixture of old and new is ever taken. One that disappears has gone when the second look
//! in a row misses it, so that a replacement by delete-and-create is no removal.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

/// How long a file has to stay as it is before it counts as written. A copy writes every few
/// milliseconds; a stalled one is noticed when it goes on, because then the file changes again.
pub(crate) const SETTLE: Duration = Duration::from_millis(150);

/// After this long, a file that never settles is reported. It is still waited for.
pub(crate) const STUCK: Duration = Duration::from_secs(60);

/// Looks without any sign from the file system, because some file systems give none.
pub(crate) const RESCAN: Duration = Duration::from_secs(2);

/// Which file it is, and everything that changes when it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Device, inode, and when it was made, if the file system says: inodes are used again.
    pub file: (u64, u64, Option<SystemTime>),
    pub bytes: u64,
    /// Seconds and nanoseconds.
    pub modified: (i64, i64),
    /// Changes with renames and permissions, too.
    pub changed: (i64, i64),
}

/// What a look finds under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sight {
    File(Stamp),
    /// It is there, but the file system would not say more.
    Unclear,
}

/// What to do about a name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Read it. If it is not settled and turns out unfit, it may be half-written:
    /// [`Arrivals::wait_for`] it without a word.
    Take {
        name: Arc<str>,
        stamp: Stamp,
        settled: bool,
    },
    Gone {
        name: Arc<str>,
    },
    /// Somebody has been writing to it for as long as [`STUCK`].
    Stuck {
        name: Arc<str>,
    },
}

#[derive(Debug, Clone, Copy)]
enum Entry {
    Taken(Stamp),
    Moving {
        stamp: Stamp,
        since: Instant,
        began: Instant,
        reported: bool,
    },
    Missing {
        since: Instant,
    },
    /// Known from before the first look, and not seen yet; `since` any file was seen.
    Expected {
        since: Option<Instant>,
    },
}

/// The names that were seen.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    files: BTreeMap<Arc<str>, Entry>,
}

impl Arrivals {
    /// What follows from what is there now.
    pub fn look(&mut self, now: Instant, present: &BTreeMap<Arc<str>, Sight>) -> Vec<Step> {
        let mut steps = Vec::new();
        for (name, sight) in present {
            if let Sight::File(stamp) = sight {
                let (entry, step) = arrive(name, self.files.get(name).copied(), *stamp, now);
                self.files.insert(name.clone(), entry);
                steps.extend(step);
            }
        }
        self.files.retain(|name, entry| {
            if present.contains_key(name) {
                return true;
            }
            match *entry {
                Entry::Missing { since } | Entry::Expected { since: Some(since) }
                    if now.duration_since(since) >= SETTLE =>
                {
                    steps.push(Step::Gone { name: name.clone() });
                    return false;
                }
                Entry::Missing { .. } | Entry::Expected { since: Some(_) } => {}
                // A folder without any file may be one whose volume is yet to come: nothing follows from that.
                Entry::Expected { since: None } => {
                    *entry = Entry::Expected { since: (!present.is_empty()).then_some(now) };
                }
                Entry::Taken(_) | Entry::Moving { .. } => *entry = Entry::Missing { since: now },
            }
            true
        });
        steps
    }

    /// It was here before the first look: if others are seen, and it is not, it has gone.
    pub fn expect(&mut self, name: Arc<str>) {
        self.files.entry(name).or_insert(Entry::Expected { since: None });
    }

    /// What was taken was not whole: wait until it settles, then take it again.
    pub fn wait_for(&mut self, name: &Arc<str>, stamp: Stamp, now: Instant) {
        self.files.insert(name.clone(), Entry::Moving { stamp, since: now, began: now, reported: false });
    }

    /// How soon to look again, if nothing calls for it earlier.
    pub fn next_look(&self) -> Duration {
        let settled = |entry: &Entry| matches!(entry, Entry::Taken(_) | Entry::Expected { since: None });
        let unsettled = self.files.values().any(|entry| !settled(entry));
        if unsettled { SETTLE } else { RESCAN }
    }
}

fn arrive(name: &Arc<str>, entry: Option<Entry>, stamp: Stamp, now: Instant) -> (Entry, Option<Step>) {
    let take = |settled| (Entry::Taken(stamp), Some(Step::Take { name: name.clone(), stamp, settled }));
    match entry {
        // New, or back.
        None | Some(Entry::Missing { .. } | Entry::Expected { .. }) => take(false),
        // As it was.
        Some(entry @ Entry::Taken(old)) if old == stamp => (entry, None),
        // Another file in its place.
        Some(Entry::Taken(old) | Entry::Moving { stamp: old, .. }) if old.file != stamp.file => take(false),
        // Written in place.
        Some(Entry::Taken(_)) => (Entry::Moving { stamp, since: now, began: now, reported: false }, None),
        // Still being written.
        Some(Entry::Moving { stamp: old, began, reported, .. }) if old != stamp => {
            let stuck = !reported && now.duration_since(began) >= STUCK;
            let entry = Entry::Moving { stamp, since: now, began, reported: reported || stuck };
            (entry, stuck.then(|| Step::Stuck { name: name.clone() }))
        }
        // Written.
        Some(Entry::Moving { since, .. }) if now.duration_since(since) >= SETTLE => take(true),
        // Not long enough ago.
        Some(entry @ Entry::Moving { .. }) => (entry, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks at one name at given times.
    struct Play {
        arrivals: Arrivals,
        start: Instant,
    }

    fn play() -> Play {
        Play { arrivals: Arrivals::default(), start: Instant::now() }
    }

    fn stamp(inode: u64, bytes: u64) -> Stamp {
        Stamp { file: (1, inode, None), bytes, modified: (0, 0), changed: (0, 0) }
    }

    impl Play {
        fn at(&self, ms: u64) -> Instant {
            self.start + Duration::from_millis(ms)
        }

        fn look(&mut self, ms: u64, sight: Option<Sight>) -> String {
            let present = sight.map(|sight| (Arc::from("a"), sight)).into_iter().collect();
            let steps = self.arrivals.look(self.at(ms), &present);
            let shown = steps.iter().map(|step| match step {
                Step::Take { settled: true, .. } => "take settled",
                Step::Take { settled: false, .. } => "take",
                Step::Gone { .. } => "gone",
                Step::Stuck { .. } => "stuck",
            });
            shown.collect::<Vec<_>>().join(", ")
        }

        fn file(&mut self, ms: u64, inode: u64, bytes: u64) -> String {
            self.look(ms, Some(Sight::File(stamp(inode, bytes))))
        }
    }

    #[test]
    fn a_new_file_and_one_renamed_into_place_are_taken_at_once_and_only_once() {
        let mut play = play();
        assert_eq!(play.file(0, 1, 10), "take");
        assert_eq!(play.file(1, 1, 10), "");
        assert_eq!(play.file(2, 2, 10), "take");
        assert_eq!(play.file(3, 2, 10), "");
        assert_eq!(play.arrivals.next_look(), RESCAN);
    }

    #[test]
    fn a_file_that_is_written_in_place_is_taken_when_two_looks_agree() {
        let mut play = play();
        play.file(0, 1, 10);
        assert_eq!(play.file(1, 1, 0), "");
        assert_eq!(play.arrivals.next_look(), SETTLE);
        assert_eq!(play.file(100, 1, 5), "");
        assert_eq!(play.file(200, 1, 5), "", "unchanged for 100 ms");
        assert_eq!(play.file(250, 1, 5), "take settled");
        assert_eq!(play.file(251, 1, 5), "");
    }

    #[test]
    fn a_file_that_was_not_whole_is_taken_again_when_it_settled() {
        let mut play = play();
        assert_eq!(play.file(0, 1, 5), "take");
        let now = play.at(0);
        play.arrivals.wait_for(&"a".into(), stamp(1, 5), now);
        assert_eq!(play.file(10, 1, 7), "");
        assert_eq!(play.file(20, 1, 9), "");
        assert_eq!(play.file(170, 1, 9), "take settled");
    }

    #[test]
    fn a_rename_ends_the_wait_for_a_file_that_was_being_written() {
        let mut play = play();
        play.file(0, 1, 10);
        play.file(1, 1, 0);
        assert_eq!(play.file(2, 2, 10), "take");
    }

    #[test]
    fn a_file_that_never_settles_is_reported_once_and_still_waited_for() {
        let mut play = play();
        play.file(0, 1, 0);
        let reports: Vec<String> = (1..=700).map(|i| play.file(i * 100, 1, i)).filter(|s| !s.is_empty()).collect();
        assert_eq!(reports, ["stuck"]);
        assert_eq!(play.file(70_200, 1, 700), "take settled");
    }

    #[test]
    fn a_deleted_file_has_gone_at_the_second_look() {
        let mut play = play();
        play.file(0, 1, 10);
        assert_eq!(play.look(10, None), "");
        assert_eq!(play.look(100, None), "", "too soon after the first");
        assert_eq!(play.look(160, None), "gone");
        assert_eq!(play.look(400, None), "");
        assert_eq!(play.file(500, 1, 10), "take");
    }

    #[test]
    fn a_file_that_was_there_before_the_first_look_has_gone_if_two_looks_miss_it() {
        let mut play = play();
        play.arrivals.expect("b".into());
        assert_eq!(play.file(10, 1, 10), "take");
        assert_eq!(play.arrivals.next_look(), SETTLE);
        assert_eq!(play.file(100, 1, 10), "", "too soon after the first");
        assert_eq!(play.file(160, 1, 10), "gone");
        play.arrivals.expect("a".into());
        assert_eq!(play.file(170, 1, 10), "");
        assert_eq!(play.look(180, Some(Sight::Unclear)), "");
    }

    #[test]
    fn nothing_has_gone_from_a_folder_in_which_no_file_was_seen_yet() {
        let mut play = play();
        play.arrivals.expect("a".into());
        for millis in [0, 200, 60_000] {
            assert_eq!(play.look(millis, None), "");
        }
        assert_eq!(play.arrivals.next_look(), RESCAN);
        assert_eq!(play.file(60_010, 1, 10), "take");
    }

    #[test]
    fn a_file_that_is_deleted_and_made_again_has_never_gone() {
        let mut play = play();
        play.file(0, 1, 10);
        assert_eq!(play.look(10, None), "");
        assert_eq!(play.file(20, 2, 0), "take");
    }

    #[test]
    fn a_file_that_cannot_be_looked_at_stays_what_it_was() {
        let mut play = play();
        play.file(0, 1, 10);
        assert_eq!(play.look(10, Some(Sight::Unclear)), "");
        assert_eq!(play.look(1_000, Some(Sight::Unclear)), "");
        assert_eq!(play.file(2_000, 1, 10), "");
    }
}
