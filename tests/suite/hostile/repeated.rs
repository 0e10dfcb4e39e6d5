//! The same attacks over and over: what the host needs for them is back at its level afterwards.
//!
//! Memory, file descriptors and threads are the process's own, read from `/proc`. They are looked at after half of
//! the rounds, in which pools fill, buffers find their size and the newest log lines come to be kept, and again after the
//! rest.

use std::{
    fs,
    sync::atomic::{AtomicUsize, Ordering},
    time::Instant,
};

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{
    attack::{self, Attack},
    calls::CALLS,
    file::{FILES, Made},
    raw::Raw,
    when_called,
};
use crate::harness::{Client, PATIENCE, Server, guest};

/// How often each guest attacks, unless [`MORE`] says otherwise: what fits into a test run. docs/sandbox.md tells what
/// ten thousand look like.
const REPETITIONS: usize = 1_000;

/// The environment variable with another number.
const MORE: &str = "SWITCHBOARD_REPETITIONS";

/// In how many rounds all of them do.
const ROUNDS: usize = 10;

/// One part of these for guests that use up time until they are stopped, of which one is like the other.
const SPINNING: usize = 5;

/// Callers at one time.
const CALLERS: usize = 8;

/// Files that are replaced at one time, and how often each is.
const REPLACED_FILES: usize = 10;
const REPLACEMENTS: usize = 100;

/// What allocators keep for themselves: pages that are free, but between others that are not. It comes to rest after some
/// 3,000 files, up to 25 MiB above where it was after the first 200. An instance or a component that was forgotten each time
/// would be twice as much at least.
const MARGIN_BYTES: u64 = 32 << 20;

/// The runtime's threads for what blocks come and go by themselves.
const MARGIN_THREADS: usize = 3;

/// What a process needs.
#[derive(Debug, Clone, Copy)]
struct Needs {
    memory: u64,
    descriptors: usize,
    threads: usize,
}

impl Needs {
    fn of(server: &Server) -> Self {
        let folder = format!("/proc/{}", server.process_id());
        let status = fs::read_to_string(format!("{folder}/status")).expect("the process runs");
        let kib = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
        let count = |name: &str| fs::read_dir(format!("{folder}/{name}")).expect("the process runs").count();
        Self { memory: kib.expect("Linux says so") << 10, descriptors: count("fd"), threads: count("task") }
    }

