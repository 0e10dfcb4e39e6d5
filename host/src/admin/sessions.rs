//! `/sessions`: who is here, and who is awaited.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{AdminState, body::Parameters};

/// Sessions in one answer: what a person looks through.
const MAX_LISTED: usize = 1_000;

/// If nobody says how many.
const LISTED: usize = 100;

/// A session.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct SessionSummary {
    pub id: String,
    /// The subject of its token.
    pub user: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Whether a client listens; otherwise one is awaited.
    pub connected: bool,
    /// Of its socket, or of the last one.
    pub connection_id: String,
    /// Unix seconds since which its client listens, or is awaited.
    pub since: f64,
}

#[derive(Debug, Serialize, ToSchema)]
struct SessionList {
    sessions: Vec<SessionSummary>,
    /// How many there are that fit, in all.
    total: usize,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParameters {
    /// Those of this subject alone.
    user: Option<String>,
    /// How many at most: 100 by default, and never more than 1,000.
    limit: Option<usize>,
}

pub(super) fn routes() -> OpenApiRouter<AdminState> {
    OpenApiRouter::new().routes(routes!(list))
}

/// Sessions, those first that came last
#[utoipa::path(get, path = "/sessions", tag = "sessions", params(ListParameters), responses(
    (status = 200, description = "As many as were asked for", body = SessionList),
    (status = 400, description = "A parameter is wrong", body = super::problem::ErrorBody),
))]
async fn list(
    State(state): State<AdminState>,
    Parameters(parameters): Parameters<ListParameters>,
) -> Json<SessionList> {
    let mut sessions = (state.sessions)(parameters.user.as_deref());
    let total = sessions.len();
    sessions.sort_by(|one, other| other.since.total_cmp(&one.since));
    sessions.truncate(parameters.limit.unwrap_or(LISTED).min(MAX_LISTED));
    Json(SessionList { sessions, total })
}
