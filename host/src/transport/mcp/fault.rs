//! A "no" on `/mcp`: a status, and a JSON-RPC error, whose code is one of JSON-RPC's or of MCP's own.

use axum::response::{IntoResponse, Response};
use http::{
    HeaderName, HeaderValue, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER},
};
use serde_json::value::RawValue;
use switchboard_protocol::{ErrorCode, ErrorPayload};

use super::negotiate::JSON;
use crate::transport::{
    codec::{INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, PARSE_ERROR, rpc_error},
    refusal::{Refusal, retry_after},
};

/// `HeaderMismatch` (MCP 2026-07-28, Streamable HTTP, "Server Validation").
const HEADER_MISMATCH: i32 = -32020;

#[derive(Debug)]
pub(super) struct Fault {
    pub status: StatusCode,
    pub code: i32,
    message: String,
    /// Of the request, where it is known.
    id: Option<Box<RawValue>>,
    data: Option<Box<RawValue>>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Fault {
    pub fn new(status: StatusCode, code: i32, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), id: None, data: None, headers: Vec::new() }
    }

    pub fn bad_request(code: i32, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// The message is no JSON.
    pub fn unparsed(problem: &str) -> Self {
        Self::bad_request(PARSE_ERROR, problem)
    }

    /// The message is JSON, and no message.
    pub fn invalid(problem: impl Into<String>) -> Self {
        Self::bad_request(INVALID_REQUEST, problem)
    }

    pub fn invalid_params(problem: impl Into<String>) -> Self {
        Self::bad_request(INVALID_PARAMS, problem)
    }

    pub fn not_acceptable(problem: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_ACCEPTABLE, INVALID_REQUEST, problem)
    }

    /// Headers say something else than the body.
    pub fn mismatch(problem: impl Into<String>) -> Self {
        Self::bad_request(HEADER_MISMATCH, problem)
    }

    /// It answers the request of this id. Without one, there is none in the error.
    #[must_use]
    pub fn of(mut self, id: Option<&RawValue>) -> Self {
        self.id = id.filter(|id| is_id(id)).map(ToOwned::to_owned);
        self
    }

    /// The JSON-RPC error alone.
    pub fn to_json(&self) -> Vec<u8> {
        rpc_error(self.id.as_deref(), self.code, &self.message, self.data.as_deref())
    }

    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

/// Clients refuse an error whose id is null, or of a type that no id has.
fn is_id(id: &RawValue) -> bool {
    id.get().starts_with(['"', '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        let mut payload = ErrorPayload::new(refusal.code, refusal.detail.clone());
        if let Some(wait) = refusal.retry_after {
            payload = payload.with_retry_after(wait);
        }
        let status = StatusCode::from_u16(refusal.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let code = if status.is_server_error() { INTERNAL_ERROR } else { INVALID_REQUEST };
        let mut fault = Self::new(status, code, refusal.detail);
        fault.data = serde_json::value::to_raw_value(&payload).ok();
        match refusal.retry_after {
            Some(wait) => fault.with_header(RETRY_AFTER, retry_after(wait)),
            None => fault,
        }
    }
}

impl From<ErrorCode> for Fault {
    fn from(code: ErrorCode) -> Self {
        Refusal::new(code, code.meaning()).into()
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.to_json()).into_response();
        let headers = response.headers_mut();
        headers.extend(self.headers);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}