    /// Waits until it is what it was before, and says what it is then.
    async fn back_at(server: &Server, before: Self) -> Self {
        let begun = Instant::now();
        loop {
            let now = Self::of(server);
            let fits = now.memory <= before.memory + MARGIN_BYTES
                && now.descriptors <= before.descriptors
                && now.threads <= before.threads + MARGIN_THREADS;
            if fits {
                return now;
            }
            assert!(begun.elapsed() < PATIENCE, "it was {before:?}, and is {now:?}");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }
}

/// As small as they can be, since each is met so often.
fn smaller(limits: &str) -> String {
    [
        ("cpu_time = \"100ms\"", "cpu_time = \"1ms\""),
        ("cpu_time = \"1s\"", "cpu_time = \"1ms\""),
        ("deadline = \"500ms\"", "deadline = \"5ms\""),
        ("\"8MiB\"", "\"1MiB\""),
        ("max_emissions = 50", "max_emissions = 5"),
        ("max_emitted_bytes = \"1MiB\"\nmax_log", "max_emitted_bytes = \"200KiB\"\nmax_log"),
        ("max_state_bytes = \"256KiB\"", "max_state_bytes = \"8KiB\""),
    ]
    .iter()
    .fold(limits.to_owned(), |limits, (large, small)| limits.replace(large, small))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_thousands_of_attacks_the_host_is_as_it_was() {
    let repetitions = std::env::var(MORE).map_or(REPETITIONS, |text| text.parse().expect("a number"));
    let folder = tempfile::tempdir().expect("a folder");
    // Two seconds each: that it is stopped shows in the table, and the way is that of the other spinning guests.
    let attacks: Vec<Attack> = CALLS.iter().filter(|attack| !attack.send.1.contains("anyway")).copied().collect();
    let builder = attack::with_guests(Server::builder().system().crowd(), &attacks, &folder, smaller);
    let server = builder.setting("logging.filter", "switchboard=error").start().await;
    let mut callers = Vec::new();
    for number in 0..CALLERS {
        let user = format!("mallory-{number}");
        callers.push((Client::connect(&server, &user).await, Client::connect(&server, &user).await));
    }
    let mut bystander = Client::connect(&server, "bob").await;
    let begun = Instant::now();
    let mut needs = Vec::new();
    for _ in 0..ROUNDS {
        let round = round(&mut callers, &attacks, repetitions / ROUNDS);
        super::seen::while_others_are_served(&mut bystander, round).await;
        needs.push(Needs::of(&server));
    }
    let took = begun.elapsed();
    println!("{} attacks, {repetitions} times each, in {took:?}; after each round: {needs:?}", attacks.len());
    Needs::back_at(&server, needs[ROUNDS / 2 - 1]).await;
}

/// All attacks so many times, the callers sharing them.
async fn round(callers: &mut [(Client, Client)], attacks: &[Attack], times: usize) {
    for attack in attacks {
        let few = std::env::var_os(MORE).is_none();
        let left = AtomicUsize::new(if few && attack.spins() { times / SPINNING } else { times });
        let take = || left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        join_all(callers.iter_mut().map(async |(client, accomplice)| {
            while take() {
                once(client, accomplice, attack).await;
            }
        }))
        .await;
    }
}

async fn once(client: &mut Client, accomplice: &mut Client, attack: &Attack) {
    let first = match attack.with {
        Some((message_type, payload)) => Some(send(accomplice, message_type, payload).await),
        None => None,
    };
    let id = send(client, attack.send.0, attack.send.1).await;
    let answer = when_called::end(client, attack, &id).await;
    let mut found = vec![answer];
    if let Some(id) = first {
        found.push(when_called::end(accomplice, attack, &id).await);
    }
    let is_expected =
        |frame: &Value| [&frame["payload"]["code"], &frame["type"]].iter().any(|is| **is == attack.answer.0);
    // One that is given a millisecond may use it up before it comes to its crime.
    let too_slow = |frame: &Value| attack.spins() && frame["payload"]["code"] == "PLUGIN_TIMEOUT";
    assert!(found.iter().any(|frame| is_expected(frame) || too_slow(frame)), "{}: {found:?}", attack.plugin);
    client.forget_unread();
    accomplice.forget_unread();
}

/// Without an `id`, so that it is not remembered for a repeat: that memory has a bound of its own.
async fn send(client: &mut Client, message_type: &str, payload: &str) -> String {
    let id = client.next_id();
    let payload: Value = serde_json::from_str(payload).expect("the table holds JSON");
    client.send_text(&json!({ "type": message_type, "payload": payload, "correlation_id": id }).to_string()).await;
    id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_thousand_bad_files_the_host_is_as_it_was_and_the_good_versions_served() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut builder = Server::builder().system().crowd().plugin("echo", guest("echo-v1"));
    let names: Vec<String> = (1..REPLACED_FILES).map(|number| format!("file-{number}")).collect();
    for name in &names {
        let path = folder.path().join(format!("{name}.wasm"));
        fs::write(&path, Raw::new("silent", name).build()).expect("written");
        builder = builder.plugin(name, path);
    }
    let server = builder.setting("logging.filter", "switchboard=error").start().await;
    let mut client = Client::connect(&server, "bob").await;
    let bad: Vec<Vec<u8>> = FILES
        .iter()
        // Those that spin take two seconds each, and those of crates are large.
        .filter(|file| !file.plugin.contains("spins") && file.stage.is_some() && !matches!(file.made, Made::Crate(_)))
        .filter(|file| file.config.is_empty() && file.plugin != "impostor")
        .map(|file| file.bytes())
        .collect();
    let all: Vec<&str> = names.iter().map(String::as_str).chain(["echo"]).collect();
    let mut before = None;
    for round in 0..REPLACEMENTS {
        for (number, name) in all.iter().enumerate() {
            server.install_bytes(name, &unlike(&bad[(round + number) % bad.len()], round));
        }
        let seen = async {
            for name in &all {
                let failed = |now: f64| now >= 1.0;
                crate::harness::eventually("a bad file to be seen", async || {
                    let series = format!("switchboard_plugin_loads_total{{plugin=\"{name}\"");
                    #[expect(clippy::cast_precision_loss, reason = "a hundred")]
                    let loads = server.metric(&series).await - 1.0 - round as f64;
                    failed(loads).then_some(())
                })
                .await;
            }
        };
        super::seen::while_others_are_served(&mut client, seen).await;
        let answer = client.request("echo", json!({ "round": round })).await;
        assert_eq!(answer["payload"]["version"], "1.0.0", "the good version serves: {answer}");
        if round == REPLACEMENTS / 5 {
            before = Some(Needs::of(&server));
        }
    }
    let before = before.expect("there were so many rounds");
    let after = Needs::back_at(&server, before).await;
    println!("{} files, {REPLACEMENTS} times each: {before:?} before, {after:?} after", all.len());
}

/// The same fault in other bytes: with a custom section behind, or anything where it is no Wasm.
fn unlike(bytes: &[u8], round: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let name = format!("round {round:04}");
    if bytes.starts_with(b"\0asm\x0d") {
        bytes.extend([0, u8::try_from(name.len() + 1).expect("short"), u8::try_from(name.len()).expect("short")]);
    }
    bytes.extend(name.as_bytes());
    bytes
}
