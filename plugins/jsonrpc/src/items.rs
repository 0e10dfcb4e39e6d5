//! `tools/call`, `prompts/get` and `resources/read`: one that is offered, asked for with the caller's rights.

use serde::Deserialize;
use serde_json::{json, value::RawValue};
use switchboard_sdk::{CatalogueError, Context, Error, Forbidden, Item, ItemRequest, Limited, Notice, ToolResult};

use crate::{
    TYPE,
    era::Caller,
    input_required::{Asked, Given},
    rpc::{Fault, Request, code},
    text::{EMPTY, Members, is_object, members, to_raw},
};

/// What is asked for.
pub(crate) struct Wanted<'a> {
    method: &'a str,
    item: Item,
    arguments: Box<RawValue>,
}

/// What came of it.
pub(crate) enum Gotten {
    Complete(Members),
    InputRequired(Asked),
}

#[derive(Deserialize)]
struct ByName {
    name: String,
    arguments: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct ByUri {
    uri: String,
}

impl<'a> Wanted<'a> {
    pub(crate) fn of(request: &'a Request<'_>) -> Result<Self, Fault> {
        let method = request.method.as_str();
        let (item, arguments) = if method == "resources/read" {
            (Item::Resource(request.params::<ByUri>()?.uri), None)
        } else {
            let ByName { name, arguments } = request.params()?;
            (if method == "tools/call" { Item::Tool(name) } else { Item::Prompt(name) }, arguments)
        };
        let arguments = arguments.map_or_else(|| to_raw(&json!({})), Ok)?;
        if !is_object(&arguments) {
            return Err(Fault::invalid_params("`params.arguments` has to be an object"));
        }
        Ok(Self { method, item, arguments })
    }

    pub(crate) fn method(&self) -> &str {
        self.method
    }

    pub(crate) fn name(&self) -> &str {
        let (Item::Tool(name) | Item::Resource(name) | Item::Prompt(name) | Item::ResourceTemplate(name)) = &self.item;
        name
    }

    pub(crate) fn arguments(&self) -> &str {
        self.arguments.get()
    }

    pub(crate) fn is_resource(&self) -> bool {
        matches!(self.item, Item::Resource(_))
    }

    /// What a model can act on is a result of a tool; of anything else, it is an error.
    pub(crate) fn failure(&self, problem: &str, advice: &str) -> Result<Members, Fault> {
        match &self.item {
            Item::Tool(name) => {
                let text = format!("The tool {name:?} did not succeed: {problem}. {advice}");
                members(to_raw(&ToolResult::failure(text))?.get())
            }
            _ => Err(Fault::internal(problem)),
        }
    }

    fn unknown(&self) -> Fault {
        let name = self.name();
        match &self.item {
            // The modern era has no code of its own for it (server/resources, error handling).
            Item::Resource(_) => {
                Fault::invalid_params(format!("there is no resource {name:?}")).data(json!({ "uri": name }))
            }
            Item::Prompt(_) => {
                Fault::invalid_params(format!("there is no prompt {name:?}: prompts/list names those that there are"))
            }
            _ => Fault::invalid_params(format!("there is no tool {name:?}: tools/list names those that there are")),
        }
    }
}

/// Asks for it. That a tool failed is a result.
pub(crate) fn get(ctx: &Context, wanted: &Wanted<'_>, caller: &Caller<'_>, given: Given) -> Result<Gotten, Fault> {
    let request = ItemRequest {
        arguments: wanted.arguments().to_owned(),
        responses: given.responses,
        state: given.state,
        client_capabilities: caller.capabilities.clone(),
        meta: caller.meta.text.to_owned(),
        on_progress: caller.meta.progress_token.map(on_progress).transpose()?,
        on_log: caller.log_level.map(|level| on_log().map(|notice| (level, notice))).transpose()?,
    };
    match ctx.catalogue().get(&wanted.item, &request) {
        Ok(result) => Asked::sort(members(&result)?),
        Err(error) => failed(wanted, error).map(Gotten::Complete),
    }
}

/// What is wrong with the request is an error of it; what went wrong with a tool is something to learn from.
fn failed(wanted: &Wanted<'_>, error: CatalogueError) -> Result<Members, Fault> {
    let is_tool = matches!(wanted.item, Item::Tool(_));
    let advice = match &error {
        CatalogueError::Unknown(_) => return Err(wanted.unknown()),
        CatalogueError::InvalidArguments(text) if !is_tool => return Err(Fault::invalid_params(text)),
        CatalogueError::InvalidArguments(_) => "Correct the arguments so that they fit the tool's input schema.",
        CatalogueError::Forbidden(forbidden) if !is_tool || !forbidden.missing_scopes.is_empty() => {
            return Err(denied(forbidden.clone()));
        }
        CatalogueError::Forbidden(_) => "Do without this tool: the caller may not use it.",
        CatalogueError::Limited(Limited { reason, retry_after_ms }) => {
            let wait = retry_after_ms.div_ceil(1000).max(1);
            let advice = format!("Try again in {wait} s.");
            if is_tool {
                return wanted.failure(reason, &advice);
            }
            let fault = Fault::internal(format!("{reason}. {advice}"));
            return Err(fault.data(json!({ "retryAfterMs": retry_after_ms })));
        }
        CatalogueError::Timeout => "Ask for less at once.",
        _ => "The same call may succeed later; other arguments may succeed now.",
    };
    wanted.failure(&Error::from(error).message, advice)
}

/// HTTP tells it to clients that can ask for another token (basic/authorization, insufficient scope).
pub(crate) fn denied(forbidden: Forbidden) -> Fault {
    let Forbidden { reason, missing_scopes } = forbidden;
    let mut fault = Fault::new(code::INVALID_REQUEST, reason);
    if !missing_scopes.is_empty() {
        fault = fault.data(json!({ "missingScopes": missing_scopes })).shown(403);
        fault.missing_scopes = missing_scopes;
    }
    fault
}

/// A notification that the host completes at `/params`.
fn notice(method: &str, params: &Members) -> Result<Notice, Fault> {
    let mut notification = Members::new();
    notification.insert("jsonrpc".into(), to_raw("2.0")?);
    notification.insert("method".into(), to_raw(method)?);
    notification.insert("params".into(), to_raw(params)?);
    Ok(Notice { type_: TYPE.to_owned(), payload: to_raw(&notification)?.get().to_owned(), into: "/params".to_owned() })
}

fn on_progress(token: &RawValue) -> Result<Notice, Fault> {
    let mut params = members(EMPTY)?;
    params.insert("progressToken".into(), token.to_owned());
    notice("notifications/progress", &params)
}

fn on_log() -> Result<Notice, Fault> {
    notice("notifications/message", &Members::new())
}
