//! Everything that a Switchboard plugin in Rust needs: one trait, one macro, and a native test host.
//!
//! ```
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//! use switchboard_sdk::{Context, Error, Manifest, Message, Plugin};
//!
//! #[derive(Default)]
//! struct Greeter;
//!
//! #[derive(Deserialize, JsonSchema)]
//! struct Greet {
//!     /// Who is to be greeted.
//!     name: String,
//! }
//!
//! #[derive(Serialize)]
//! struct Greeting {
//!     text: String,
//! }
//!
//! impl Plugin for Greeter {
//!     fn manifest() -> Manifest {
//!         switchboard_sdk::manifest!().handles("greet", |t| t.schema::<Greet>().emits(["greeting"]))
//!     }
//!
//!     fn handle(&mut self, _ctx: &Context, message: Message) -> Result<Option<Message>, Error> {
//!         let Greet { name } = message.payload()?;
//!         Message::answer("greeting", &Greeting { text: format!("Hello, {name}!") })
//!     }
//! }
//!
//! switchboard_sdk::register_plugin!(Greeter);
//!
//! // The same plugin, natively:
//! let outcome = switchboard_sdk::testing::TestHost::new()
//!     .handle::<Greeter>("greet", serde_json::json!({"name": "Ada"}));
//! assert_eq!(outcome.answer()["text"], "Hello, Ada!");
//! ```
//!
//! Read next: [`Plugin`] (what you write), [`Context`] (what you may call), [`Error`] (how to say no),
//! [`testing`] (how to test without a host).
//!
//! A component imports only the interfaces whose methods it uses, because the linker drops the
//! rest; what it imports, the operator has to grant. `logging` is always among them: a panic's message
//! goes to the host's log through it.

// The generated code and the macros name this crate, also from within it.
extern crate self as switchboard_sdk;

#[cfg(all(target_arch = "wasm32", feature = "allocator"))]
mod allocator;
mod ask;
#[doc(hidden)]
pub mod bindings;
mod completion;
mod context;
mod error;
#[doc(hidden)]
pub mod exports;
mod host;
pub mod http;
mod json_words;
mod manifest;
mod message;
mod plugin;
mod prompt;
mod resource;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
mod tool;

#[doc(hidden)]
pub use wit_bindgen;

pub use ask::Ask;
pub use completion::{Completed, Completing, Completion};
pub use context::{
    Catalogue, CatalogueError, ChangeError, Changes, Clock, Context, Delivery, Forbidden, HeardTool, Http, Inputs,
    Item, ItemRequest, Kind, Level, Limited, Listing, Member, Messages, Notice, Position, Principal, Progress,
    ProgressError, Publication, Random, Receipt, RequestError, Requests, Run, RunError, Runs, Scope, SealError, Seals,
    SendError, Severity, Span, State, StateError, Status, Subject, SubscribeOptions, Subscribing, Subscription, Target,
    ToolError, Toolbox, TopicError, Topics, Transport,
};
pub use error::Error;
pub use manifest::{Handles, Isolation, Manifest};
pub use message::Message;
pub use plugin::Plugin;
pub use prompt::{Prompt, PromptResult};
pub use resource::{Resource, ResourceResult, ResourceTemplate};
pub use tool::{Tool, ToolResult};
