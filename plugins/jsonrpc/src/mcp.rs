//! The Model Context Protocol in its revisions with a handshake (2025-06-18, 2025-11-25).
//!
//! Nothing is remembered between requests: a client that skips `initialize` is served all the same,
//! because who it is and what it may do comes from its token, never from the handshake.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{json, value::RawValue};
use switchboard_sdk::Context;

use crate::{
    Settings,
    rpc::{Fault, Request, code},
    tools,
};

/// Newest first. A client that asks for another is offered the newest, and decides.
const REVISIONS: &[&str] = &["2025-11-25", "2025-06-18"];

/// What a request gets.
pub(crate) fn answer(ctx: &Context, request: &Request<'_>) -> Result<Box<RawValue>, Fault> {
    match request.method.as_str() {
        "initialize" => initialize(ctx, &params(request)?),
        "ping" => to_raw(&json!({})),
        "tools/list" => tools::list(ctx, &params(request)?),
        "tools/call" => tools::call(ctx, &params(request)?),
        method => Err(Fault::new(code::METHOD_NOT_FOUND, format!("there is no method {method:?}"))),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Initialize {
    protocol_version: String,
}

fn initialize(ctx: &Context, asked: &Initialize) -> Result<Box<RawValue>, Fault> {
    let settings: Settings = ctx.settings().map_err(Fault::internal)?;
    let wanted = asked.protocol_version.as_str();
    let revision = REVISIONS.iter().find(|revision| **revision == wanted).unwrap_or(&REVISIONS[0]);
    let mut result = json!({
        "protocolVersion": revision,
        "capabilities": { "tools": {} },
        "serverInfo": { "name": "switchboard", "title": "Switchboard", "version": env!("CARGO_PKG_VERSION") },
    });
    if let Some(instructions) = settings.instructions {
        result["instructions"] = instructions.into();
    }
    to_raw(&result)
}

/// The parameters by name; left out, an empty object.
fn params<P: DeserializeOwned>(request: &Request<'_>) -> Result<P, Fault> {
    let text = request.params.map_or("{}", RawValue::get);
    if !text.starts_with('{') {
        return Err(Fault::invalid_params("`params` has to be an object"));
    }
    serde_json::from_str(text).map_err(|fault| Fault::invalid_params(format!("`params`: {fault}")))
}

pub(crate) fn to_raw<T: Serialize>(result: &T) -> Result<Box<RawValue>, Fault> {
    serde_json::value::to_raw_value(result).map_err(Fault::internal)
}
