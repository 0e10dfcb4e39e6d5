//! Revisions 2025-11-25 and 2025-06-18: a session that begins with `initialize`, and requests of the server.
//!
//! A client that skips `initialize` is served all the same, because who it is and what it may do comes from its token,
//! never from the handshake. It can only be asked for nothing.

use serde::Deserialize;
use serde_json::{json, value::RawValue};
use switchboard_sdk::{ChangeError, Context, Error, Kind, Scope, Severity, Span, Subject};

use crate::{
    Answer, Settings, TYPE, completion,
    era::{self, Caller, LEGACY, Meta},
    input_required::Given,
    items::Wanted,
    listen, lists,
    rpc::{Fault, Request, code},
    server_requests,
    text::{EMPTY, Members, is_object, to_raw},
};

/// What the session's client can do, as it said in `initialize`.
const CAPABILITIES: &str = "client_capabilities";

/// The least severe lines that the session's client wants.
const LOG_LEVEL: &str = "log_level";

/// Until a client says otherwise, the server decides (server/utilities/logging).
const DEFAULT_LOG_LEVEL: Severity = Severity::Info;

pub(crate) fn answer(ctx: &Context, settings: &Settings, request: &Request<'_>, meta: Meta<'_>) -> Answer {
    let result = match request.method.as_str() {
        "initialize" => initialize(ctx, settings, &request.params()?),
        "ping" => nothing(),
        "logging/setLevel" => set_level(ctx, &request.params()?),
        "tools/list" => tools(ctx, settings, request).and_then(|page| to_raw(&page)),
        "resources/list" => list(ctx, settings, request, Kind::Resources),
        "resources/templates/list" => list(ctx, settings, request, Kind::ResourceTemplates),
        "prompts/list" => list(ctx, settings, request, Kind::Prompts),
        "tools/call" | "prompts/get" | "resources/read" => return get(ctx, settings, request, meta),
        "resources/subscribe" => subscribe(ctx, request.params()?),
        "resources/unsubscribe" => unsubscribe(ctx, request.params()?),
        "completion/complete" => completion::complete(ctx, &request.params()?).and_then(|result| to_raw(&result)),
        method => Err(Fault::unknown_method(method)),
    };
    result.map(Some)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Initialize {
    protocol_version: String,
    capabilities: Option<Box<RawValue>>,
}

fn initialize(ctx: &Context, settings: &Settings, asked: &Initialize) -> Result<Box<RawValue>, Fault> {
    let capabilities = asked.capabilities.as_deref().filter(|capabilities| is_object(capabilities));
    if let Some(capabilities) = capabilities {
        ctx.state(Scope::Connection).set(CAPABILITIES, capabilities).map_err(Fault::internal)?;
    }
    let wanted = asked.protocol_version.as_str();
    let revision = LEGACY.iter().find(|revision| **revision == wanted).unwrap_or(&LEGACY[0]);
    let mut result = json!({
        "protocolVersion": revision,
        "capabilities": era::server_capabilities(),
        "serverInfo": era::server_info(),
    });
    if let Some(instructions) = &settings.instructions {
        result["instructions"] = instructions.clone().into();
    }
    to_raw(&result)
}

#[derive(Deserialize)]
struct SetLevel {
    level: Box<RawValue>,
}

fn set_level(ctx: &Context, asked: &SetLevel) -> Result<Box<RawValue>, Fault> {
    era::severity(&asked.level)?;
    ctx.state(Scope::Connection).set(LOG_LEVEL, &asked.level).map_err(Fault::internal)?;
    nothing()
}

fn list(ctx: &Context, settings: &Settings, request: &Request<'_>, kind: Kind) -> Result<Box<RawValue>, Fault> {
    to_raw(&lists::page(ctx, settings, kind, request.params()?)?.into_members()?)
}

/// Structured content is always an object in these revisions, and clients refuse a list in which one tool says otherwise.
fn tools(ctx: &Context, settings: &Settings, request: &Request<'_>) -> Result<Members, Fault> {
    #[derive(Deserialize)]
    struct Typed {
        #[serde(rename = "type")]
        kind: Option<Box<RawValue>>,
    }
    let mut page = lists::page(ctx, settings, Kind::Tools, request.params()?)?;
    for tool in &mut page.items {
        let schema = tool.get("outputSchema").and_then(|schema| serde_json::from_str::<Typed>(schema.get()).ok());
        let is_object = schema.and_then(|schema| schema.kind).is_some_and(|kind| kind.get() == r#""object""#);
        if !is_object {
            tool.remove("outputSchema");
        }
    }
    page.into_members()
}

fn get(ctx: &Context, settings: &Settings, request: &Request<'_>, meta: Meta<'_>) -> Answer {
    let wanted = Wanted::of(request)?;
    let caller = caller(ctx, meta)?;
    let given = Given { responses: EMPTY.to_owned(), state: None };
    server_requests::get(ctx, settings, request, &wanted, &caller, given, 0)
}

/// What the session's client said of itself.
pub(crate) fn caller<'a>(ctx: &Context, meta: Meta<'a>) -> Result<Caller<'a>, Fault> {
    let state = ctx.state(Scope::Connection);
    let capabilities: Option<Box<RawValue>> = state.get(CAPABILITIES).map_err(Fault::internal)?;
    let level: Option<Box<RawValue>> = state.get(LOG_LEVEL).map_err(Fault::internal)?;
    let level = level.map_or(Ok(DEFAULT_LOG_LEVEL), |level| era::severity(&level))?;
    let capabilities = capabilities.map_or_else(|| EMPTY.to_owned(), |capabilities| capabilities.get().to_owned());
    Ok(Caller { meta, capabilities, log_level: Some(level) })
}

/// A result without what only the modern era has.
pub(crate) fn complete(mut result: Members) -> Result<Box<RawValue>, Fault> {
    for member in ["resultType", "ttlMs", "cacheScope"] {
        result.remove(member);
    }
    if result.get("structuredContent").is_some_and(|content| !is_object(content)) {
        result.remove("structuredContent");
    }
    to_raw(&result)
}

/// These revisions have a code of their own for it.
pub(crate) fn in_own_words(mut fault: Fault, wanted: &Wanted<'_>) -> Fault {
    let is_unknown = fault.data.as_ref().is_some_and(|data| data.get("uri").is_some());
    if wanted.is_resource() && is_unknown {
        fault.code = code::RESOURCE_NOT_FOUND;
    }
    fault
}

#[derive(Deserialize)]
struct ByUri {
    uri: String,
}

fn subscribe(ctx: &Context, ByUri { uri }: ByUri) -> Result<Box<RawValue>, Fault> {
    let subject = Subject::Resource(uri.clone());
    let (method, params) = listen::notification(&subject);
    let payload = json!({ "jsonrpc": "2.0", "method": method, "params": params });
    ctx.changes().watch(&subject, Span::Session, TYPE, &payload).map_err(|error| match error {
        ChangeError::Unknown(_) => {
            Fault::new(code::RESOURCE_NOT_FOUND, format!("there is no resource {uri:?}")).data(json!({ "uri": uri }))
        }
        ChangeError::Invalid(text) => Fault::invalid_params(text),
        error => Fault::internal(Error::from(error).message),
    })?;
    nothing()
}

fn unsubscribe(ctx: &Context, ByUri { uri }: ByUri) -> Result<Box<RawValue>, Fault> {
    // Whether or not it was watched, it is not now.
    let _ = ctx.changes().unwatch(&Subject::Resource(uri), Span::Session);
    nothing()
}

fn nothing() -> Result<Box<RawValue>, Fault> {
    to_raw(&json!({}))
}
