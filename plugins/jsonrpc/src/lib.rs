//! JSON-RPC 2.0 in, messages out; and in it the Model Context Protocol.
//!
//! The host carries JSON-RPC (in an envelope, as bare frames, over HTTP); the whole protocol is here:
//!
//! - [`rpc`]: what a request is, and every way in which one can be wrong; knows no method
//! - [`in_flight`]: that no two requests with one id are under way at the same time
//! - [`mcp`]: the methods of the Model Context Protocol, as revisions 2025-06-18 and 2025-11-25 have them
//! - [`tools`]: `tools/list` and `tools/call`, on the tools of all plugins

mod in_flight;
mod mcp;
mod rpc;
mod tools;

use schemars::JsonSchema;
use serde::Deserialize;
use switchboard_sdk::{Context, Error, Manifest, Message, Plugin};

use rpc::{Incoming, Response};

/// The message type, of requests and of answers.
const TYPE: &str = "jsonrpc";

/// The plugin.
#[derive(Debug, Default)]
pub struct JsonRpc;

/// What an operator can change.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Settings {
    /// Tools on one page of `tools/list`.
    #[schemars(range(min = 1, max = 1000))]
    page_size: usize,
    /// What clients are told about how to use this server.
    #[schemars(length(max = 4096))]
    instructions: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { page_size: 100, instructions: None }
    }
}

impl Plugin for JsonRpc {
    fn manifest() -> Manifest {
        // No payload schema: what is wrong with a request is said in JSON-RPC, with the request's id.
        switchboard_sdk::manifest!()
            .handles(TYPE, |t| t.emits([TYPE]).concurrent().description("One JSON-RPC 2.0 request or notification"))
            .settings::<Settings>()
    }

    fn handle(&mut self, ctx: &Context, message: Message) -> Result<Option<Message>, Error> {
        let response = match rpc::parse(&message.payload) {
            Incoming::Request(request) => in_flight::only_one(ctx, &request, || mcp::answer(ctx, &request)),
            // Neither is ever answered, whatever is in it.
            Incoming::Notification | Incoming::Response => return Ok(None),
            Incoming::Invalid(response) => response,
        };
        respond(&response)
    }
}

switchboard_sdk::register_plugin!(JsonRpc);

fn respond(response: &Response<'_>) -> Result<Option<Message>, Error> {
    Message::answer(TYPE, response)
}

#[cfg(test)]
mod tests;
