//! JSON-RPC 2.0: what is a request, a notification or a response, and what is none of them.
//!
//! Knows no method. An id is kept as the text that the client wrote, so that an integer of any size
//! comes back digit for digit.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

pub(crate) use fault::{Fault, code};

mod fault;
pub(crate) mod id;

/// A payload, sorted by what the specification makes of it.
#[derive(Debug)]
pub(crate) enum Incoming<'a> {
    Request(Request<'a>),
    /// Never answered.
    Notification(Notification<'a>),
    /// A client's answer to a request of the server. Never answered.
    Reply(Reply<'a>),
    /// To be answered with this.
    Invalid(Response<'a>),
}

/// A request with an id that can be answered.
#[derive(Debug, Clone)]
pub(crate) struct Request<'a> {
    pub id: &'a RawValue,
    pub method: String,
    /// An object or an array, if anything.
    pub params: Option<&'a RawValue>,
}

#[derive(Debug)]
pub(crate) struct Notification<'a> {
    pub method: String,
    pub params: Option<&'a RawValue>,
}

/// What a client makes of a request of the server.
#[derive(Debug)]
pub(crate) struct Reply<'a> {
    pub id: Option<&'a RawValue>,
    pub outcome: Result<&'a RawValue, Option<&'a RawValue>>,
}

/// An answer. The id is left out when the request had none that could be used: clients refuse `null`.
#[derive(Debug, Serialize)]
pub(crate) struct Response<'a> {
    jsonrpc: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a RawValue>,
    #[serde(flatten)]
    outcome: Outcome,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Result(Box<RawValue>),
    Error(Fault),
}

impl Request<'_> {
    /// The parameters by name; left out, an empty object.
    pub(crate) fn params<P: DeserializeOwned>(&self) -> Result<P, Fault> {
        let text = self.params.map_or("{}", RawValue::get);
        if !text.starts_with('{') {
            return Err(Fault::invalid_params("`params` has to be an object"));
        }
        serde_json::from_str(text).map_err(|fault| Fault::invalid_params(format!("`params`: {fault}")))
    }
}

impl<'a> Response<'a> {
    pub(crate) fn new(id: &'a RawValue, result: Result<Box<RawValue>, Fault>) -> Self {
        let outcome = match result {
            Ok(result) => Outcome::Result(result),
            Err(fault) => Outcome::Error(fault),
        };
        Self { jsonrpc: "2.0", id: Some(id), outcome }
    }

    /// Why there is no result, if there is none.
    pub(crate) fn fault(&self) -> Option<&Fault> {
        match &self.outcome {
            Outcome::Result(_) => None,
            Outcome::Error(fault) => Some(fault),
        }
    }

    fn invalid(id: Option<&'a RawValue>, problem: impl Into<String>) -> Self {
        let fault = Fault::new(code::INVALID_REQUEST, problem).shown(400);
        Self { jsonrpc: "2.0", id, outcome: Outcome::Error(fault) }
    }
}

/// The members that matter, before their types are known. Others are ignored.
#[derive(Deserialize)]
struct Members<'a> {
    #[serde(borrow)]
    jsonrpc: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "even_null")]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<&'a RawValue>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "even_null")]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

/// A member that is `null` is there, which `Option` alone does not tell.
fn even_null<'de: 'a, 'a, D: serde::Deserializer<'de>>(reader: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(reader).map(Some)
}

/// Sorts a payload.
pub(crate) fn parse(text: &str) -> Incoming<'_> {
    if text.trim_start().starts_with('[') {
        return Incoming::Invalid(Response::invalid(None, "batches are not supported: send one object at a time"));
    }
    match serde_json::from_str::<Members<'_>>(text) {
        Ok(members) => members.sort(),
        Err(fault) => Incoming::Invalid(Response::invalid(None, format!("not a JSON-RPC object: {fault}"))),
    }
}

impl<'a> Members<'a> {
    fn sort(self) -> Incoming<'a> {
        if self.method.is_none() && (self.result.is_some() || self.error.is_some()) {
            return Incoming::Reply(Reply { id: self.id, outcome: self.result.ok_or(self.error) });
        }
        let id = match self.id.map(id::check).transpose() {
            Ok(id) => id,
            Err(problem) => return Incoming::Invalid(Response::invalid(None, problem)),
        };
        let invalid = |problem: &str| Incoming::Invalid(Response::invalid(id, problem));
        if text_of(self.jsonrpc).as_deref() != Some("2.0") {
            return invalid("`jsonrpc` has to be \"2.0\"");
        }
        let Some(method) = text_of(self.method) else {
            return invalid("`method` has to be a string");
        };
        let Some(id) = id else { return Incoming::Notification(Notification { method, params: self.params }) };
        match self.params {
            Some(params) if !params.get().starts_with(['{', '[']) => {
                invalid("`params` has to be an object or an array")
            }
            params => Incoming::Request(Request { id, method, params }),
        }
    }
}

fn text_of(member: Option<&RawValue>) -> Option<String> {
    serde_json::from_str(member?.get()).ok()
}
