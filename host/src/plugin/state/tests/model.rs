//! Any order of operations, restarts, crashes and evictions does what a plain map would.

use std::collections::BTreeMap;

use proptest::{prelude::*, sample::select};

use super::*;

/// For which everything is tried: few, so that operations meet.
const OWNERS: usize = 4;
const KEYS: [&str; 3] = ["a", "b", "long"];

#[derive(Debug, Clone)]
enum Step {
    Get,
    Set {
        length: usize,
        ttl: Option<u64>,
    },
    Delete,
    Increment {
        by: i64,
    },
    /// Whether what is expected is there.
    CompareAndSet {
        right: bool,
        length: usize,
    },
    Wait {
        millis: u64,
    },
    Flush,
    Purge,
    Restart,
    Crash,
}

fn steps() -> impl Strategy<Value = Vec<(Step, usize, &'static str)>> {
    let ttl = prop_oneof![2 => Just(None), 1 => (0..20_u64).prop_map(Some)];
    let step = prop_oneof![
        4 => Just(Step::Get),
        // Three of the longest do not fit.
        6 => (0..450_usize, ttl).prop_map(|(length, ttl)| Step::Set { length, ttl }),
        2 => Just(Step::Delete),
        4 => (-20..2_000_i64).prop_map(|by| Step::Increment { by }),
        2 => (any::<bool>(), 0..300_usize).prop_map(|(right, length)| Step::CompareAndSet { right, length }),
        2 => (1..15_u64).prop_map(|millis| Step::Wait { millis }),
        2 => Just(Step::Flush),
        1 => Just(Step::Purge),
        1 => Just(Step::Restart),
        1 => Just(Step::Crash),
    ];
    proptest::collection::vec((step, 0..OWNERS, select(&KEYS)), 1..60)
}

fn owner(number: usize) -> Owner {
    match number {
        0 => Owner::Plugin,
        1 => user("alice"),
        2 => Owner::User { tenant: Some("acme".into()), subject: "alice".into() },
        _ => user("bob"),
    }
}

/// What should be there: values, and when they end.
type Map = BTreeMap<(usize, &'static str), (Vec<u8>, Option<u64>)>;

#[derive(Default)]
struct Model {
    map: Map,
    /// As it was when it was last written.
    written: Map,
    now: u64,
}

impl Model {
    fn get(&self, at: (usize, &'static str)) -> Option<&[u8]> {
        let (value, ends) = self.map.get(&at)?;
        ends.is_none_or(|ends| self.now < ends).then_some(value)
    }

    fn put(&mut self, at: (usize, &'static str), value: Vec<u8>, ends: Option<u64>) -> bool {
        let live: usize = self
            .map
            .iter()
            .filter(|((of, key), (_, ends))| *of == at.0 && *key != at.1 && ends.is_none_or(|ends| self.now < ends))
            .map(|((_, key), (value, _))| key.len() + value.len() + shelf::ENTRY_OVERHEAD)
            .sum();
        let fits = live + at.1.len() + value.len() + shelf::ENTRY_OVERHEAD <= QUOTA;
        if fits {
            self.map.insert(at, (value, ends));
        }
        fits
    }

    fn ends_of(&self, at: (usize, &'static str)) -> Option<u64> {
        self.get(at).and_then(|_| self.map[&at].1)
    }
}

async fn run(steps: Vec<(Step, usize, &'static str)>, cache_bytes: usize) {
    let mut f = Fixture::on(tempfile::tempdir().unwrap(), |config| config.state.cache_bytes = cache_bytes);
    let mut model = Model { now: 1, ..Model::default() };
    for (step, number, key) in steps {
        let (at, owner) = ((number, key), owner(number));
        let place = f.place(&owner, model.now);
        let refused = |result: &Result<_, StateFault>| matches!(result, Err(StateFault::Quota { .. }));
        match step {
            Step::Get => {
                let expected = model.get(at).map(<[u8]>::to_vec);
                assert_eq!(f.store.get(place, key).await, Ok(expected), "{number} {key}");
            }
            Step::Set { length, ttl } => {
                let value = vec![b'v'; length];
                let result = f.store.set(place, key, &value, ttl).await;
                let fits = model.put(at, value, ttl.map(|ttl| model.now + ttl));
                assert_eq!((result.is_ok(), refused(&result)), (fits, !fits));
            }
            Step::Delete => {
                let existed = model.get(at).is_some();
                model.map.remove(&at);
                assert_eq!(f.store.delete(place, key).await, Ok(existed));
            }
            Step::Increment { by } => {
                let before = model.get(at).map_or(Some(0), |value| str::from_utf8(value).unwrap().parse::<i64>().ok());
                let result = f.store.increment(place, key, by).await;
                match before.map(|before| before + by) {
                    Some(sum) if model.put(at, sum.to_string().into_bytes(), model.ends_of(at)) => {
                        assert_eq!(result, Ok(sum));
                    }
                    Some(_) => assert!(matches!(result, Err(StateFault::Quota { .. }))),
                    None => assert_eq!(result, Err(StateFault::NotANumber)),
                }
            }
            Step::CompareAndSet { right, length } => {
                let found = model.get(at).map(<[u8]>::to_vec);
                let expected = if right { found } else { Some(b"something else".to_vec()) };
                let value = vec![b'c'; length];
                let result = f.store.compare_and_set(place, key, expected.as_deref(), &value, None).await;
                let fits = right && model.put(at, value, None);
                match right {
                    true if !fits => assert!(matches!(result, Err(StateFault::Quota { .. }))),
                    _ => assert_eq!(result, Ok(right)),
                }
            }
            Step::Wait { millis } => model.now += millis,
            Step::Flush => {
                f.flush();
                model.written = model.map.clone();
            }
            Step::Purge => {
                // It writes only if something was due.
                f.flush();
                f.writer().purge(model.now, &f.tasks).await;
                model.map.retain(|_, (_, ends)| ends.is_none_or(|ends| model.now < ends));
                model.written = model.map.clone();
            }
            Step::Restart => {
                f = f.restart();
                model.written = model.map.clone();
            }
            Step::Crash => {
                f = f.crash();
                model.map = model.written.clone();
            }
        }
    }
    check(f, &model).await;
}

/// Everything is there and nothing else, and it is counted.
async fn check(f: Fixture, model: &Model) {
    f.flush();
    f.writer().purge(model.now, &f.tasks).await;
    let f = f.restart();
    let (mut bytes, mut entries) = (0, 0);
    for number in 0..OWNERS {
        for key in KEYS {
            let expected = model.get((number, key)).map(<[u8]>::to_vec);
            bytes += expected.as_ref().map_or(0, |value| key.len() + value.len() + shelf::ENTRY_OVERHEAD) as u64;
            entries += u64::from(expected.is_some());
            let found = f.store.get(f.place(&owner(number), model.now), key).await;
            assert_eq!(found, Ok(expected), "{number} {key}");
        }
    }
    let (user, plugin) = (f.usage(StateScope::User), f.usage(StateScope::Plugin));
    assert_eq!((user.0 + plugin.0, user.1 + plugin.1), (bytes, entries));
    assert_eq!(f.store.cache.backlog.load(Relaxed), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn any_order_of_operations_restarts_and_crashes_does_what_a_map_would(
        steps in steps(),
        // Nothing stays, some does, all does.
        cache_bytes in select(vec![0, 1_000, 1 << 20]),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(steps, cache_bytes));
    }
}
