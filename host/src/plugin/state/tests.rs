//! The store as calls see it: over restarts and crashes, with a disk that fails, and beside other owners.

use std::fs;

use tempfile::TempDir;

use super::*;
use crate::{
    config::Config,
    plugin::effects::test_session::{GOES_ON, TestSession},
};

mod cost;
mod model;

const QUOTA: usize = 1_000;
const ALL: [StateScope; 3] = StateScope::ALL;

fn user(subject: &str) -> Owner {
    Owner::User { tenant: None, subject: subject.into() }
}

/// A store on a folder. Nothing is written but when a test says so.
struct Fixture {
    folder: TempDir,
    config: LiveConfig,
    metrics: Arc<Metrics>,
    store: StateStore,
    plugin: Arc<str>,
    tasks: TaskTracker,
}

impl Fixture {
    fn new() -> Self {
        Self::on(tempfile::tempdir().unwrap(), |_| ())
    }

    fn on(folder: TempDir, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::for_tests(folder.path());
        change(&mut config);
        let (config, metrics, tasks) = (LiveConfig::new(config), Metrics::new(), TaskTracker::new());
        let store = StateStore::open(config.clone(), Some(folder.path()), metrics.clone(), &tasks).unwrap();
        Self { folder, config, metrics, store, plugin: "notes".into(), tasks }
    }

    fn place<'a>(&'a self, owner: &'a Owner, now: u64) -> Place<'a> {
        Place { plugin: &self.plugin, owner, session: &GOES_ON, quota: QUOTA, now }
    }

    fn writer(&self) -> &Arc<Writer> {
        self.store.writer.as_ref().unwrap()
    }

    fn flush(&self) {
        self.writer().flush().unwrap();
    }

    /// An orderly end, and the next process.
    fn restart(self) -> Self {
        self.store.close().unwrap();
        let config = Config::clone(&self.config.load());
        let Self { folder, store, .. } = self;
        drop(store);
        Self::on(folder, |of_next| *of_next = config)
    }

    /// As `kill -9` leaves the folder at this moment, and the next process on that.
    fn crash(self) -> Self {
        let config = Config::clone(&self.config.load());
        let folder = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(self.folder.path()).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
        }
        Self::on(folder, |of_next| *of_next = config)
    }

    async fn set(&self, owner: &Owner, key: &str, value: &[u8]) {
        self.store.set(self.place(owner, 0), key, value, None).await.unwrap();
    }

    async fn get(&self, owner: &Owner, key: &str) -> Option<Vec<u8>> {
        self.store.get(self.place(owner, 0), key).await.unwrap()
    }

    fn usage(&self, scope: StateScope) -> (u64, u64, u64) {
        let usage = self.store.usage(&self.plugin).map(|usage| usage.of_scope(scope)).unwrap_or_default();
        (usage.bytes, usage.entries, usage.owners)
    }
}

#[tokio::test]
async fn owners_and_plugins_do_not_see_each_other_before_or_after_a_restart() {
    let mut f = Fixture::new();
    let alice = user("alice");
    let elsewhere = Owner::User { tenant: Some("acme".into()), subject: "alice".into() };
    f.set(&alice, "k", b"hers").await;
    for _ in 0..2 {
        assert_eq!(f.get(&alice, "k").await.as_deref(), Some(&b"hers"[..]));
        for other in [&user("bob"), &elsewhere, &Owner::Plugin, &Owner::Session("alice".into())] {
            assert_eq!(f.get(other, "k").await, None, "{other:?}");
        }
        let other = Arc::from("other");
        assert_eq!(f.store.get(Place { plugin: &other, ..f.place(&alice, 0) }, "k").await, Ok(None));
        f = f.restart();
    }
}

#[tokio::test]
async fn an_orderly_end_loses_nothing_and_a_crash_what_was_not_written() {
    let f = Fixture::new();
    f.set(&user("alice"), "k", b"1").await;
    let f = f.restart();
    assert_eq!(f.get(&user("alice"), "k").await.as_deref(), Some(&b"1"[..]));
    f.set(&user("alice"), "k", b"2").await;
    f.flush();
    f.set(&user("alice"), "k", b"3").await;
    let f = f.crash();
    assert_eq!(f.get(&user("alice"), "k").await.as_deref(), Some(&b"2"[..]));
}

