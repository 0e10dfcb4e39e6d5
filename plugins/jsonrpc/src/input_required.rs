//! What a tool, resource or prompt needs from the client before it can go on (basic/patterns/mrtr), and what the client
//! brings when it asks again.
//!
//! Whatever the plugin wants to be reminded of goes through the client, sealed by the host for this user, this
//! plugin, this method and these parameters, and for a time.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};
use switchboard_sdk::{Context, Error, SealError};

use crate::{
    Settings,
    era::Caller,
    items::{Gotten, Wanted},
    rpc::{Fault, Request, code},
    text::{EMPTY, Members, compact, is_object, members, string, to_raw},
};

/// What the client brings.
#[derive(Debug, Default)]
pub(crate) struct Given {
    /// The text of an object.
    pub responses: String,
    pub state: Option<String>,
}

/// What the plugin asks for.
pub(crate) struct Asked {
    /// By keys that the plugin chose.
    pub requests: BTreeMap<String, Question>,
    pub state: Option<String>,
    /// The result, without what asks.
    rest: Members,
}

/// A request to the client.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Question {
    pub method: String,
    pub params: Option<Box<RawValue>>,
}

/// The parameters that name a capability.
#[derive(Default, Deserialize)]
struct Telling<'a> {
    mode: Option<String>,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
    #[serde(borrow, rename = "toolChoice")]
    tool_choice: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Again {
    #[serde(default, deserialize_with = "even_null")]
    input_responses: Option<Box<RawValue>>,
    #[serde(default, deserialize_with = "even_null")]
    request_state: Option<Box<RawValue>>,
}

/// A member that is `null` is there, and wrong, which `Option` alone does not tell.
fn even_null<'de, D: serde::Deserializer<'de>>(reader: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(reader).map(Some)
}

/// Reads what the client brings, and opens the state.
pub(crate) fn given(ctx: &Context, wanted: &Wanted<'_>, request: &Request<'_>) -> Result<Given, Fault> {
    let Again { input_responses, request_state } = request.params()?;
    let responses = match &input_responses {
        None => EMPTY.to_owned(),
        Some(responses) => {
            let each: Option<BTreeMap<String, &RawValue>> = serde_json::from_str(responses.get()).ok();
            if !each.is_some_and(|each| each.values().all(|response| is_object(response))) {
                let problem = "`params.inputResponses` has to be an object of objects, by the keys of `inputRequests`";
                return Err(Fault::invalid_params(problem));
            }
            responses.get().to_owned()
        }
    };
    let Some(state) = request_state else { return Ok(Given { responses, state: None }) };
    let state: String = serde_json::from_str(state.get())
        .map_err(|_| Fault::invalid_params("`params.requestState` has to be a string"))?;
    let opened = ctx.seals().open(&purpose(wanted), &state).map_err(|error| match error {
        SealError::NotGenuine => Fault::invalid_params(
            "`params.requestState` was not given to this caller for this request, or was changed since",
        ),
        SealError::Expired => {
            Fault::invalid_params("the time of `params.requestState` is up: send the request again without it")
        }
        error => Fault::internal(Error::from(error).message),
    })?;
    let state = String::from_utf8(opened).map_err(Fault::internal)?;
    Ok(Given { responses, state: Some(state) })
}

/// What a state is good for. The host takes a digest of it.
fn purpose(wanted: &Wanted<'_>) -> String {
    format!("{} {:?} {}", wanted.method(), wanted.name(), compact(wanted.arguments()))
}

impl Asked {
    /// Tells a result from a question.
    pub(crate) fn sort(mut result: Members) -> Result<Gotten, Fault> {
        if string(&result, "resultType").as_deref() != Some("input_required") {
            return Ok(Gotten::Complete(result));
        }
        let state = string(&result, "requestState");
        result.remove("requestState");
        let requests = match result.remove("inputRequests") {
            Some(requests) => serde_json::from_str(requests.get()).map_err(Fault::internal)?,
            None => BTreeMap::new(),
        };
        Ok(Gotten::InputRequired(Self { requests, state, rest: result }))
    }

