//! Revision 2026-07-28: no session, and every request says itself what its client is.

use serde_json::{Value, json, value::RawValue};
use switchboard_sdk::{Context, Kind};

use crate::{
    Answer, Settings, completion,
    era::{self, Caller, key},
    input_required,
    items::{self, Gotten, Wanted},
    listen, lists,
    rpc::{Fault, Request},
    text::{Members, members, to_raw},
};

/// How long clients may go by what they discovered: it changes with another version of this plugin, or with its settings.
const DISCOVERED_TTL_MS: u64 = 60_000;

pub(crate) fn answer(ctx: &Context, settings: &Settings, request: &Request<'_>, caller: &Caller<'_>) -> Answer {
    let result = match request.method.as_str() {
        "server/discover" => discover(settings),
        "tools/list" => list(ctx, settings, request, Kind::Tools),
        "resources/list" => list(ctx, settings, request, Kind::Resources),
        "resources/templates/list" => list(ctx, settings, request, Kind::ResourceTemplates),
        "prompts/list" => list(ctx, settings, request, Kind::Prompts),
        "tools/call" | "prompts/get" | "resources/read" => get(ctx, settings, request, caller),
        "completion/complete" => completion::complete(ctx, &request.params()?),
        "subscriptions/listen" => return listen::listen(ctx, request).map(|()| None),
        method => Err(Fault::unknown_method(method).shown(404)),
    };
    complete(result?).map(Some)
}

fn discover(settings: &Settings) -> Result<Members, Fault> {
    let mut result = json!({
        "supportedVersions": era::versions().collect::<Vec<_>>(),
        "capabilities": era::server_capabilities(),
    });
    if let Some(instructions) = &settings.instructions {
        result["instructions"] = instructions.clone().into();
    }
    cacheable(members(&result.to_string())?, DISCOVERED_TTL_MS, false)
}

fn list(ctx: &Context, settings: &Settings, request: &Request<'_>, kind: Kind) -> Result<Members, Fault> {
    let page = lists::page(ctx, settings, kind, request.params()?)?;
    let private = page.private;
    cacheable(page.into_members()?, settings.list_ttl_ms(), private)
}

fn get(ctx: &Context, settings: &Settings, request: &Request<'_>, caller: &Caller<'_>) -> Result<Members, Fault> {
    let wanted = Wanted::of(request)?;
    let given = input_required::given(ctx, &wanted, request)?;
    let mut result = match items::get(ctx, &wanted, caller, given)? {
        Gotten::Complete(result) => result,
        Gotten::InputRequired(asked) => return asked.into_members(ctx, settings, &wanted, caller),
    };
    if wanted.is_resource() {
        // A plugin may know how long its content keeps. Whether it depends on who asks, nobody else can tell.
        let ttl = result.get("ttlMs").and_then(|ttl| ttl.get().parse().ok()).unwrap_or(0);
        let private = result.get("cacheScope").is_none_or(|scope| scope.get() != r#""public""#);
        result = cacheable(result, ttl, private)?;
    }
    Ok(result)
}

/// How long the result may be reused, and for whom (server/utilities/caching).
fn cacheable(mut result: Members, ttl_ms: u64, private: bool) -> Result<Members, Fault> {
    result.insert("ttlMs".into(), to_raw(&ttl_ms)?);
    result.insert("cacheScope".into(), to_raw(if private { "private" } else { "public" })?);
    Ok(result)
}

/// With what every result has: its type, and who answers (basic, responses).
fn complete(mut result: Members) -> Result<Box<RawValue>, Fault> {
    if !result.contains_key("resultType") {
        result.insert("resultType".into(), to_raw("complete")?);
    }
    let meta = result.get("_meta").map(|meta| meta.get()).filter(|meta| meta.starts_with('{'));
    let mut meta = meta.map(members).transpose()?.unwrap_or_default();
    meta.insert(key::SERVER_INFO.into(), to_raw(&era::server_info())?);
    result.insert("_meta".into(), to_raw(&meta)?);
    to_raw(&result)
}

/// The end of a stream of notifications, or of anything else that has no content.
pub(crate) fn empty(meta: (&str, &RawValue)) -> Result<Box<RawValue>, Fault> {
    let (name, value) = meta;
    let mut tagged = Members::new();
    tagged.insert(name.into(), value.to_owned());
    let mut result = Members::new();
    result.insert("_meta".into(), to_raw(&tagged)?);
    complete(result)
}

/// Notifications of a stream carry the id of the request that opened it (basic/patterns/subscriptions).
pub(crate) fn tagged(method: &str, subscription: &RawValue, params: Value) -> Result<Box<RawValue>, Fault> {
    let mut params = members(&params.to_string())?;
    let mut meta = Members::new();
    meta.insert(key::SUBSCRIPTION.into(), subscription.to_owned());
    params.insert("_meta".into(), to_raw(&meta)?);
    let mut notification = Members::new();
    notification.insert("jsonrpc".into(), to_raw("2.0")?);
    notification.insert("method".into(), to_raw(method)?);
    notification.insert("params".into(), to_raw(&params)?);
    to_raw(&notification)
}
