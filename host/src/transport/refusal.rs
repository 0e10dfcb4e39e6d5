//! A "no" over HTTP: the status of the error code, and the same JSON body as on a socket.

use std::time::Duration;

use axum::{
    Json,
    http::{
        HeaderValue, StatusCode,
        header::{RETRY_AFTER, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use switchboard_protocol::{ErrorCode, ErrorPayload};

use crate::{admission, auth::AuthFailure};

/// Why a request is not served.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub code: ErrorCode,
    pub detail: String,
    pub retry_after: Option<Duration>,
}

impl Refusal {
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), retry_after: None }
    }
}

impl From<AuthFailure> for Refusal {
    fn from(failure: AuthFailure) -> Self {
        Self::new(failure.code, failure.detail)
    }
}

impl From<admission::Refused> for Refusal {
    fn from(refused: admission::Refused) -> Self {
        Self { code: refused.code, detail: refused.detail, retry_after: refused.retry_after }
    }
}

/// In whole seconds (RFC 9110, section 10.2.3); zero would ask for a repeat at once.
pub(super) fn retry_after(wait: Duration) -> HeaderValue {
    let seconds = wait.as_millis().div_ceil(1000).max(1);
    HeaderValue::from(u64::try_from(seconds).unwrap_or(u64::MAX))
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut payload = ErrorPayload::new(self.code, self.detail);
        if let Some(wait) = self.retry_after {
            payload = payload.with_retry_after(wait);
        }
        let mut response = (status, Json(payload)).into_response();
        if let Some(wait) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, retry_after(wait));
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
