//! `subscriptions/listen`: a request that stays open, and is told what has changed (basic/patterns/subscriptions).

use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};
use switchboard_sdk::{ChangeError, Context, Error, Span, Subject};

use crate::{
    TYPE,
    era::key,
    modern::{empty, tagged},
    rpc::{Fault, Request, Response},
    text::Object,
};

/// Resources that one stream can be told of. The host has a bound of its own, for all streams of a session.
const MAX_RESOURCES: usize = 1_000;

#[derive(Deserialize)]
struct Listen {
    notifications: Object<Filter>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Filter {
    tools_list_changed: bool,
    prompts_list_changed: bool,
    resources_list_changed: bool,
    resource_subscriptions: Vec<String>,
}

/// Places the watches, says which they are, and leaves the request open.
pub(crate) fn listen(ctx: &Context, request: &Request<'_>) -> Result<(), Fault> {
    let Listen { notifications: Object(notifications) } = request.params()?;
    if notifications.resource_subscriptions.len() > MAX_RESOURCES {
        let problem = format!("`params.notifications.resourceSubscriptions` has more than {MAX_RESOURCES} entries");
        return Err(Fault::invalid_params(problem));
    }
    let end = Response::new(request.id, Ok(empty((key::SUBSCRIPTION, request.id))?));
    ctx.requests().leave_open(None, &end).map_err(|error| Fault::internal(Error::from(error).message))?;
    let honoured = watch(ctx, request.id, &notifications)?;
    // A change is told after some time of quiet, so that this is the first message of the stream.
    let params = json!({ "notifications": honoured });
    let acknowledged = tagged("notifications/subscriptions/acknowledged", request.id, params)?;
    ctx.messages().reply(TYPE, &acknowledged).map_err(Fault::internal)
}

/// What of the filter the host watches.
fn watch(ctx: &Context, id: &RawValue, filter: &Filter) -> Result<Map<String, Value>, Fault> {
    let mut honoured = Map::new();
    for (is_wanted, name, subject) in [
        (filter.tools_list_changed, "toolsListChanged", Subject::Tools),
        (filter.prompts_list_changed, "promptsListChanged", Subject::Prompts),
        (filter.resources_list_changed, "resourcesListChanged", Subject::Resources),
    ] {
        if is_wanted && begin(ctx, id, &subject)? {
            honoured.insert(name.to_owned(), true.into());
        }
    }
    let mut resources: Vec<Value> = Vec::new();
    for uri in &filter.resource_subscriptions {
        if begin(ctx, id, &Subject::Resource(uri.clone()))? {
            resources.push(uri.clone().into());
        }
    }
    if !resources.is_empty() {
        honoured.insert("resourceSubscriptions".to_owned(), resources.into());
    }
    Ok(honoured)
}

/// Whether there is such a thing to watch.
fn begin(ctx: &Context, id: &RawValue, subject: &Subject) -> Result<bool, Fault> {
    let (method, params) = notification(subject);
    let payload = tagged(method, id, params)?;
    match ctx.changes().watch(subject, Span::Request, TYPE, &payload) {
        Ok(()) => Ok(true),
        Err(ChangeError::Unknown(_)) => Ok(false),
        Err(error) => Err(Fault::internal(Error::from(error).message)),
    }
}

/// What tells that something has changed: the method, and its parameters.
pub(crate) fn notification(subject: &Subject) -> (&'static str, Value) {
    match subject {
        Subject::Tools => ("notifications/tools/list_changed", json!({})),
        Subject::Prompts => ("notifications/prompts/list_changed", json!({})),
        Subject::Resources => ("notifications/resources/list_changed", json!({})),
        Subject::Resource(uri) => ("notifications/resources/updated", json!({ "uri": uri })),
    }
}
