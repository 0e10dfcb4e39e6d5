//! What durability costs, as a ratio within one run. By hand:
//! `cargo test -p switchboard --lib what_durability_costs -- --ignored --nocapture`

use std::time::Instant;

use super::*;

const OPERATIONS: u32 = 10_000;
const OWNERS: u32 = 500;

/// Of which the best counts, since other programs only make it worse.
const ROUNDS: usize = 15;

/// Microseconds for each: set, get, increment, and the last flush.
async fn measure(store: &StateStore, plugin: &Arc<str>) -> [f64; 4] {
    let owners: Vec<Owner> = (0..OWNERS).map(|n| user(&n.to_string())).collect();
    let place = |n: u32| {
        let owner = &owners[(n % OWNERS) as usize];
        Place { plugin, owner, session: &GOES_ON, quota: 1 << 20, now: now() }
    };
    let each = |begun: Instant| begun.elapsed().as_secs_f64() * 1e6 / f64::from(OPERATIONS);
    let begun = Instant::now();
    for n in 0..OPERATIONS {
        store.set(place(n), "value", &[7; 100], None).await.unwrap();
    }
    let set = each(begun);
    let begun = Instant::now();
    for n in 0..OPERATIONS {
        store.get(place(n), "value").await.unwrap().unwrap();
    }
    let get = each(begun);
    let begun = Instant::now();
    for n in 0..OPERATIONS {
        store.increment(place(n), "number", 1).await.unwrap();
    }
    let increment = each(begun);
    let begun = Instant::now();
    store.close().unwrap();
    [set, get, increment, begun.elapsed().as_secs_f64() * 1e6]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement, and not a test"]
async fn what_durability_costs() {
    const MODES: [&str; 3] = ["memory only", "every 100 ms", "at once"];
    let plugin: Arc<str> = "notes".into();
    let mut best = [[f64::MAX; 4]; MODES.len()];
    for _ in 0..ROUNDS {
        for (mode, best) in best.iter_mut().enumerate() {
            let found = match mode {
                0 => {
                    let config = LiveConfig::new(Config::for_tests("nowhere"));
                    let store = StateStore::open(config, None, Metrics::new(), &TaskTracker::new()).unwrap();
                    measure(&store, &plugin).await
                }
                _ => durable(Duration::from_millis(if mode == 1 { 100 } else { 0 }), &plugin).await,
            };
            best.iter_mut().zip(found).for_each(|(best, found)| *best = best.min(found));
        }
    }
    for (mode, found) in MODES.iter().zip(&best) {
        let [set, get, increment] = [0, 1, 2].map(|n| format!("{:.2} us (x{:.2})", found[n], found[n] / best[0][n]));
        println!("{mode}: set {set}, get {get}, increment {increment}; the last flush {:.0} us", found[3]);
    }
    cold_reads(&plugin).await;
}

async fn durable(interval: Duration, plugin: &Arc<str>) -> [f64; 4] {
    let f = Fixture::on(tempfile::tempdir().unwrap(), |config| config.state.flush_interval = interval);
    let stop = CancellationToken::new();
    f.tasks.spawn(f.writer().clone().run(f.tasks.clone(), stop.clone()));
    let found = measure(&f.store, plugin).await;
    stop.cancel();
    found
}

/// Of state that is on disk and not in memory, and of the start.
async fn cold_reads(plugin: &Arc<str>) {
    const STORED: u32 = 100_000;
    const READ: u32 = 10_000;
    let f = Fixture::new();
    for n in 0..STORED {
        f.set(&user(&n.to_string()), "value", &[7; 900]).await;
        if n % 10_000 == 0 {
            f.flush();
        }
    }
    f.store.close().unwrap();
    let begun = Instant::now();
    let f = f.restart();
    let length = f.store.cache.file.as_ref().unwrap().length() >> 20;
    println!("opened with {STORED} owners in {:?}, {length} MiB", begun.elapsed());
    let begun = Instant::now();
    for n in 0..READ {
        let owner = user(&n.to_string());
        let place = Place { plugin, ..f.place(&owner, 0) };
        f.store.get(place, "value").await.unwrap().unwrap();
    }
    println!("a cold read: {:.2} us", begun.elapsed().as_secs_f64() * 1e6 / f64::from(READ));
}
