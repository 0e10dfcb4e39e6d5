//! `/revocations`: end tokens before they expire, and the sessions that were opened with them.
//!
//! A change runs to its end even when its client leaves: a revocation that is stored while its sessions
//! go on would be a silent half. What a web page can send without asking first (a form, or a request in
//! no-CORS mode) is no JSON by its content type (Fetch, section 2.2.2), and DELETE is always asked for
//! first; nobody answers such a preflight here.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::{self, Body},
    extract::{ConnectInfo, Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::{delete, get},
};
use serde_json::json;
use switchboard_protocol::{ErrorCode, ErrorPayload};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::{AdminState, refusal};
use crate::auth::{
    audit::{self, Revoking},
    revocation::{MAX_REVOCATIONS, RevocationError, RevocationRequest, Revocations},
};

/// Longest body: all names and the reason at their longest, each character escaped.
const MAX_BODY_BYTES: usize = 16 * 1024;

/// For the body to arrive.
const BODY_LIMIT: Duration = Duration::from_secs(10);

/// What the routes work with.
#[derive(Clone)]
pub(crate) struct RevocationDesk {
    pub revocations: Arc<Revocations>,
    /// Ends the sessions whose tokens are revoked, and says how many that were.
    pub end_sessions: Arc<dyn Fn() -> usize + Send + Sync>,
    pub tasks: TaskTracker,
}

pub(super) fn routes() -> Router<AdminState> {
    Router::new().route("/revocations", get(list).post(revoke)).route("/revocations/{id}", delete(take_back))
}

async fn list(State(state): State<AdminState>) -> Response {
    let revocations = state.revocations.revocations.all();
    Json(json!({ "revocations": revocations, "limit": MAX_REVOCATIONS })).into_response()
}

async fn revoke(
    State(state): State<AdminState>,
    ConnectInfo(operator): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let request = match read(&headers, body).await {
        Ok(request) => request,
        Err(problem) => return refused(problem),
    };
    let desk = state.revocations;
    in_background(desk.clone(), move || {
        let (revocation, is_new) = desk.revocations.add(request).map_err(explained)?;
        let sessions_ended = (desk.end_sessions)();
        audit::revocation(operator, &revocation, Revoking::Revoked { sessions_ended });
        let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
        Ok((status, Json(json!({ "revocation": revocation, "sessions_ended": sessions_ended }))).into_response())
    })
    .await
}

async fn take_back(
    State(state): State<AdminState>,
    ConnectInfo(operator): ConnectInfo<SocketAddr>,
    Path(id): Path<String>,
) -> Response {
    let desk = state.revocations;
    in_background(desk.clone(), move || match desk.revocations.take_back(&id).map_err(explained)? {
        Some(revocation) => {
            audit::revocation(operator, &revocation, Revoking::TakenBack);
            Ok(Json(json!({ "revocation": revocation })).into_response())
        }
        None => {
            let problem = ErrorPayload::new(ErrorCode::NotFound, format!("there is no revocation {id:?}"));
            Err((ErrorCode::NotFound, problem.with_help("GET /revocations lists those in force with their ids")))
        }
    })
    .await
}

/// The code, for the status, and the body.
type Problem = (ErrorCode, ErrorPayload);

/// Runs a change on a thread that may wait for the disk.
async fn in_background(
    desk: RevocationDesk,
    change: impl FnOnce() -> Result<Response, Problem> + Send + 'static,
) -> Response {
    let done = desk.tasks.spawn_blocking(|| change().unwrap_or_else(refused)).await;
    done.unwrap_or_else(|_| {
        refused(problem(
            ErrorCode::InternalError,
            "the change was not finished".to_owned(),
            "see GET /revocations for what is in force, and the server's log for the reason",
        ))
    })
}

async fn read(headers: &HeaderMap, body: Body) -> Result<RevocationRequest, Problem> {
    if !is_json(headers) {
        let error = "the Content-Type is not application/json".to_owned();
        let help =
            "send `Content-Type: application/json`; it keeps web pages from revoking through an operator's browser";
        return Err(problem(ErrorCode::MediaTypeUnsupported, error, help));
    }
    let bytes = match timeout(BODY_LIMIT, body::to_bytes(body, MAX_BODY_BYTES)).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(_)) => {
            let error = format!("the body has more than {MAX_BODY_BYTES} bytes, or was cut off");
            return Err(problem(ErrorCode::MessageTooLarge, error, EXAMPLE));
        }
        Err(_) => {
            let error = format!("the body did not arrive within {} s", BODY_LIMIT.as_secs());
            return Err(problem(ErrorCode::InvalidJson, error, EXAMPLE));
        }
    };
    serde_json::from_slice(&bytes).map_err(|fault| {
        let code = if fault.is_data() { ErrorCode::PayloadInvalid } else { ErrorCode::InvalidJson };
        problem(code, fault.to_string(), EXAMPLE)
    })
}

const EXAMPLE: &str = "send one JSON object, such as {\"jti\":\"…\"}, {\"sub\":\"alice\"}, {\"sub\":\"alice\",\"tenant\":\"acme\"} or \
     {\"issued_before\":\"2026-01-31T12:00:00Z\"}; `reason` and `expires_at` may be added";

/// The media type without its parameters, and not twice.
fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let first = types.next().and_then(|value| value.to_str().ok()).and_then(|value| value.split(';').next());
    types.next().is_none() && first.is_some_and(|name| name.trim().eq_ignore_ascii_case("application/json"))
}

fn explained(error: RevocationError) -> Problem {
    let text = error.to_string();
    match error {
        RevocationError::Request(fault) => problem(ErrorCode::PayloadInvalid, text, fault.help),
        RevocationError::Full(_) => problem(
            ErrorCode::RevocationLimitReached,
            text,
            "nothing was revoked: DELETE /revocations/{id} takes back what is no longer needed, {\"issued_before\"} covers many tokens at once, \
             and `expires_at` lets the server forget by itself",
        ),
        RevocationError::NotWritten(_) => {
            tracing::error!(error = text, "a change of the revocations was not stored");
            let help =
                "nothing was changed: make `server.data_dir` writable and see that its disk has room, then try again";
            problem(ErrorCode::InternalError, text, help)
        }
    }
}

fn problem(code: ErrorCode, error: String, help: &'static str) -> Problem {
    (code, ErrorPayload::new(code, error).with_help(help))
}

fn refused((code, problem): Problem) -> Response {
    refusal(code, problem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::revocation::Full;

    #[test]
    fn a_full_list_has_a_code_of_its_own_and_names_the_ways_out() {
        let (code, payload) = explained(RevocationError::Full(Full));
        assert_eq!(code, ErrorCode::RevocationLimitReached);
        assert!(payload.help.is_some_and(|help| help.contains("takes back") && help.contains("issued_before")));
    }
}
