//! Takes the table of [`calls`](super::calls) through one server, attack by attack.

use serde_json::Value;

use super::{
    attack::{self, Attack},
    calls::CALLS,
    seen::{self, Row},
};
use crate::harness::{Client, Server, eventually};

/// What each attack looked like. Panics if one of them did not meet what the table says.
pub async fn rows() -> Vec<Row> {
    let folder = tempfile::tempdir().expect("a folder");
    let builder = attack::with_guests(Server::builder().system().crowd(), CALLS, &folder, str::to_owned);
    let server = builder.start().await;
    let mut bystander = Client::connect(&server, "bob").await;
    let mut rows = Vec::new();
    let mut faults = Vec::new();
    for attack in CALLS {
        match row(&server, &mut bystander, attack).await {
            Ok(row) => rows.push(row),
            Err(fault) => faults.push(format!("{} {}: {fault}", attack.plugin, attack.does)),
        }
    }
    assert!(faults.is_empty(), "{} attacks came off otherwise:\n{}", faults.len(), faults.join("\n"));
    rows
}

async fn row(server: &Server, bystander: &mut Client, attack: &Attack) -> Result<Row, String> {
    let series =
        format!("switchboard_plugin_calls_total{{plugin=\"{}\",outcome=\"{}\"}}", attack.plugin, attack.outcome);
    let before = server.metric(&series).await;
    let mut caller = Client::connect(server, "mallory").await;
    let answer = seen::while_others_are_served(bystander, answer(server, &mut caller, attack)).await;
    let (expected, words) = attack.answer;
    let found = if answer["type"] == "error" { &answer["payload"]["code"] } else { &answer["type"] };
    if found != expected || !answer["payload"].to_string().to_lowercase().contains(&words.to_lowercase()) {
        return Err(format!("wanted {expected} with {words:?}, got {}", cut(&answer)));
    }
    for secret in ["wasm-function", "wasm!", ".rs:"] {
        assert!(!answer.to_string().contains(secret), "a client saw the inside of a plugin: {answer}");
    }
    eventually(&format!("{series} to be counted"), async || (server.metric(&series).await > before).then_some(()))
        .await;
    let told = seen::frame(&answer);
    let operator = match attack.logged {
        None => "no log line".to_owned(),
        Some(words) => {
            let id = caller.connection_id().to_owned();
            let fits = |line: &Value| {
                let text = line.to_string();
                line["message"] == words
                    && (line["outcome"].is_null() || line["outcome"] == attack.outcome)
                    && text.contains(attack.plugin)
                    // Of two callers, it is not known whose call ended how.
                    && (attack.with.is_some() || text.contains(&id))
            };
            let what = format!("{} to be logged", attack.plugin);
            seen::logged(&eventually(&what, async || seen::line(server, fits)).await, &told)
        }
    };
    caller.close().await;
    Ok(Row {
        attack: attack.does.to_owned(),
        held_by: attack.held_by.to_owned(),
        caller: told,
        operator: format!("{operator}; `plugin_calls_total{{outcome=\"{}\"}}`", attack.outcome),
    })
}

/// The frame that ends the attack for its caller.
async fn answer(server: &Server, caller: &mut Client, attack: &Attack) -> Value {
    let payload = |text: &str| serde_json::from_str(text).expect("the table holds JSON");
    let (message_type, text) = attack.send;
    let Some((with, with_text)) = attack.with else {
        let id = caller.send(message_type, payload(text)).await;
        return end(caller, attack, &id).await;
    };
    let mut accomplice = Client::connect(server, "mallory").await;
    let with_id = accomplice.send(with, payload(with_text)).await;
    let id = caller.send(message_type, payload(text)).await;
    let (first, second) = tokio::join!(end(caller, attack, &id), end(&mut accomplice, attack, &with_id));
    accomplice.close().await;
    // Which of the two came first is not known.
    if first["payload"]["code"] == attack.answer.0 { first } else { second }
}

/// Waits for what ends an attack for its caller.
pub async fn end(client: &mut Client, attack: &Attack, id: &str) -> Value {
    // What comes before it are the messages that it sent, and the events of its run.
    let ended = |frame: &Value| match frame["type"].as_str() {
        Some("flooded" | "abandon_started") => false,
        Some("agent_completed") => attack.answer.0 == "agent_completed",
        _ => true,
    };
    client.find("the end of an attack", |frame| frame["correlation_id"] == id && ended(frame)).await
}

fn cut(answer: &Value) -> String {
    answer.to_string().chars().take(400).collect()
}
