//! `/plugins/{name}/state`: how much a plugin remembers, and an order to forget it.

use axum::{Extension, Json, extract::State};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    AdminState,
    body::{Name, Parameters},
    operations,
    problem::{ErrorBody, Problem},
};
use crate::{
    auth::operator::Operator,
    plugin::state::{StateForgotten, StateScope, StateUsage},
};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ForgetParameters {
    /// Whose memory; without it, all.
    #[param(inline)]
    scope: Option<StateScope>,
    /// Why, for the audit trail.
    #[param(max_length = 500)]
    why: Option<String>,
}

pub(super) fn readable() -> OpenApiRouter<AdminState> {
    OpenApiRouter::new().routes(routes!(usage))
}

pub(super) fn changing() -> OpenApiRouter<AdminState> {
    OpenApiRouter::new().routes(routes!(forget))
}

/// How much a plugin remembers, whether or not it still has a file
#[utoipa::path(get, path = "/plugins/{name}/state", tag = "plugins", params(("name" = String, Path)), responses(
    (status = 200, description = "By scope", body = StateUsage),
    (status = 404, description = "There is no plugin of this name, and nothing that it remembered", body = ErrorBody),
))]
async fn usage(State(state): State<AdminState>, Name(plugin): Name) -> Result<Json<StateUsage>, Problem> {
    Ok(Json(state.desk.state_usage(&plugin)?))
}

/// Drop what a plugin remembers
///
/// What it writes meanwhile may stay: switch it off first to be sure that nothing is left.
#[utoipa::path(delete, path = "/plugins/{name}/state", tag = "plugins",
    params(("name" = String, Path), ForgetParameters),
    responses(
        (status = 200, description = "It is dropped", body = StateForgotten),
        (status = 400, description = "A parameter is wrong", body = ErrorBody),
        (status = 404, description = "There is no plugin of this name, and nothing that it remembered", body = ErrorBody),
        (status = 500, description = "The disk did not take it; some may be left", body = ErrorBody),
        (status = 503, description = "The host is stopping", body = ErrorBody),
    ))]
async fn forget(
    State(state): State<AdminState>,
    Extension(operator): Extension<Operator>,
    Name(plugin): Name,
    Parameters(parameters): Parameters<ForgetParameters>,
) -> Result<Json<StateForgotten>, Problem> {
    let order = operations::order(operator, parameters.why.unwrap_or_default())?;
    let forgotten = state.tasks.spawn(state.desk.forget_state(plugin, parameters.scope, order)).await;
    Ok(Json(forgotten.map_err(|_| Problem::unfinished())??))
}