    /// As a result of the modern era.
    pub(crate) fn into_members(
        self,
        ctx: &Context,
        settings: &Settings,
        wanted: &Wanted<'_>,
        caller: &Caller<'_>,
    ) -> Result<Members, Fault> {
        let missing = self.missing(&caller.capabilities);
        if !missing.is_empty() {
            let problem = format!("{:?} needs what the client did not declare it can do", wanted.name());
            let fault = Fault::new(code::MISSING_CLIENT_CAPABILITY, problem);
            return Err(fault.data(json!({ "requiredCapabilities": missing })).shown(400));
        }
        let mut result = self.rest;
        // What belongs to a complete result of a tool has no place in one that only asks.
        result.remove("content");
        result.remove("isError");
        if !self.requests.is_empty() {
            let requests: BTreeMap<&String, Members> = self
                .requests
                .iter()
                .map(|(key, question)| Ok((key, question.members()?)))
                .collect::<Result<_, Fault>>()?;
            result.insert("inputRequests".into(), to_raw(&requests)?);
        }
        if let Some(state) = &self.state {
            let sealed = ctx.seals().seal(&purpose(wanted), state.as_bytes(), settings.input_wait());
            let sealed = sealed.map_err(|error| Fault::internal(Error::from(error).message))?;
            result.insert("requestState".into(), to_raw(&sealed)?);
        }
        Ok(result)
    }

    /// The capabilities that the client would need beside those that it has, in the form of MCP's `ClientCapabilities`.
    pub(crate) fn missing(&self, has: &str) -> Map<String, Value> {
        let has: BTreeMap<String, &RawValue> = serde_json::from_str(has).unwrap_or_default();
        let mut missing = Map::new();
        for question in self.requests.values() {
            question.add_missing(&has, &mut missing);
        }
        missing
    }
}

impl Question {
    fn add_missing(&self, has: &BTreeMap<String, &RawValue>, missing: &mut Map<String, Value>) {
        let params = self.params.as_deref().map_or(EMPTY, RawValue::get);
        let telling: Telling<'_> = serde_json::from_str(params).unwrap_or_default();
        let has_part = |capability: &str, part: &str| {
            let parts: BTreeMap<String, &RawValue> =
                has.get(capability).and_then(|parts| serde_json::from_str(parts.get()).ok()).unwrap_or_default();
            // A client that names no mode of elicitation has that of forms (client/elicitation, capabilities).
            parts.contains_key(part) || (capability == "elicitation" && part == "form" && parts.is_empty())
        };
        let (capability, part) = match self.method.as_str() {
            "sampling/createMessage" if telling.tools.is_some() || telling.tool_choice.is_some() => {
                ("sampling", Some("tools"))
            }
            "sampling/createMessage" => ("sampling", None),
            "elicitation/create" if telling.mode.as_deref() == Some("url") => ("elicitation", Some("url")),
            "elicitation/create" => ("elicitation", Some("form")),
            "roots/list" => ("roots", None),
            _ => return,
        };
        if has.contains_key(capability) && part.is_none_or(|part| has_part(capability, part)) {
            return;
        }
        let needed = missing.entry(capability).or_insert_with(|| json!({}));
        if let (Some(part), Value::Object(needed)) = (part, needed) {
            // The form is what `elicitation` alone means.
            if part != "form" || has.contains_key(capability) {
                needed.insert(part.to_owned(), json!({}));
            }
        }
    }

    /// As a request without what JSON-RPC adds.
    pub(crate) fn members(&self) -> Result<Members, Fault> {
        let mut request = members(EMPTY)?;
        request.insert("method".into(), to_raw(&self.method)?);
        if let Some(params) = &self.params {
            request.insert("params".into(), params.clone());
        }
        Ok(request)
    }
}
