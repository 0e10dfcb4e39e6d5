//! What callers and operators saw of an attack, in words that are the same on every machine.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::harness::{Client, Server};

/// One row of the page.
pub struct Row {
    pub attack: String,
    pub held_by: String,
    pub caller: String,
    pub operator: String,
}

/// The longest text that the page quotes whole.
const MAX_QUOTED: usize = 240;

/// Asks another plugin as another user for as long as the work lasts, and returns what the work did.
/// An answer that does not come fails the test.
pub async fn while_others_are_served<T>(bystander: &mut Client, work: impl Future<Output = T>) -> T {
    const AT_LEAST: usize = 3;
    let done = AtomicBool::new(false);
    let work = async {
        let result = work.await;
        done.store(true, Ordering::SeqCst);
        result
    };
    let others = async {
        let mut asked = 0;
        while asked < AT_LEAST || !done.load(Ordering::SeqCst) {
            let answer = bystander.request("ping", json!({})).await;
            assert_eq!(answer["type"], "pong", "somebody else was hit: {answer}");
            asked += 1;
        }
    };
    tokio::join!(work, others).0
}

/// A frame, as the page shows it: what differs from run to run is left out.
pub fn frame(frame: &Value) -> String {
    let payload = &frame["payload"];
    if frame["type"] == "error" {
        let text = payload["error"].as_str().expect("an error has a text");
        return format!("`{}`: {}", payload["code"].as_str().expect("an error has a code"), quoted(text));
    }
    let mut payload = payload.clone();
    if let Some(members) = payload.as_object_mut() {
        members.retain(|name, _| {
            !["run_id", "thread_id", "timestamp", "server_time", "connection_id"].contains(&name.as_str())
        });
    }
    format!("`{}` {}", frame["type"].as_str().expect("a frame has a type"), quoted(&payload.to_string()))
}

/// A log line as JSON.
pub fn line(server: &Server, fits: impl Fn(&Value) -> bool) -> Option<Value> {
    server.log().iter().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find(fits)
}

/// A log line, as the page shows it, without what the caller was told as well.
pub fn logged(line: &Value, told: &str) -> String {
    let fields = line.as_object().expect("a line is an object");
    let shown = ["outcome", "stage", "reason", "failure", "dropped"].iter().filter_map(|name| {
        let value = fields.get(*name)?;
        let text = quoted(&value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        (*name != "failure" || !told.contains(&text)).then(|| format!("`{name}={}`", text.replace('`', "'")))
    });
    let message = fields["message"].as_str().expect("a line has a message");
    let backtrace = fields.get("backtrace").and_then(Value::as_str).is_some_and(|frames| !frames.is_empty());
    let mut text =
        format!("{} \"{message}\" {}", line["level"].as_str().unwrap_or("?"), shown.collect::<Vec<_>>().join(" "));
    if backtrace {
        text.push_str(", with the backtrace");
    }
    text
}

/// One cell of a table: short, and without what would end the cell.
fn quoted(text: &str) -> String {
    let mut text = text.replace('|', "\\|").replace('\n', " ");
    if text.len() > MAX_QUOTED {
        let end = text.floor_char_boundary(MAX_QUOTED);
        text.replace_range(end.., " ...");
    }
    text
}
