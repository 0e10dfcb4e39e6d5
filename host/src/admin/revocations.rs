//! `/revocations`: end tokens before they expire, and the sessions that were opened with them.
//!
//! A change runs to its end even when its client leaves: a revocation that is stored while its sessions
//! go on would be a silent half.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Extension, Json,
    body::Body,
    extract::{ConnectInfo, State},
    http::{HeaderMap, StatusCode},
};
use serde::Serialize;
use switchboard_protocol::ErrorCode;
use tokio_util::task::TaskTracker;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    AdminState,
    body::{self, Name},
    problem::{ErrorBody, Problem},
};
use crate::auth::{
    audit::{self, Revoking},
    operator::Operator,
    revocation::{MAX_REVOCATIONS, Revocation, RevocationError, RevocationRequest, Revocations},
};

/// What the routes work with.
#[derive(Clone)]
pub(crate) struct RevocationDesk {
    pub revocations: Arc<Revocations>,
    /// Ends the sessions whose tokens are revoked, and says how many that were.
    pub end_sessions: Arc<dyn Fn() -> usize + Send + Sync>,
    pub tasks: TaskTracker,
}

#[derive(Debug, Serialize, ToSchema)]
struct RevocationList {
    /// Oldest first.
    revocations: Vec<Revocation>,
    /// How many there can be.
    limit: usize,
}

#[derive(Debug, Serialize, ToSchema)]
struct Revoked {
    revocation: Revocation,
    /// Those that were opened with one of these tokens.
    sessions_ended: usize,
}

#[derive(Debug, Serialize, ToSchema)]
struct TakenBack {
    revocation: Revocation,
}

/// To look.
pub(super) fn readable() -> OpenApiRouter<AdminState> {
    OpenApiRouter::new().routes(routes!(list))
}

/// To change something.
pub(super) fn changing() -> OpenApiRouter<AdminState> {
    OpenApiRouter::new().routes(routes!(revoke)).routes(routes!(take_back))
}

/// Revocations of users' tokens that are in force
#[utoipa::path(get, path = "/revocations", tag = "sessions", responses(
    (status = 200, description = "All of them", body = RevocationList),
))]
async fn list(State(state): State<AdminState>) -> Json<RevocationList> {
    Json(RevocationList { revocations: state.revocations.revocations.all(), limit: MAX_REVOCATIONS })
}

/// Revoke tokens of users, and end the sessions that were opened with them
#[utoipa::path(post, path = "/revocations", tag = "sessions", request_body = RevocationRequest, responses(
    (status = 201, description = "They are refused from now on", body = Revoked),
    (status = 200, description = "A revocation that was there is as wide as this one now, too", body = Revoked),
    (status = 400, description = "The request is wrong", body = ErrorBody),
    (status = 409, description = "There are as many as there may be", body = ErrorBody),
    (status = 413, description = "The body is too large", body = ErrorBody),
    (status = 415, description = "The body is not declared as JSON", body = ErrorBody),
    (status = 500, description = "It could not be stored, and is not in force", body = ErrorBody),
))]
async fn revoke(
    State(state): State<AdminState>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Extension(operator): Extension<Operator>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Revoked>), Problem> {
    let request: RevocationRequest = body::json(&headers, body, EXAMPLE).await?;
    let desk = state.revocations;
    in_background(desk.clone(), move || {
        let (revocation, is_new) = desk.revocations.add(request).map_err(explained)?;
        let sessions_ended = (desk.end_sessions)();
        audit::revocation(peer, &operator.name, &revocation, Revoking::Revoked { sessions_ended });
        let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
        Ok((status, Json(Revoked { revocation, sessions_ended })))
    })
    .await
}

/// Take a revocation back
///
/// The tokens are good again; the sessions stay ended.
#[utoipa::path(delete, path = "/revocations/{id}", tag = "sessions", params(("id" = String, Path)), responses(
    (status = 200, description = "It is no longer in force", body = TakenBack),
    (status = 404, description = "There is none of this id", body = ErrorBody),
    (status = 500, description = "That could not be stored, and it is still in force", body = ErrorBody),
))]
async fn take_back(
    State(state): State<AdminState>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Extension(operator): Extension<Operator>,
    Name(id): Name,
) -> Result<Json<TakenBack>, Problem> {
    let desk = state.revocations;
    in_background(desk.clone(), move || match desk.revocations.take_back(&id).map_err(explained)? {
        Some(revocation) => {
            audit::revocation(peer, &operator.name, &revocation, Revoking::TakenBack);
            Ok(Json(TakenBack { revocation }))
        }
        None => Err(Problem::new(ErrorCode::NotFound, format!("there is no revocation {id:?}"))
            .help("GET /revocations lists those in force with their ids")),
    })
    .await
}

/// Runs a change on a thread that may wait for the disk.
async fn in_background<T: Send + 'static>(
    desk: RevocationDesk,
    change: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    desk.tasks.spawn_blocking(change).await.unwrap_or_else(|_| Err(Problem::unfinished()))
}

const EXAMPLE: &str = "send one JSON object, such as {\"jti\":\"…\"}, {\"sub\":\"alice\"}, {\"sub\":\"alice\",\"tenant\":\"acme\"} or \
     {\"issued_before\":\"2026-01-31T12:00:00Z\"}; `reason` and `expires_at` may be added";

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
    Problem::new(code, error).help(help)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::revocation::Full;

    #[test]
    fn a_full_list_has_a_code_of_its_own_and_names_the_ways_out() {
        let problem = explained(RevocationError::Full(Full));
        let body = serde_json::to_value(ErrorBody::from(&problem)).unwrap();
        assert_eq!(body["code"], ErrorCode::RevocationLimitReached.as_str());
        let help = body["help"].as_str().unwrap();
        assert!(help.contains("takes back") && help.contains("issued_before"), "{help}");
    }
}