#[tokio::test]
async fn what_changes_is_written_without_anybody_asking() {
    let f = Fixture::new();
    let stop = CancellationToken::new();
    f.tasks.spawn(f.writer().clone().run(f.tasks.clone(), stop.clone()));
    let mut commits = f.writer().commits();
    f.set(&Owner::Plugin, "k", b"v").await;
    tokio::time::timeout(Duration::from_secs(30), commits.changed()).await.unwrap().unwrap();
    let f = f.crash();
    assert_eq!(f.get(&Owner::Plugin, "k").await.as_deref(), Some(&b"v"[..]));
    stop.cancel();
}

#[tokio::test]
async fn time_to_live_goes_on_while_no_process_runs_and_what_has_ended_leaves_the_disk() {
    let f = Fixture::new();
    for (subject, ttl) in [("alice", Some(1_000)), ("bob", Some(5_000)), ("carol", None)] {
        f.store.set(f.place(&user(subject), 10_000), "k", b"v", ttl).await.unwrap();
    }
    let f = f.restart();
    let seen = async |subject: &str, now: u64| f.store.get(f.place(&user(subject), now), "k").await.unwrap().is_some();
    assert!(seen("alice", 10_999).await && !seen("alice", 11_000).await);
    assert!(seen("bob", 11_000).await && seen("carol", u64::MAX).await);
    assert_eq!(f.usage(StateScope::User).1, 3);
    f.writer().purge(11_000, &f.tasks).await;
    assert_eq!((f.usage(StateScope::User).1, f.usage(StateScope::User).2), (2, 2));
    let f = f.restart();
    assert_eq!(f.usage(StateScope::User).1, 2, "it is gone from the disk, too");
    f.writer().purge(u64::MAX, &f.tasks).await;
    assert_eq!(f.usage(StateScope::User).1, 1);
}

#[tokio::test]
async fn an_entry_that_does_not_end_after_all_is_no_longer_looked_for() {
    let f = Fixture::new();
    let alice = user("alice");
    f.store.set(f.place(&alice, 0), "k", b"v", Some(5)).await.unwrap();
    f.store.set(f.place(&alice, 0), "k", b"v", None).await.unwrap();
    let f = f.restart();
    let due = |f: &Fixture| f.store.cache.file.as_ref().unwrap().due(u64::MAX, 9).unwrap().len();
    assert_eq!(due(&f), 1);
    f.writer().purge(6, &f.tasks).await;
    assert_eq!((due(&f), f.get(&alice, "k").await.is_some()), (0, true));
}

#[tokio::test]
async fn more_owners_than_are_purged_at_once_are_all_purged() {
    let f = Fixture::new();
    for n in 0..700 {
        f.store.set(f.place(&user(&n.to_string()), 0), "k", b"v", Some(1 + n)).await.unwrap();
    }
    let f = f.restart();
    f.writer().purge(600, &f.tasks).await;
    assert_eq!(f.usage(StateScope::User).1, 100);
    assert_eq!(f.restart().usage(StateScope::User).1, 100);
}

#[tokio::test]
async fn quotas_are_exact_over_a_restart() {
    let f = Fixture::new();
    let fits = |value: usize| QUOTA - 2 * shelf::ENTRY_OVERHEAD - 2 - value;
    f.set(&user("alice"), "k", &[0; 300]).await;
    let f = f.restart();
    let alice = user("alice");
    let full = f.store.set(f.place(&alice, 0), "l", &vec![0; fits(300) + 1], None).await;
    assert_eq!(full, Err(StateFault::Quota { wanted: QUOTA + 1, quota: QUOTA }));
    f.set(&alice, "l", &vec![0; fits(300)]).await;
    assert_eq!(f.usage(StateScope::User), (QUOTA as u64, 2, 1));
    assert!(f.metrics.render().contains("state_refused_total{reason=\"quota\"} 1"));
}

#[tokio::test]
async fn the_bound_of_all_counts_what_is_on_disk_and_in_no_memory() {
    let f = Fixture::new();
    f.set(&user("alice"), "k", &[0; 100]).await;
    let f = f.restart();
    let mut config = Config::clone(&f.config.load());
    config.state.max_bytes = 2 * (100 + 1 + shelf::ENTRY_OVERHEAD);
    f.config.publish(config);
    f.set(&user("bob"), "k", &[0; 100]).await;
    let full = f.store.set(f.place(&user("carol"), 0), "k", b"", None).await;
    assert!(matches!(full, Err(StateFault::Full { .. })));
    assert!(f.store.delete(f.place(&user("alice"), 0), "k").await.unwrap());
    f.set(&user("carol"), "k", b"").await;
    f.store.set(f.place(&Owner::Session("s".into()), 0), "k", &[0; 100], None).await.unwrap();
}

