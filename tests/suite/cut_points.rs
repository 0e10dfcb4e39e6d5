//! A conversation is cut after every single byte in each direction, and goes on as if nothing had been.
//!
//! The client checks each frame as it comes: `seq` rises by exactly one, a replay is what was missed. What
//! the application saw is checked at the end: each id executed once, each answer once, each publication
//! once and in the order of its offset.

use std::{
    any::Any,
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use serde_json::{Value, json};

use crate::harness::{Client, Direction, Options, Outcome, Plan, Proxy, ResumingClient, Server, guest, token};

/// How many conversations there are at one time.
const AT_ONCE: usize = 16;

/// After so many failures the rest would say the same.
const ENOUGH_FAILURES: usize = 5;

/// Publications of one conversation.
const NEWS: u64 = 4;

/// Which connection is spoiled.
#[derive(Debug, Clone, Copy)]
enum Script {
    /// The first one, on which the whole conversation would take place.
    Conversation,
    /// The second one, on which the client resumes after a cut with messages missed and one in flight.
    Resumption,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_that_is_cut_after_any_byte_loses_nothing_and_repeats_nothing() {
    cut_everywhere(Script::Conversation).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resumption_that_is_cut_after_any_byte_loses_nothing_and_repeats_nothing() {
    cut_everywhere(Script::Resumption).await;
}

async fn cut_everywhere(script: Script) {
    let server = Arc::new(Server::builder().system().plugin("counter", guest("counter")).crowd().start().await);
    let publisher = Client::connect(&server, "publisher").await;
    let (publisher, learned) = run(Arc::clone(&server), publisher, script, None, "learning".into()).await;
    drop(publisher);
    let (to_server, to_client) = learned.spoilt_connection;
    println!("{script:?}: {to_server} bytes to the server, {to_client} to the client");
    let all = [(Direction::ToServer, to_server), (Direction::ToClient, to_client)];
    let plans: VecDeque<Plan> =
        all.iter().flat_map(|(direction, bytes)| (0..=*bytes).map(|byte| Plan::reset(*direction, byte))).collect();
    let (count, begun) = (plans.len(), Instant::now());
    let progress = Arc::new(Progress { plans: Mutex::new(plans), ..Progress::default() });
    let workers: Vec<_> =
        (0..AT_ONCE).map(|_| tokio::spawn(work(Arc::clone(&server), script, Arc::clone(&progress)))).collect();
    for worker in workers {
        worker.await.expect("a worker survives the failures of its runs");
    }
    let cut = progress.cut.load(Ordering::SeqCst);
    println!("{script:?}: {count} positions, {cut} cuts, {:?}", begun.elapsed());
    let failures = progress.failures.lock().expect("not poisoned");
    assert!(failures.is_empty(), "{} failures, such as:\n{}", failures.len(), failures.join("\n\n"));
    // Lengths vary a little (numbers, pings), so that the last positions may lie beyond the end.
    assert!(cut * 10 >= count * 9, "only {cut} of {count} conversations were cut");
}

#[derive(Default)]
struct Progress {
    plans: Mutex<VecDeque<Plan>>,
    failures: Mutex<Vec<String>>,
    cut: AtomicUsize,
}

/// Takes one position after the other. Each run is a task of its own, so that a failure ends it alone.
async fn work(server: Arc<Server>, script: Script, progress: Arc<Progress>) {
    let mut publisher = Client::connect(&server, "publisher").await;
    loop {
        let next = progress.plans.lock().expect("not poisoned").pop_front();
        let Some(plan) = next else { return };
        let label = format!("{script:?} cut {:?} after byte {}", plan.direction, plan.after);
        match tokio::spawn(run(Arc::clone(&server), publisher, script, Some(plan), label)).await {
            Ok((kept, learned)) => {
                publisher = kept;
                progress.cut.fetch_add(usize::from(learned.was_cut), Ordering::SeqCst);
            }
            Err(fault) => {
                progress.failed(&*fault.into_panic());
                publisher = Client::connect(&server, "publisher").await;
            }
        }
    }
}

impl Progress {
    fn failed(&self, panic: &(dyn Any + Send)) {
        let text =
            panic.downcast_ref::<String>().cloned().or_else(|| Some((*panic.downcast_ref::<&str>()?).to_owned()));
        let mut failures = self.failures.lock().expect("not poisoned");
        failures.push(text.unwrap_or_else(|| "no text".to_owned()));
        if failures.len() >= ENOUGH_FAILURES {
            self.plans.lock().expect("not poisoned").clear();
        }
    }
}

struct Learned {
    /// Bytes to the server and to the client on the connection that plans are for.
    spoilt_connection: (u64, u64),
    /// Whether there was a connection more than without a plan.
    was_cut: bool,
}

/// One conversation of a user of its own, with everything that is to be checked.
async fn run(
    server: Arc<Server>,
    mut publisher: Client,
    script: Script,
    plan: Option<Plan>,
    label: String,
) -> (Client, Learned) {
    let proxy = Proxy::start(server.address()).await;
    // Names of one length, so that the same bytes are at the same place each time.
    let (way, byte) = plan.map_or(('l', 0), |plan| (way_of(plan.direction), plan.after));
    let name = format!("{}{way}{byte:05}", if matches!(script, Script::Conversation) { 'c' } else { 'r' });
    let options = Options { partial: &["counted_part"], label, ..Options::default() };
    let mut alice = ResumingClient::offline(&proxy.url(), &token(&name), options);
    let spoilt = match script {
        Script::Conversation => {
            proxy.plan(plan);
            conversation(&mut alice, &mut publisher, &name).await;
            0
        }
        Script::Resumption => {
            proxy.plan(None);
            proxy.plan(plan);
            resumption(&mut alice, &mut publisher, &name).await;
            1
        }
    };
    let was_cut = proxy.connections() > spoilt + 1;
    let spoilt_connection = proxy.forwarded(spoilt);
    check(&alice);
    (publisher, Learned { spoilt_connection, was_cut })
}

fn way_of(direction: Direction) -> char {
    match direction {
        Direction::ToServer => 's',
        Direction::ToClient => 'c',
    }
}

async fn conversation(alice: &mut ResumingClient, publisher: &mut Client, topic: &str) {
    alice.request("subscribe", json!({ "topic": topic })).await;
    publish(publisher, topic, 0..2).await;
    alice.request("count", json!({ "key": "k", "parts": 3 })).await;
    alice.send("count", json!({ "key": "k" })).await;
    alice.send("count", json!({ "key": "k" })).await;
    publish(publisher, topic, 2..NEWS).await;
    alice.ack().await;
    finish(alice).await;
}

async fn resumption(alice: &mut ResumingClient, publisher: &mut Client, topic: &str) {
    alice.request("subscribe", json!({ "topic": topic })).await;
    publish(publisher, topic, 0..1).await;
    alice.request("count", json!({ "key": "k", "parts": 3 })).await;
    alice.ack().await;
    // Missed, and in flight.
    publish(publisher, topic, 1..2).await;
    alice.send("count", json!({ "key": "k" })).await;
    alice.send("count", json!({ "key": "k" })).await;
    alice.cut();
    publish(publisher, topic, 2..NEWS).await;
    alice.come_back().await;
    alice.ack().await;
    finish(alice).await;
}

async fn finish(alice: &mut ResumingClient) {
    alice.request("no_such_type", json!({})).await;
    alice.settle().await;
    for n in 0..NEWS {
        let news = alice.expect("news").await;
        assert_eq!(
            (&news["payload"]["n"], &news["offset"]),
            (&json!(n), &json!(n + 1)),
            "{}: {news}",
            alice.options.label
        );
    }
    let peek = alice.request("count_peek", json!({ "key": "k" })).await;
    if peek["payload"]["count"] != 3 {
        alice.fail(&format!("three messages were executed {} times", peek["payload"]["count"]));
    }
    alice.close_with(1000).await;
}

async fn publish(publisher: &mut Client, topic: &str, numbers: std::ops::Range<u64>) {
    for n in numbers {
        let receipt =
            publisher.request("publish", json!({ "topic": topic, "type": "news", "payload": { "n": n } })).await;
        assert_eq!(receipt["payload"]["receivers"], 1, "{topic} {n}: {receipt}");
    }
}

/// What the application saw, however often it was cut off.
fn check(alice: &ResumingClient) {
    let of = |name: &str| -> Vec<&Value> { alice.seen.iter().filter(|frame| frame["type"] == name).collect() };
    let numbers = |name: &str, field: &str| -> Vec<u64> {
        of(name).iter().filter_map(|frame| frame["payload"][field].as_u64()).collect()
    };
    let mut counts = numbers("counted", "count");
    counts.sort_unstable();
    let sums = [
        ("executions", counts == [1, 2, 3]),
        ("emissions", numbers("counted_part", "part") == [1, 2, 3]),
        ("publications", numbers("news", "n") == [0, 1, 2, 3]),
        ("errors", of("error").len() == 1),
        ("subscriptions", of("subscribed").len() == 1),
        ("everything", alice.seen.len() == 1 + 4 + 3 + 3 + 1 + 1),
    ];
    for (what, is_right) in sums {
        if !is_right {
            let seen: Vec<String> =
                alice.seen.iter().map(|frame| format!("{} {}", frame["type"], frame["payload"])).collect();
            alice.fail(&format!("{what} are wrong: {seen:#?}"));
        }
    }
    let (first, later) = alice.outcomes.split_first().expect("there was a first connection");
    let resumed = |outcome: &Outcome| matches!(outcome, Outcome::Resumed { .. });
    if *first != Outcome::Fresh || !later.iter().all(resumed) {
        alice.fail("a session was lost");
    }
}
