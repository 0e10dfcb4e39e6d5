//! JSON-RPC 2.0 in, messages out; and in it the Model Context Protocol, for both of its eras.
//!
//! The host carries JSON-RPC (in an envelope, as bare frames, over HTTP); the whole protocol is here:
//!
//! - [`rpc`]: what a request is, and every way in which one can be wrong; knows no method
//! - [`era`]: which revision a request speaks; the names and capabilities that this server has in all of them
//! - [`modern`], [`legacy`]: the methods of revision 2026-07-28, and of 2025-11-25 and 2025-06-18
//! - [`lists`], [`items`], [`completion`]: what both have in common: lists; tools, resources and prompts; completion
//! - [`listen`], [`notifications`]: what changes, and what clients tell
//! - [`input_required`]: what a tool asks of the client, and whether the client can do it
//! - [`server_requests`]: the same as requests of the server, as the legacy revisions have it
//!
//! Nothing is remembered from one message to the next but what legacy sessions need: what the client can do, which
//! log lines it wants, and what it was asked.

mod completion;
mod era;
mod input_required;
mod items;
mod legacy;
mod listen;
mod lists;
mod modern;
mod notifications;
mod rpc;
mod server_requests;
mod settings;
mod text;

use serde_json::value::RawValue;
use switchboard_sdk::{Context, Error, Manifest, Message, Plugin, RequestError};

use era::Era;
use rpc::{Fault, Incoming, Request, Response, code};
use settings::Settings;

/// The message type, of requests and of answers.
const TYPE: &str = "jsonrpc";

/// The plugin.
#[derive(Debug, Default)]
pub struct JsonRpc;

/// The result of a request; `None` if it is left open, and answered later.
type Answer = Result<Option<Box<RawValue>>, Fault>;

impl Plugin for JsonRpc {
    fn manifest() -> Manifest {
        // No payload schema: what is wrong with a request is said in JSON-RPC, with the request's id.
        switchboard_sdk::manifest!()
            .handles(TYPE, |t| t.emits([TYPE]).concurrent().description("One JSON-RPC 2.0 request or notification"))
            .settings::<Settings>()
    }

    fn handle(&mut self, ctx: &Context, message: Message) -> Result<Option<Message>, Error> {
        match rpc::parse(&message.payload) {
            Incoming::Request(request) => respond(ctx, request.id, answer(ctx, &request)),
            // Neither is ever answered, whatever is in it.
            Incoming::Notification(notification) => {
                notifications::heard(ctx, &notification);
                Ok(None)
            }
            Incoming::Reply(reply) => server_requests::replied(ctx, &reply),
            Incoming::Invalid(response) => send(ctx, &response),
        }
    }
}

switchboard_sdk::register_plugin!(JsonRpc);

fn answer(ctx: &Context, request: &Request<'_>) -> Answer {
    match ctx.requests().begin(&rpc::id::name_of(request.id)) {
        // Without a request there is nothing that a second one could be taken for.
        Ok(()) | Err(RequestError::Unknown) => {}
        Err(RequestError::UnderWay) => {
            let problem = "another request with this `id` is still under way";
            return Err(Fault::new(code::INVALID_REQUEST, problem));
        }
        Err(error) => return Err(Fault::internal(Error::from(error).message)),
    }
    let settings: Settings = ctx.settings().map_err(Fault::internal)?;
    match era::of(request)? {
        Era::Modern(caller) => modern::answer(ctx, &settings, request, &caller),
        Era::Legacy(meta) => legacy::answer(ctx, &settings, request, meta),
    }
}

/// Answers a request, or leaves it open.
fn respond(ctx: &Context, id: &RawValue, answer: Answer) -> Result<Option<Message>, Error> {
    match answer.transpose() {
        Some(result) => send(ctx, &Response::new(id, result)),
        None => Ok(None),
    }
}

fn send(ctx: &Context, response: &Response<'_>) -> Result<Option<Message>, Error> {
    if let Some(fault) = response.fault()
        && let Some(status) = fault.status
    {
        ctx.requests().show(status, &fault.missing_scopes);
    }
    Message::answer(TYPE, response)
}

#[cfg(test)]
mod tests;
