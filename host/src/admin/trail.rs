//! `/audit`: what was done here lately, and by whom.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{AdminState, body::Parameters};
use crate::telemetry::trail::{AuditEvent, AuditKind};

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
    /// Those of this kind alone; without it, all.
    #[param(inline)]
    kind: Option<AuditKind>,
    /// How many at most: 100 by default. The last 1,000 of each kind are kept.
    limit: Option<usize>,
}

pub(super) fn routes() -> OpenApiRouter<AdminState> {
    OpenApiRouter::new().routes(routes!(list))
}

/// The newest audit events of this process
///
/// What operators and the host itself did (`operation`), what was refused at this listener (`access`), and which
/// servers plugins asked for in vain (`outbound`). Each kind is bounded by itself, so that refusals do not push out
/// what operators did. The log has them all, with those of users' authentications, under the target
/// `switchboard::audit`.
#[utoipa::path(get, path = "/audit", tag = "operators", params(TrailParameters), responses(
    (status = 200, description = "Newest first", body = Trail),
    (status = 400, description = "A parameter is wrong", body = super::problem::ErrorBody),
))]
async fn list(State(state): State<AdminState>, Parameters(parameters): Parameters<TrailParameters>) -> Json<Trail> {
    let about = |event: &AuditEvent| {
        let wanted = parameters.plugin.as_deref();
        wanted.is_none_or(|plugin| event.fields.get("plugin").and_then(|name| name.as_str()) == Some(plugin))
    };
    let limit = parameters.limit.unwrap_or(LISTED);
    Json(Trail { events: state.recent.audit(limit, parameters.kind, about) })
}
