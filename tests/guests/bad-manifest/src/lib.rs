//! Describes itself wrongly: the host has to name the path of a fault.
//!
//! It is built on the contract alone, without the SDK: the two exports below are all that a plugin has to have.

mod bindings {
    //! What wit-bindgen makes of a world with the two required exports and no import.
    #![allow(missing_docs, clippy::all, reason = "generated code")]

    wit_bindgen::generate!({
        path: "../../../wit",
        inline: "
            package guests:bad-manifest;
            world least {
                export switchboard:plugin/plugin@0.1.0;
                export switchboard:plugin/handler@0.1.0;
            }
        ",
        world: "guests:bad-manifest/least",
        generate_all,
    });
}

use bindings::{
    exports::switchboard::plugin::{handler, plugin},
    switchboard::plugin::types::{Context, Message, Refusal},
};

/// The version is no version, and the type has capital letters and a space.
const MANIFEST: &str = r#"{
    "name": "bad-manifest",
    "version": "one",
    "handles": [{ "type": "Not A Type", "ordering": "whatever" }]
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
