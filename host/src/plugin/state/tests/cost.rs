//! What durability costs, as a ratio within one run. By hand:
//! `cargo test -p switchboard --lib what_durability_costs -- --ignored --nocapture`

use super::*;

const OPERATIONS: u32 = 50_000;
const OWNERS: u32 = 500;

/// Microseconds for each.
async fn measure(store: &StateStore, plugin: &Arc<str>) -> [f64; 4] {
    let owners: Vec<Owner> = (0..OWNERS).map(|n| user(&n.to_string())).collect();
    let place = |n: u32| Place { plugin, owner: &owners[(n % OWNERS) as usize], quota: 1 << 20, now: now() };
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
    let plugin: Arc<str> = "notes".into();
    let config = LiveConfig::new(Config::for_tests("nowhere"));
    let memory = StateStore::open(config, None, Metrics::new(), &TaskTracker::new()).unwrap();
    let base = measure(&memory, &plugin).await;
    println!("memory only: set {:.2} us, get {:.2} us, increment {:.2} us", base[0], base[1], base[2]);
    for millis in [100, 0] {
        let interval = Duration::from_millis(millis);
        let f = Fixture::on(tempfile::tempdir().unwrap(), |config| config.state.flush_interval = interval);
        let stop = CancellationToken::new();
        f.tasks.spawn(f.writer().clone().run(f.tasks.clone(), stop.clone()));
        let found = measure(&f.store, &plugin).await;
        stop.cancel();
        let ratio = |n: usize| found[n] / base[n];
        println!(
            "every {millis} ms: set {:.2} us (x{:.1}), get {:.2} us (x{:.1}), increment {:.2} us (x{:.1}), the last flush {:.0} us, {} commits",
            found[0],
            ratio(0),
            found[1],
            ratio(1),
            found[2],
            ratio(2),
            found[3],
            *f.writer().commits().borrow(),
        );
    }
    cold_reads(&plugin).await;
}

/// Of state that is on disk and not in memory.
async fn cold_reads(plugin: &Arc<str>) {
    let f = Fixture::new();
    for n in 0..10_000_u32 {
        f.set(&user(&n.to_string()), "value", &[7; 100]).await;
    }
    let begun = Instant::now();
    let f = f.restart();
    println!(
        "closed and opened with 10000 owners in {:?}, {} bytes",
        begun.elapsed(),
        f.store.cache.file.as_ref().unwrap().length()
    );
    let begun = Instant::now();
    for n in 0..10_000_u32 {
        let owner = user(&n.to_string());
        let place = Place { plugin, ..f.place(&owner, 0) };
        f.store.get(place, "value").await.unwrap().unwrap();
    }
    println!("a cold read: {:.2} us", begun.elapsed().as_secs_f64() * 1e6 / 10_000.0);
}
