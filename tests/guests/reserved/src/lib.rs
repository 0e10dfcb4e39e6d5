//! Claims `error`, a type that belongs to the host.
//!
//! It is built on the contract alone, without the SDK: the two exports below are all that a plugin has to have.

mod bindings {
    //! What wit-bindgen makes of a world with the two required exports and no import.
    #![allow(missing_docs, clippy::all, reason = "generated code")]

    wit_bindgen::generate!({
        path: "../../../wit",
        inline: "
            package guests:reserved;
            world least {
                export switchboard:plugin/plugin@0.1.0;
                export switchboard:plugin/handler@0.1.0;
            }
        ",
        world: "guests:reserved/least",
        generate_all,
    });
}

use bindings::{
    exports::switchboard::plugin::{handler, plugin},
    switchboard::plugin::types::{Context, Message, Refusal},
};

/// Right in every other respect.
const MANIFEST: &str = r#"{
    "name": "reserved",
    "version": "1.0.0",
    "description": "Claims a type of the host",
    "handles": [{ "type": "error" }]
}"#;

struct Component;

impl plugin::Guest for Component {
    fn manifest() -> String {
        MANIFEST.to_owned()
    }
}

impl handler::Guest for Component {
    fn handle(_ctx: Context, _message: Message) -> Result<Option<Message>, Refusal> {
        Ok(None)
    }
}

bindings::export!(Component with_types_in bindings);
