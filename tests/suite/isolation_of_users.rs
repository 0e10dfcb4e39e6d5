//! Eight users at once, every payload marked with a secret of its sender: no byte of one reaches another,
//! whatever is resumed, repeated, stolen or cut meanwhile.

use std::sync::{Arc, Mutex};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{Claims, Held, Options, Outcome, ResumingClient, Server, guest, random_u64};

/// Subjects and tenants: some share one or the other, which is where mistakes would show.
const USERS: [(&str, &str); 8] = [
    ("alice", "red"),
    ("alice", "blue"),
    ("bob", "red"),
    ("bob", "blue"),
    ("carol", "red"),
    ("dave", "red"),
    ("erin", "blue"),
    ("red", "alice"),
];

/// Of each session.
const ROUNDS: u64 = 60;

/// Sessions of each user.
const SESSIONS: usize = 2;

/// A user, and a text that nobody can guess.
struct User {
    number: usize,
    token: String,
    marker: String,
}

/// What a thief could have got hold of: the session of each user, with its resume token.
type Loot = Arc<Mutex<Vec<Option<(Held, u64)>>>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_byte_of_one_user_ever_reaches_another() {
    let server = Server::builder()
        .shipped(&["system", "agent", "tools"])
        .plugin("counter", guest("counter"))
        .plugin("lifecycle", guest("lifecycle"))
        .crowd()
        .start()
        .await;
    let users: Arc<Vec<User>> =
        Arc::new(USERS.iter().enumerate().map(|(number, user)| User::new(number, user)).collect());
    let loot: Loot = Arc::new(Mutex::new(vec![None; USERS.len()]));
    let tasks = (0..USERS.len() * SESSIONS).map(|task| {
        let (users, loot, url) = (Arc::clone(&users), Arc::clone(&loot), server.url().to_owned());
        tokio::spawn(async move { live(&users, task % USERS.len(), task / USERS.len(), &url, &loot).await })
    });
    let checked: Vec<usize> = join_all(tasks).await.into_iter().map(|seen| seen.expect("nothing leaked")).collect();
    println!(
        "{} frames of {} sessions were searched for {} markers",
        checked.iter().sum::<usize>(),
        checked.len(),
        users.len()
    );
    for user in users.iter() {
        let log = server.log();
        assert!(log.iter().all(|line| !line.contains(&user.marker)), "a payload was logged");
    }
}

impl User {
    fn new(number: usize, (subject, tenant): &(&str, &str)) -> Self {
        let token = Claims::of(subject).with("tenant", *tenant).sign();
        Self { number, token, marker: format!("marker{:016x}{:016x}", random_u64(), random_u64()) }
    }

    /// A message with the marker in every place that comes back somewhere.
    fn message(&self, round: u64, session: usize) -> (&'static str, Value) {
        let Self { marker, .. } = self;
        let private = format!("private.{marker}");
        match round % 6 {
            0 => ("ping", json!({ "data": { "secret": marker } })),
            1 => ("count", json!({ "key": marker, "parts": 3 })),
            2 => (
                "publish",
                json!({ "topic": private, "type": "news", "payload": { marker: round, "session": session } }),
            ),
            3 => ("system", json!({ "action": "echo", "data": [marker] })),
            4 => ("subscribe", json!({ "topic": 7, "why": marker })),
            _ => (
                "user_message",
                json!({ "content": format!("calculate 17 + 4 for {marker}"), "thread_id": "same for all" }),
            ),
        }
    }
}

/// The life of one session: traffic, cuts, and attempts to resume what belongs to others.
async fn live(users: &[User], number: usize, session: usize, url: &str, loot: &Loot) -> usize {
    let user = &users[number];
    let options = Options {
        partial: &[
            "counted_part",
            "agent_started",
            "agent_thinking",
            "tool_executing",
            "tool_completed",
            "partial_result",
        ],
        label: format!("{:?}, session {session}", USERS[number]),
        ..Options::default()
    };
    let mut client = ResumingClient::connect(url, &user.token, options.clone()).await;
    client.request("subscribe", json!({ "topic": format!("private.{}", user.marker) })).await;
    let mut seen = 0;
    for round in 0..ROUNDS {
        let (message_type, payload) = user.message(round, session);
        let id = client.send(message_type, payload).await;
        if random_u64().is_multiple_of(8) {
            client.cut();
        }
        if round % 3 == 0 {
            client.answer_to(&id).await;
        }
        if session == 0 {
            let held = client.held.clone().map(|held| (held, client.last_seq));
            loot.lock().expect("not poisoned")[number] = held;
        }
        if round % 15 == 14 {
            seen += steal(users, number, url, loot, &options).await;
        }
    }
    client.settle().await;
    search(users, user, &client) + seen
}

/// Tries to resume the session of another, with everything but its token.
async fn steal(users: &[User], number: usize, url: &str, loot: &Loot, options: &Options) -> usize {
    let victims = loot.lock().expect("not poisoned").clone();
    let victim = (number + 1 + usize::try_from(random_u64() % 7).expect("small")) % USERS.len();
    let Some((held, last_seq)) = victims[victim].clone() else { return 0 };
    let user = &users[number];
    let options = Options { label: format!("{} as {:?}", options.label, USERS[victim]), ..options.clone() };
    let mut thief = ResumingClient::offline(url, &user.token, options);
    (thief.held, thief.last_seq) = (Some(held), last_seq);
    let outcome = thief.come_back().await;
    if outcome != (Outcome::Failed { reason: "identity_mismatch".into() }) {
        thief.fail(&format!("the session of another was answered {outcome:?}"));
    }
    thief.request("ping", json!({ "data": user.marker })).await;
    let seen = search(users, user, &thief);
    thief.close_with(1000).await;
    seen
}

/// Looks for the markers of all others in everything that came in.
fn search(users: &[User], user: &User, client: &ResumingClient) -> usize {
    let mut own = 0;
    for frame in client.seen.iter().chain(&client.unnumbered) {
        let text = frame.to_string();
        own += usize::from(text.contains(&user.marker));
        for other in users.iter().filter(|other| other.number != user.number) {
            if text.contains(&other.marker) {
                client.fail(&format!("a frame with what {:?} wrote: {text}", USERS[other.number]));
            }
        }
    }
    assert!(own > 0, "{}: the markers come back to their owner", client.options.label);
    client.seen.len() + client.unnumbered.len()
}
