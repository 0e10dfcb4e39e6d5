//! Imports an interface that no host has, without the SDK.

wit_bindgen::generate!({
    path: "../../../wit",
    inline: "
        package test:stranger;
        interface teleport {
            beam: func(whom: string) -> bool;
        }
        world raw {
            import teleport;
            export switchboard:plugin/plugin@0.1.0;
            export switchboard:plugin/handler@0.1.0;
        }
    ",
    world: "test:stranger/raw",
    generate_all,
});

use exports::switchboard::plugin::{handler, plugin};
use switchboard::plugin::types::{Context, Message, Refusal};

struct Stranger;

impl plugin::Guest for Stranger {
    fn manifest() -> String {
        r#"{"name":"stranger","version":"1.0.0","handles":[{"type":"stranger"}]}"#.to_owned()
    }
}

impl handler::Guest for Stranger {
    fn handle(ctx: Context, message: Message) -> Result<Option<Message>, Refusal> {
        Ok(test::stranger::teleport::beam(&ctx.principal.subject).then_some(message))
    }
}

export!(Stranger);
