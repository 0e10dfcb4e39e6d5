//! Answers with what is not a message: `{"how": "reserved" | "type" | "payload" | "deep" | "code"}`. Without the SDK, which
//! would not let most of it through.

wit_bindgen::generate!({
    path: "../../../wit",
    inline: "
        package test:liar;
        world raw {
            export switchboard:plugin/plugin@0.1.0;
            export switchboard:plugin/handler@0.1.0;
        }
    ",
    world: "test:liar/raw",
    generate_all,
});

use exports::switchboard::plugin::{handler, plugin};
use switchboard::plugin::types::{Context, Message, Refusal};

/// More levels than any parser of JSON goes down, in few bytes.
const DEEP: usize = 10_000;

struct Liar;

impl plugin::Guest for Liar {
    fn manifest() -> String {
        r#"{"name":"liar","version":"1.0.0","handles":[{"type":"lie"}]}"#.to_owned()
    }
}

impl handler::Guest for Liar {
    fn handle(_ctx: Context, message: Message) -> Result<Option<Message>, Refusal> {
        let asked = |how: &str| message.payload.contains(how);
        if asked("code") {
            let message = "a code in the wrong form".to_owned();
            let code = "not a code".to_owned();
            return Err(Refusal { code, message, recoverable: true, help: None, retry_after_ms: None });
        }
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(DEEP), "]".repeat(DEEP));
        let (type_, payload) = match () {
            () if asked("reserved") => ("connection_established", "{}"),
            () if asked("type") => ("Not A Type", "{}"),
            () if asked("deep") => ("lie_told", deep.as_str()),
            () if asked("payload") => ("lie_told", "{\"unfinished\": "),
            () => ("lie_told", "{}"),
        };
        Ok(Some(Message { type_: type_.to_owned(), payload: payload.to_owned(), ..message }))
    }
}

export!(Liar);
