//! A manifest that is not JSON, without the SDK.

wit_bindgen::generate!({
    path: "../../../wit",
    inline: "
        package test:no-manifest;
        world raw {
            export switchboard:plugin/plugin@0.1.0;
            export switchboard:plugin/handler@0.1.0;
        }
    ",
    world: "test:no-manifest/raw",
    generate_all,
});

use exports::switchboard::plugin::{handler, plugin};
use switchboard::plugin::types::{Context, Message, Refusal};

struct Raw;

impl plugin::Guest for Raw {
    fn manifest() -> String {
        "name: no-manifest".to_owned()
    }
}

impl handler::Guest for Raw {
    fn handle(_ctx: Context, message: Message) -> Result<Option<Message>, Refusal> {
        Ok(Some(Message { type_: "raw_answer".to_owned(), ..message }))
    }
}

export!(Raw);
