//! Exports no more than it has to, imports nothing, and is made without the SDK: type `minimal`, answered by
//! `raw_answer` with the payload as it came.

wit_bindgen::generate!({
    path: "../../../wit",
    inline: "
        package test:minimal;
        world raw {
            export switchboard:plugin/plugin@0.1.0;
            export switchboard:plugin/handler@0.1.0;
        }
    ",
    world: "test:minimal/raw",
    generate_all,
});

use exports::switchboard::plugin::{handler, plugin};
use switchboard::plugin::types::{Context, Message, Refusal};

struct Raw;

impl plugin::Guest for Raw {
    fn manifest() -> String {
        r#"{"name":"minimal","version":"1.0.0","handles":[{"type":"minimal"}],"unknown":"ignored"}"#.to_owned()
    }
}

impl handler::Guest for Raw {
    fn handle(_ctx: Context, message: Message) -> Result<Option<Message>, Refusal> {
        Ok(Some(Message { type_: "raw_answer".to_owned(), ..message }))
    }
}

export!(Raw);
