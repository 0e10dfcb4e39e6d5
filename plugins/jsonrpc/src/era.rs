//! Which era of the protocol a request speaks, which it says itself: "modern" if its `_meta` has members of revision
//! 2026-07-28 (basic/versioning, dual-era servers), else "legacy", which begins with `initialize`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use switchboard_sdk::Severity;

use crate::{
    rpc::{Fault, Request, code},
    text::EMPTY,
};

/// The revision without sessions.
pub(crate) const MODERN: &str = "2026-07-28";

/// Those with a handshake, newest first. A client that asks for another is offered the newest, and decides.
pub(crate) const LEGACY: [&str; 2] = ["2025-11-25", "2025-06-18"];

/// The members of `_meta` that revision 2026-07-28 reserves (basic, general fields).
pub(crate) mod key {
    pub(crate) const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
    pub(crate) const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
    pub(crate) const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
    pub(crate) const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
    pub(crate) const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
    pub(crate) const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";
    pub(crate) const PROGRESS_TOKEN: &str = "progressToken";
}

/// Methods that no legacy revision has: a client that calls one of them has only forgotten its `_meta`.
const MODERN_ONLY: [&str; 2] = ["server/discover", "subscriptions/listen"];

pub(crate) enum Era<'a> {
    Modern(Caller<'a>),
    Legacy(Meta<'a>),
}

/// A request's `_meta`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Meta<'a> {
    /// The text of an object.
    pub text: &'a str,
    /// A string or a number.
    pub progress_token: Option<&'a RawValue>,
}

/// What a client says of itself, for one request.
#[derive(Debug, Clone)]
pub(crate) struct Caller<'a> {
    pub meta: Meta<'a>,
    /// The text of an object.
    pub capabilities: String,
    /// The least severe lines that it wants; none if it wants none.
    pub log_level: Option<Severity>,
}

#[derive(Deserialize)]
struct Params<'a> {
    #[serde(borrow, rename = "_meta")]
    meta: Option<&'a RawValue>,
}

/// Sorts a request, and refuses a modern one that lacks what it has to say.
pub(crate) fn of<'a>(request: &Request<'a>) -> Result<Era<'a>, Fault> {
    let params = request.params.map(RawValue::get).filter(|params| params.starts_with('{'));
    let params: Option<Params<'a>> = params.and_then(|params| serde_json::from_str(params).ok());
    let text = params.and_then(|params| params.meta).map(RawValue::get).filter(|meta| meta.starts_with('{'));
    let members: BTreeMap<String, &'a RawValue> =
        text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let text = text.unwrap_or(EMPTY);
    let says = [key::VERSION, key::CLIENT_CAPABILITIES, key::CLIENT_INFO, key::LOG_LEVEL];
    let is_modern = MODERN_ONLY.contains(&request.method.as_str()) || says.iter().any(|key| members.contains_key(*key));
    if is_modern {
        return modern(text, &members).map(Era::Modern);
    }
    Ok(Era::Legacy(Meta { text, progress_token: progress_token(&members)? }))
}

fn modern<'a>(text: &'a str, members: &BTreeMap<String, &'a RawValue>) -> Result<Caller<'a>, Fault> {
    let malformed = |problem: String| Fault::invalid_params(problem).shown(400);
    let version = members.get(key::VERSION).and_then(|version| serde_json::from_str::<String>(version.get()).ok());
    let version = version.ok_or_else(|| malformed(format!("`_meta` has to name its `{}`, a string", key::VERSION)))?;
    // What else a request of another revision has to say, nobody knows here.
    if version != MODERN {
        return Err(unsupported(&version));
    }
    let capabilities = members.get(key::CLIENT_CAPABILITIES).filter(|capabilities| capabilities.get().starts_with('{'));
    let capabilities = capabilities
        .ok_or_else(|| malformed(format!("`_meta` has to have `{}`, an object", key::CLIENT_CAPABILITIES)))?;
    let log_level = members.get(key::LOG_LEVEL).map(|level| severity(level)).transpose()?;
    let meta = Meta { text, progress_token: progress_token(members)? };
    Ok(Caller { meta, capabilities: capabilities.get().to_owned(), log_level })
}

/// The revisions that would do. One with a handshake is not reached by naming it in `_meta`.
fn unsupported(version: &str) -> Fault {
    let supported: Vec<&str> = versions().filter(|supported| *supported != version).collect();
    let hint = if LEGACY.contains(&version) { ", which begins with `initialize` and is named only there" } else { "" };
    Fault::new(code::UNSUPPORTED_VERSION, format!("a request cannot be served in protocol version {version:?}{hint}"))
        .data(json!({ "supported": supported, "requested": version }))
        .shown(400)
}

/// All revisions, newest first.
pub(crate) fn versions() -> impl Iterator<Item = &'static str> {
    [MODERN].into_iter().chain(LEGACY)
}

fn progress_token<'a>(members: &BTreeMap<String, &'a RawValue>) -> Result<Option<&'a RawValue>, Fault> {
    let Some(token) = members.get(key::PROGRESS_TOKEN).copied() else { return Ok(None) };
    if token.get().starts_with(|c: char| c == '"' || c == '-' || c.is_ascii_digit()) {
        return Ok(Some(token));
    }
    Err(Fault::invalid_params("`_meta.progressToken` has to be a string or a number"))
}

/// The level of that name, in JSON.
pub(crate) fn severity(level: &RawValue) -> Result<Severity, Fault> {
    let word: Option<String> = serde_json::from_str(level.get()).ok();
    Ok(match word.as_deref() {
        Some("debug") => Severity::Debug,
        Some("info") => Severity::Info,
        Some("notice") => Severity::Notice,
        Some("warning") => Severity::Warning,
        Some("error") => Severity::Error,
        Some("critical") => Severity::Critical,
        Some("alert") => Severity::Alert,
        Some("emergency") => Severity::Emergency,
        _ => {
            let known = "debug, info, notice, warning, error, critical, alert, emergency";
            return Err(Fault::invalid_params(format!("the log level is not one of: {known}")));
        }
    })
}

/// Who answers.
pub(crate) fn server_info() -> Value {
    json!({ "name": "switchboard", "title": "Switchboard", "version": env!("CARGO_PKG_VERSION") })
}

/// What this server can do. All of it at any time: what there is to list comes and goes with the plugins, and a client
/// asks only once.
pub(crate) fn server_capabilities() -> Value {
    json!({
        "tools": { "listChanged": true },
        "resources": { "listChanged": true, "subscribe": true },
        "prompts": { "listChanged": true },
        "completions": {},
        "logging": {},
    })
}