#[tokio::test]
async fn what_is_not_in_use_leaves_memory_and_comes_back() {
    let f = Fixture::on(tempfile::tempdir().unwrap(), |config| config.state.cache_bytes = 20_000);
    for n in 0..200_u32 {
        f.set(&user(&n.to_string()), "k", &[0; 500]).await;
        if n % 10 == 0 {
            f.flush();
        }
    }
    f.flush();
    assert!(f.store.cache.resident() <= 20_000, "{}", f.store.cache.resident());
    for n in 0..200_u32 {
        assert_eq!(f.get(&user(&n.to_string()), "k").await.map(|value| value.len()), Some(500));
    }
    assert_eq!(f.usage(StateScope::User), (200 * (501 + 64), 200, 200));
}

#[tokio::test]
async fn calls_that_are_too_fast_for_the_disk_wait_and_are_refused_then() {
    let f = Fixture::new();
    let place = |owner| Place { quota: usize::MAX, ..f.place(owner, 0) };
    for n in 0..32_u32 {
        f.store.set(place(&Owner::Plugin), &n.to_string(), &vec![0; 1 << 20], None).await.unwrap();
    }
    let alice = user("alice");
    let (place_of_alice, waits) = (place(&alice), f.store.cache.backlog.load(Relaxed));
    let late = f.store.set(place_of_alice, "k", b"v", None);
    assert_eq!(late.await, Err(StateFault::Behind), "nobody writes, and {waits} bytes wait");
    assert_eq!(f.store.get(place_of_alice, "k").await, Ok(None), "to look needs no room");
    let (late, written) = tokio::join!(f.store.set(place_of_alice, "k", b"v", None), async {
        let writer = f.writer().clone();
        f.tasks.spawn_blocking(move || writer.flush()).await.unwrap()
    });
    assert_eq!((late, written.is_ok()), (Ok(()), true));
}

#[tokio::test]
async fn what_cannot_be_written_stays_and_is_written_later() {
    let f = Fixture::new();
    f.set(&user("alice"), "k", b"1").await;
    f.flush();
    let file = f.store.cache.file.clone().unwrap();
    file.close();
    f.set(&user("alice"), "k", b"2").await;
    f.writer().flush().unwrap_err();
    f.set(&user("alice"), "l", b"3").await;
    assert_eq!(f.get(&user("alice"), "k").await.as_deref(), Some(&b"2"[..]));
    f.flush();
    assert_eq!(f.store.cache.backlog.load(Relaxed), 0);
    let f = f.crash();
    assert_eq!(f.get(&user("alice"), "k").await.as_deref(), Some(&b"2"[..]));
    assert_eq!(f.get(&user("alice"), "l").await.as_deref(), Some(&b"3"[..]));
}

#[tokio::test]
async fn a_call_that_ends_while_it_waits_for_the_disk_hinders_nobody() {
    let f = Fixture::new();
    f.set(&user("alice"), "k", b"v").await;
    let f = f.restart();
    let alice = user("alice");
    {
        let _nothing_is_read = f.store.cache.moves.write().unwrap();
        for _ in 0..3 {
            let mut asked = Box::pin(f.store.get(f.place(&alice, 0), "k"));
            assert!(asked.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_pending());
        }
    }
    assert_eq!(f.get(&alice, "k").await.as_deref(), Some(&b"v"[..]));
}

