//! `/audit`: what was done here lately, and by whom.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{AdminState, body::Parameters};
use crate::telemetry::recent::AuditEvent;

/// If nobody says how many.
const LISTED: usize = 100;

#[derive(Debug, Serialize, ToSchema)]
struct Trail {
    /// Newest first.
    events: Vec<AuditEvent>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct TrailParameters {
    /// Those about this plugin alone.
    plugin: Option<String>,
    /// How many at most: 100 by default. The last 1,000 are kept.
    limit: Option<usize>,
}

pub(super) fn routes() -> OpenApiRouter<AdminState> {
    OpenApiRouter::new().routes(routes!(list))
}

/// The newest audit events of this process
///
/// What operators and the host itself did, and what was refused. The log has them all, with those of
/// users' authentications, under the target `switchboard::audit`.
#[utoipa::path(get, path = "/audit", tag = "operators", params(TrailParameters), responses(
    (status = 200, description = "Newest first", body = Trail),
    (status = 400, description = "A parameter is wrong", body = super::problem::ErrorBody),
))]
async fn list(State(state): State<AdminState>, Parameters(parameters): Parameters<TrailParameters>) -> Json<Trail> {
    let about = |event: &AuditEvent| {
        let wanted = parameters.plugin.as_deref();
        wanted.is_none_or(|plugin| event.fields.get("plugin").and_then(|name| name.as_str()) == Some(plugin))
    };
    Json(Trail { events: state.recent.audit(parameters.limit.unwrap_or(LISTED), about) })
}
