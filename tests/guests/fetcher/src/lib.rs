//! Requests to other servers, by message: `{url, ...}` is answered with what came of each of them.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use switchboard_sdk::{
    Context, Error, Manifest, Message, Plugin,
    http::{HttpError, Response},
};

/// The plugin.
#[derive(Debug, Default)]
pub struct Fetcher;

#[derive(Deserialize, JsonSchema)]
struct Fetch {
    url: String,
    #[serde(default = "get")]
    method: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    #[serde(default)]
    body: String,
    /// How many, one after the other.
    #[serde(default = "once")]
    times: u32,
    timeout_ms: Option<u32>,
}

fn get() -> String {
    "GET".to_owned()
}

fn once() -> u32 {
    1
}

impl Plugin for Fetcher {
    fn manifest() -> Manifest {
        switchboard_sdk::manifest!().handles("fetch", |t| {
            t.schema::<Fetch>().emits(["fetch_result"]).description("Sends requests").concurrent()
        })
    }

    fn handle(&mut self, ctx: &Context, message: Message) -> Result<Option<Message>, Error> {
        let fetch: Fetch = message.payload()?;
        let results: Vec<Value> = (0..fetch.times).map(|_| told(send(ctx, &fetch))).collect();
        Message::answer("fetch_result", &json!({ "results": results }))
    }
}

switchboard_sdk::register_plugin!(Fetcher);

fn send(ctx: &Context, fetch: &Fetch) -> Result<Response, HttpError> {
    let mut request = ctx.http().request(&fetch.method, &fetch.url).body(fetch.body.as_str());
    for (name, value) in &fetch.headers {
        request = request.header(name, value);
    }
    if let Some(millis) = fetch.timeout_ms {
        request = request.timeout(Duration::from_millis(millis.into()));
    }
    request.send()
}

fn told(result: Result<Response, HttpError>) -> Value {
    match result {
        Ok(answer) => json!({ "status": answer.status(), "headers": answer.headers(), "body": answer.text() }),
        Err(error) => {
            let Error { code, message, .. } = error.into();
            json!({ "error": code, "text": message })
        }
    }
}