#[tokio::test]
async fn a_plugin_is_forgotten_in_memory_and_on_disk_and_nobody_else_is() {
    let f = Fixture::new();
    let other: Arc<str> = "notes2".into();
    let owners = [user("alice"), Owner::Plugin, Owner::Session("s".into())];
    for owner in &owners {
        f.set(owner, "k", b"v").await;
        f.store.set(Place { plugin: &other, ..f.place(owner, 0) }, "k", b"v", None).await.unwrap();
    }
    f.flush();
    f.set(&user("in memory only"), "k", b"v").await;
    f.store.forget(&f.plugin, &[StateScope::User]).unwrap();
    let usage = |f: &Fixture| ALL.map(|scope| f.usage(scope).1);
    assert_eq!(usage(&f), [1, 0, 1]);
    let f = f.restart();
    assert_eq!(usage(&f), [0, 0, 1], "a session's is saved with the session");
    assert_eq!((f.get(&owners[0], "k").await, f.get(&owners[1], "k").await), (None, Some(b"v".to_vec())));
    f.set(&user("alice"), "k", b"new").await;
    f.store.forget(&f.plugin, &ALL).unwrap();
    assert_eq!(usage(&f), [0, 0, 0]);
    assert_eq!(f.store.cache.backlog.load(Relaxed), 0);
    let f = f.restart();
    assert_eq!((usage(&f), f.get(&user("alice"), "k").await), ([0, 0, 0], None));
    let kept = f.store.get(Place { plugin: &other, ..f.place(&owners[0], 0) }, "k").await;
    assert_eq!(kept, Ok(Some(b"v".to_vec())));
}

#[tokio::test]
async fn the_state_of_a_session_is_saved_with_it_and_ends_with_it() {
    let f = Fixture::new();
    let session = Owner::Session("s1".into());
    f.store.set(f.place(&session, 0), "k", b"v", Some(5)).await.unwrap();
    let saved = f.store.export_session("s1");
    assert!(f.store.export_session("s2").is_empty());
    let f = f.restart();
    assert_eq!(f.get(&session, "k").await, None);
    f.store.restore_session(&"s1".into(), &GOES_ON, saved);
    assert_eq!(f.get(&session, "k").await.as_deref(), Some(&b"v"[..]));
    assert_eq!(f.store.get(f.place(&session, 5), "k").await, Ok(None), "its time goes on");
    f.store.forget_session("s1");
    assert_eq!((f.get(&session, "k").await, f.usage(StateScope::Connection)), (None, (0, 0, 0)));
}

#[tokio::test]
async fn a_call_that_outlives_its_session_adds_nothing_to_what_has_ended() {
    let f = Fixture::new();
    let (owner, asks) = (Owner::Session("s1".into()), TestSession::default());
    let place = || Place { session: &asks, ..f.place(&owner, 0) };
    f.store.set(place(), "k", b"v", None).await.unwrap();
    asks.end();
    assert_eq!(f.store.set(place(), "k", b"w", None).await, Err(StateFault::SessionEnded));
    assert_eq!(f.store.get(place(), "k").await, Ok(Some(b"v".to_vec())), "until it is forgotten");
    f.store.forget_session("s1");
    assert_eq!(f.store.increment(place(), "k", 1).await, Err(StateFault::SessionEnded));
    assert_eq!((f.store.get(place(), "k").await, f.usage(StateScope::Connection)), (Ok(None), (0, 0, 0)));
    let user = user("alice");
    let of_user = Place { session: &asks, ..f.place(&user, 0) };
    assert_eq!(f.store.set(of_user, "k", b"v", None).await, Ok(()), "a user has more than one session");
}

#[tokio::test]
async fn keys_have_1_to_256_bytes() {
    let f = Fixture::new();
    let get = async |length: usize| f.store.get(f.place(&Owner::Plugin, 0), &"x".repeat(length)).await;
    assert_eq!(get(0).await, Err(StateFault::Key(0)));
    assert_eq!(get(257).await, Err(StateFault::Key(257)));
    assert_eq!(get(256).await, Ok(None));
}

#[tokio::test]
async fn without_a_folder_it_all_works_and_nothing_is_kept() {
    let config = LiveConfig::new(Config::for_tests("nowhere"));
    let store = StateStore::open(config, None, Metrics::new(), &TaskTracker::new()).unwrap();
    let (plugin, owner) = ("notes".into(), user("alice"));
    let place = Place { plugin: &plugin, owner: &owner, session: &GOES_ON, quota: QUOTA, now: 0 };
    assert_eq!(store.increment(place, "n", 2).await, Ok(2));
    assert_eq!(store.increment(place, "n", 2).await, Ok(4));
    store.forget(&plugin, &ALL).unwrap();
    assert_eq!(store.get(place, "n").await, Ok(None));
    store.close().unwrap();
}
