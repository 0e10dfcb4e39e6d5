//! Why a request has no result: an error of JSON-RPC, and how HTTP shows it.

use serde::Serialize;
use serde_json::Value;

/// The codes that the specifications give; this server invents none of its own.
pub(crate) mod code {
    pub(crate) const INVALID_REQUEST: i32 = -32600;
    pub(crate) const METHOD_NOT_FOUND: i32 = -32601;
    pub(crate) const INVALID_PARAMS: i32 = -32602;
    pub(crate) const INTERNAL_ERROR: i32 = -32603;
    /// Up to revision 2025-11-25 only (server/resources, error handling).
    pub(crate) const RESOURCE_NOT_FOUND: i32 = -32002;
    /// From revision 2026-07-28 on (basic, error codes), as is the next.
    pub(crate) const MISSING_CLIENT_CAPABILITY: i32 = -32021;
    pub(crate) const UNSUPPORTED_VERSION: i32 = -32022;
}

#[derive(Debug, Serialize)]
pub(crate) struct Fault {
    pub code: i32,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
    /// The HTTP status, where it is not 200.
    #[serde(skip)]
    pub status: Option<u16>,
    /// What a token would need for another answer.
    #[serde(skip)]
    pub missing_scopes: Vec<String>,
}

impl Fault {
    pub(crate) fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None, status: None, missing_scopes: Vec::new() }
    }

    pub(crate) fn invalid_params(message: impl Into<String>) -> Self {
        Self::new(code::INVALID_PARAMS, message)
    }

    pub(crate) fn unknown_method(method: &str) -> Self {
        Self::new(code::METHOD_NOT_FOUND, format!("there is no method {method:?}"))
    }

    pub(crate) fn internal(message: impl std::fmt::Display) -> Self {
        Self::new(code::INTERNAL_ERROR, message.to_string())
    }

    pub(crate) fn data(mut self, data: Value) -> Self {
        self.data = Some(data);
        self
    }

    /// How HTTP shows it.
    pub(crate) fn shown(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }
}
