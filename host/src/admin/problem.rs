//! Refusals: an error code of the wire, the status that goes with it, and what else the answer needs.

use std::time::Duration;

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use switchboard_protocol::{ErrorCode, ErrorPayload};
use utoipa::ToSchema;

use crate::plugin::{LoadFailure, operation::OperationError, status::Stage};

/// Why a request is not carried out.
#[derive(Debug)]
pub(super) struct Problem {
    code: ErrorCode,
    payload: ErrorPayload,
    /// How far a component came.
    unfit: Option<LoadFailure>,
    /// How to authenticate.
    challenge: Option<String>,
}

/// The body of a refusal: an error of the wire protocol, and for a component how far it came.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Error)]
pub(super) struct ErrorBody {
    /// One of the codes of docs/errors.md.
    code: String,
    /// What was wrong, and where.
    error: String,
    /// Unix seconds.
    timestamp: f64,
    /// Whether the same client can succeed, later or with a corrected request.
    recoverable: bool,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
    /// Milliseconds after which a repeat makes sense.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
    /// With `COMPONENT_UNFIT`: where the component failed, as `switchboard plugin check` says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<Stage>,
    /// With `COMPONENT_UNFIT`: why, in the words of `switchboard plugin check`.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Problem {
    /// With the advice of the table of codes.
    pub fn new(code: ErrorCode, error: impl Into<String>) -> Self {
        Self { code, payload: ErrorPayload::new(code, error), unfit: None, challenge: None }
    }

    pub fn help(self, help: impl Into<std::borrow::Cow<'static, str>>) -> Self {
        Self { payload: self.payload.with_help(help), ..self }
    }

    pub fn retry_after(self, wait: Duration) -> Self {
        Self { payload: self.payload.with_retry_after(wait), ..self }
    }

    /// Adds `WWW-Authenticate`.
    pub fn challenge(self, challenge: String) -> Self {
        Self { challenge: Some(challenge), ..self }
    }

    /// A task that was to do it has crashed.
    pub fn unfinished() -> Self {
        Self::new(ErrorCode::InternalError, "the change was not finished")
            .help("ask for how things are now, and see the server's log for the reason")
    }
}

impl From<OperationError> for Problem {
    fn from(error: OperationError) -> Self {
        let text = error.to_string();
        match error {
            OperationError::UnknownPlugin(_) => {
                Self::new(ErrorCode::NotFound, text).help("GET /plugins lists those that there are")
            }
            OperationError::UnknownVersion { plugin, .. } => Self::new(ErrorCode::NotFound, text)
                .help(format!("GET /plugins/{plugin}/versions lists those that are kept")),
            OperationError::AmbiguousVersion { .. } => {
                Self::new(ErrorCode::OperationConflict, text).help("give more digits of the digest")
            }
            OperationError::Invalid(_) => {
                Self::new(ErrorCode::PayloadInvalid, text).help("correct what the error names")
            }
            OperationError::NotNow(_) => Self::new(ErrorCode::OperationConflict, text),
            OperationError::Unfit(failure) => {
                Self { unfit: Some(failure), ..Self::new(ErrorCode::ComponentUnfit, text) }
            }
            OperationError::NotStored(_) => {
                tracing::error!(error = text, "an operation on a plugin was not stored");
                Self::new(ErrorCode::InternalError, text)
                    .help("nothing was changed: make `server.data_dir` writable and see that its disk has room, then try again")
            }
            OperationError::Stopping => Self::new(ErrorCode::ServerDraining, text).help("try again after the restart"),
        }
    }
}

impl From<&Problem> for ErrorBody {
    fn from(problem: &Problem) -> Self {
        let ErrorPayload { code, error, timestamp, recoverable, help, retry_after_ms } = problem.payload.clone();
        let (stage, reason) = match &problem.unfit {
            Some(LoadFailure { stage, reason }) => (Some(*stage), Some(reason.clone())),
            None => (None, None),
        };
        let help = help.map(std::borrow::Cow::into_owned);
        Self { code: code.into_owned(), error, timestamp, recoverable, help, retry_after_ms, stage, reason }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(ErrorBody::from(&self))).into_response();
        if let Some(challenge) = self.challenge.and_then(|text| HeaderValue::from_str(&text).ok()) {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        if let Some(wait) = self.payload.retry_after_ms {
            response.headers_mut().insert(header::RETRY_AFTER, wait.div_ceil(1_000).into());
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(error: OperationError, status: u16, code: &str) {
        let problem = Problem::from(error);
        let body = serde_json::to_value(ErrorBody::from(&problem)).unwrap();
        assert_eq!((problem.into_response().status().as_u16(), body["code"].as_str()), (status, Some(code)), "{body}");
    }

    #[test]
    fn each_failure_of_an_operation_has_its_status_and_code() {
        let text = |text: &str| text.to_owned();
        check(OperationError::UnknownPlugin(text("a")), 404, "NOT_FOUND");
        check(OperationError::UnknownVersion { plugin: text("a"), wanted: text("b") }, 404, "NOT_FOUND");
        let (plugin, wanted) = (text("a"), text("b"));
        check(OperationError::AmbiguousVersion { plugin, wanted, fitting: vec![] }, 409, "OPERATION_CONFLICT");
        check(OperationError::Invalid(text("a")), 400, "PAYLOAD_INVALID");
        check(OperationError::NotNow(text("a")), 409, "OPERATION_CONFLICT");
        check(OperationError::Unfit(LoadFailure::new(Stage::Grants, "a")), 422, "COMPONENT_UNFIT");
        check(OperationError::NotStored(text("a")), 500, "INTERNAL_ERROR");
        check(OperationError::Stopping, 503, "SERVER_DRAINING");
    }

    #[test]
    fn a_component_that_does_not_fit_is_told_as_the_check_tells_it() {
        let failure = LoadFailure::new(Stage::Grants, "it imports `topics`");
        let checked = serde_json::to_value(&failure).unwrap();
        let body = serde_json::to_value(ErrorBody::from(&Problem::from(OperationError::Unfit(failure)))).unwrap();
        assert_eq!((&body["stage"], &body["reason"]), (&checked["stage"], &checked["reason"]));
    }

    #[test]
    fn a_wait_and_a_challenge_are_headers_too() {
        let problem = Problem::new(ErrorCode::RateLimited, "x").retry_after(Duration::from_millis(1_500));
        let response = problem.challenge("Bearer".to_owned()).into_response();
        assert_eq!(response.headers()[header::RETRY_AFTER], "2");
        assert_eq!(response.headers()[header::WWW_AUTHENTICATE], "Bearer");
    }
}
