//! JSON-RPC 2.0: what is a request, a notification or a response, and what is none of them.
//!
//! Knows no method. An id is kept as the text that the client wrote, so that an integer of any size
//! comes back digit for digit.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The codes that the specification reserves and this server uses; it invents none of its own.
pub(crate) mod code {
    pub(crate) const INVALID_REQUEST: i32 = -32600;
    pub(crate) const METHOD_NOT_FOUND: i32 = -32601;
    pub(crate) const INVALID_PARAMS: i32 = -32602;
    pub(crate) const INTERNAL_ERROR: i32 = -32603;
}

/// A payload, sorted by what the specification makes of it.
#[derive(Debug)]
pub(crate) enum Incoming<'a> {
    Request(Request<'a>),
    /// Never answered.
    Notification,
    /// A client's answer to a request of the server, which makes none.
    Response,
    /// To be answered with this.
    Invalid(Response<'a>),
}

/// A request with an id that can be answered.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub id: &'a RawValue,
    pub method: String,
    /// An object or an array, if anything.
    pub params: Option<&'a RawValue>,
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

/// Why a request has no result.
#[derive(Debug, Serialize)]
pub(crate) struct Fault {
    pub code: i32,
    pub message: String,
}

impl Fault {
    pub(crate) fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(crate) fn invalid_params(message: impl Into<String>) -> Self {
        Self::new(code::INVALID_PARAMS, message)
    }

    pub(crate) fn internal(message: impl std::fmt::Display) -> Self {
        Self::new(code::INTERNAL_ERROR, message.to_string())
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

    fn invalid(id: Option<&'a RawValue>, problem: impl Into<String>) -> Self {
        Self { jsonrpc: "2.0", id, outcome: Outcome::Error(Fault::new(code::INVALID_REQUEST, problem)) }
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
            return Incoming::Response;
        }
        let id = match self.id.map(check_id).transpose() {
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
        let Some(id) = id else { return Incoming::Notification };
        match self.params {
            Some(params) if !params.get().starts_with(['{', '[']) => {
                invalid("`params` has to be an object or an array")
            }
            params => Incoming::Request(Request { id, method, params }),
        }
    }
}

/// Strings and whole numbers; a number with a fraction, or written as one, is not the same everywhere.
fn check_id(id: &RawValue) -> Result<&RawValue, String> {
    let text = id.get();
    let is_string = text.starts_with('"');
    let is_integer = text.starts_with(|c: char| c == '-' || c.is_ascii_digit()) && !text.contains(['.', 'e', 'E']);
    if is_string || is_integer { Ok(id) } else { Err("`id` has to be a string or a whole number".to_owned()) }
}

fn text_of(member: Option<&RawValue>) -> Option<String> {
    serde_json::from_str(member?.get()).ok()
}
