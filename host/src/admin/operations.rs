//! `/plugins`, to change something: deploy, promote, roll back, pin, switch off and on, remove.
//!
//! An operation that has begun runs to its end even when its client leaves: half a deployment would be
//! nobody's. Who did it is the name of the token, and why is what the request says.

use std::{sync::Arc, time::Duration};

use axum::{Extension, Json, body::Body, extract::State, http::HeaderMap};
use serde::Deserialize;
use switchboard_protocol::ErrorCode;
use tokio::sync::Semaphore;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    AdminState,
    body::{self, Name, Parameters},
    desk::{Operation, PluginDesk},
    problem::{ErrorBody, Problem},
};
use crate::{
    auth::operator::Operator,
    plugin::operation::{Deployment, Done, Order, Removed},
};

/// Components that are taken in at one time, because each is held in memory as a whole.
const MAX_UPLOADS: usize = 4;

/// When a deployment that found no place is worth another attempt.
const UPLOAD_WAIT: Duration = Duration::from_secs(5);

/// Longest reason: a sentence or two for whoever reads the audit trail.
const MAX_WHY_BYTES: usize = 500;

/// Places for uploads.
pub(super) fn uploads() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(MAX_UPLOADS))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct DeployParameters {
    /// Share of users in per cent that gets the version at first; 0: all at once. Without it, what
    /// `canary.percent` of the plugin says.
    #[param(minimum = 0, maximum = 99)]
    canary: Option<u32>,
    /// Why, for the audit trail.
    #[param(max_length = 500)]
    why: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RemoveParameters {
    /// Why, for the audit trail.
    #[param(max_length = 500)]
    why: Option<String>,
}

/// Why something is done.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Reason {
    /// For the audit trail.
    #[serde(default)]
    #[schema(max_length = 500)]
    why: String,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RollbackRequest {
    /// A version, by its digest (8 hex digits or more) or by its number; without it, the one before the
    /// active one.
    #[serde(default)]
    to: Option<String>,
    /// For the audit trail.
    #[serde(default)]
    #[schema(max_length = 500)]
    why: String,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PinRequest {
    session_id: String,
    /// A version, by its digest (8 hex digits or more) or by its number.
    digest: String,
    /// For the audit trail.
    #[serde(default)]
    #[schema(max_length = 500)]
    why: String,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct UnpinRequest {
    session_id: String,
    /// For the audit trail.
    #[serde(default)]
    #[schema(max_length = 500)]
    why: String,
}

const PIN: &str = "send {\"session_id\":\"…\",\"digest\":\"…\"}; `why` may be added";
const UNPIN: &str = "send {\"session_id\":\"…\"}; `why` may be added";
const ROLLBACK: &str = "send {}, {\"to\":\"…\"}, or no body; `why` may be added";
const REASON: &str = "send {\"why\":\"…\"}, or no body";

pub(super) fn routes() -> OpenApiRouter<AdminState> {
    OpenApiRouter::new()
        .routes(routes!(deploy, remove))
        .routes(routes!(promote))
        .routes(routes!(rollback))
        .routes(routes!(pin))
        .routes(routes!(unpin))
        .routes(routes!(enable))
        .routes(routes!(disable))
}

/// Bring a component to traffic
///
/// The answer comes when it serves, or when it is known why it does not. What served before goes on until
/// then, and then finishes what it has begun.
#[utoipa::path(put, path = "/plugins/{name}", tag = "plugins", params(("name" = String, Path), DeployParameters),
    request_body(content = Vec<u8>, content_type = "application/wasm", description = "The component, up to 128 MiB"),
    responses(
        (status = 200, description = "It serves", body = Done),
        (status = 400, description = "The name, or a parameter, is wrong", body = ErrorBody),
        (status = 409, description = "It does not go with how the plugin is at the moment", body = ErrorBody),
        (status = 413, description = "The component is too large", body = ErrorBody),
        (status = 415, description = "The body is not declared as a component", body = ErrorBody),
        (status = 422, description = "The component does not come to traffic; `stage` and `reason` say why", body = ErrorBody),
        (status = 500, description = "The version could not be stored", body = ErrorBody),
        (status = 503, description = "The host is stopping, or takes in as many components as it may", body = ErrorBody),
    ))]
async fn deploy(
    State(state): State<AdminState>,
    Extension(operator): Extension<Operator>,
    Name(plugin): Name,
    Parameters(parameters): Parameters<DeployParameters>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Done>, Problem> {
    let order = order(operator, parameters.why.unwrap_or_default())?;
    if parameters.canary.is_some_and(|percent| percent > 99) {
        return Err(Problem::new(ErrorCode::PayloadInvalid, "`canary` is a share of 0 to 99 per cent")
            .help("leave it out, or say 0, to serve all users at once"));
    }
    let place = state.uploads.clone().try_acquire_owned().map_err(|_| {
        Problem::new(ErrorCode::RateLimited, format!("{MAX_UPLOADS} components are being taken in at the moment"))
            .retry_after(UPLOAD_WAIT)
    })?;
    // Nobody else has the buffer, so it is handed on and not copied.
    let component = Vec::from(body::component(&headers, body).await?);
    let deployment = Deployment { plugin, component, canary_percent: parameters.canary };
    run(&state, move |desk| {
        let deploying = desk.deploy(deployment, order);
        Box::pin(async move {
            let _place = place;
            deploying.await
        })
    })
    .await
}

/// Remove a plugin that has no file
///
/// It is unloaded, and none of its versions can be gone back to. What it remembers stays. A plugin with a file in
/// the plugin directory is removed by removing the file.
#[utoipa::path(delete, path = "/plugins/{name}", tag = "plugins", params(("name" = String, Path), RemoveParameters),
    responses(
        (status = 200, description = "It is unloaded", body = Removed),
        (status = 400, description = "A parameter is wrong", body = ErrorBody),
        (status = 404, description = "There is no plugin of this name", body = ErrorBody),
        (status = 409, description = "It has a file, or is being loaded", body = ErrorBody),
        (status = 500, description = "The disk did not take it; the plugin stays", body = ErrorBody),
        (status = 503, description = "The host is stopping", body = ErrorBody),
    ))]
async fn remove(
    State(state): State<AdminState>,
    Extension(operator): Extension<Operator>,
    Name(plugin): Name,
    Parameters(parameters): Parameters<RemoveParameters>,
) -> Result<Json<Removed>, Problem> {
    let order = order(operator, parameters.why.unwrap_or_default())?;
    let Json(done) = run(&state, move |desk| desk.remove(plugin, order)).await?;
    Ok(Json(Removed { plugin: done.plugin }))
}

/// Give the canary all users
#[utoipa::path(post, path = "/plugins/{name}/promote", tag = "plugins", params(("name" = String, Path)),
    request_body(content = Option<Reason>, content_type = "application/json"),
    responses(
        (status = 200, description = "It serves everyone", body = Done),
        (status = 400, description = "The body is wrong", body = ErrorBody),
        (status = 404, description = "There is no plugin of this name", body = ErrorBody),
        (status = 409, description = "There is no canary", body = ErrorBody),
        (status = 415, description = "The body is not declared as JSON", body = ErrorBody),
    ))]
async fn promote(
    State(state): State<AdminState>,
    Extension(operator): Extension<Operator>,
    Name(plugin): Name,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Done>, Problem> {
    let Reason { why } = body::json_or_default(&headers, body, REASON).await?;
    let order = order(operator, why)?;
    run(&state, move |desk| desk.promote(plugin, order)).await
}

/// Go back to an earlier version
///
/// If there is a canary and no version is named, the canary ends, and the active version serves everyone.
#[utoipa::path(post, path = "/plugins/{name}/rollback", tag = "plugins", params(("name" = String, Path)),
    request_body(content = Option<RollbackRequest>, content_type = "application/json"),
    responses(
        (status = 200, description = "The earlier version serves", body = Done),
        (status = 400, description = "The body is wrong", body = ErrorBody),
        (status = 404, description = "There is no such plugin or version", body = ErrorBody),
        (status = 409, description = "There is nothing to go back to, or several versions fit", body = ErrorBody),
        (status = 415, description = "The body is not declared as JSON", body = ErrorBody),
        (status = 422, description = "The earlier version does not come to traffic any more", body = ErrorBody),
    ))]
async fn rollback(
    State(state): State<AdminState>,
    Extension(operator): Extension<Operator>,
    Name(plugin): Name,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Done>, Problem> {
    let RollbackRequest { to, why } = body::json_or_default(&headers, body, ROLLBACK).await?;
    let order = order(operator, why)?;
    run(&state, move |desk| desk.rollback(plugin, to, order)).await
}

/// Put one session on one version
#[utoipa::path(post, path = "/plugins/{name}/pin", tag = "plugins", params(("name" = String, Path)),
    request_body(content = PinRequest, content_type = "application/json"),
    responses(
        (status = 200, description = "The session's next message goes to that version", body = Done),
        (status = 400, description = "The body is wrong", body = ErrorBody),
        (status = 404, description = "There is no such plugin or version", body = ErrorBody),
        (status = 409, description = "Several versions fit, or it is not possible at the moment", body = ErrorBody),
        (status = 415, description = "The body is not declared as JSON", body = ErrorBody),
    ))]
async fn pin(
    State(state): State<AdminState>,
    Extension(operator): Extension<Operator>,
    Name(plugin): Name,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Done>, Problem> {
    let PinRequest { session_id, digest, why } = body::json(&headers, body, PIN).await?;
    let order = order(operator, why)?;
    run(&state, move |desk| desk.pin(plugin, session_id, digest, order)).await
}

/// Serve a session like all others again
#[utoipa::path(post, path = "/plugins/{name}/unpin", tag = "plugins", params(("name" = String, Path)),
    request_body(content = UnpinRequest, content_type = "application/json"),
    responses(
        (status = 200, description = "It is served like all others", body = Done),
        (status = 400, description = "The body is wrong", body = ErrorBody),
        (status = 404, description = "There is no plugin of this name", body = ErrorBody),
        (status = 409, description = "It was not pinned", body = ErrorBody),
        (status = 415, description = "The body is not declared as JSON", body = ErrorBody),
    ))]
async fn unpin(
    State(state): State<AdminState>,
    Extension(operator): Extension<Operator>,
    Name(plugin): Name,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Done>, Problem> {
    let UnpinRequest { session_id, why } = body::json(&headers, body, UNPIN).await?;
    let order = order(operator, why)?;
    run(&state, move |desk| desk.unpin(plugin, session_id, order)).await
}

/// Switch a plugin on
#[utoipa::path(post, path = "/plugins/{name}/enable", tag = "plugins", params(("name" = String, Path)),
    request_body(content = Option<Reason>, content_type = "application/json"),
    responses(
        (status = 200, description = "It is so now", body = Done),
        (status = 400, description = "The body is wrong", body = ErrorBody),
        (status = 404, description = "There is no plugin of this name", body = ErrorBody),
        (status = 409, description = "The settings file says otherwise", body = ErrorBody),
        (status = 415, description = "The body is not declared as JSON", body = ErrorBody),
        (status = 422, description = "It does not come to traffic any more", body = ErrorBody),
    ))]
async fn enable(
    state: State<AdminState>,
    operator: Extension<Operator>,
    name: Name,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Done>, Problem> {
    set_enabled(state, operator, name, &headers, body, true).await
}

/// Switch a plugin off
///
/// What it has begun finishes; its types answer `PLUGIN_DISABLED`.
#[utoipa::path(post, path = "/plugins/{name}/disable", tag = "plugins", params(("name" = String, Path)),
    request_body(content = Option<Reason>, content_type = "application/json"),
    responses(
        (status = 200, description = "It is so now", body = Done),
        (status = 400, description = "The body is wrong", body = ErrorBody),
        (status = 404, description = "There is no plugin of this name", body = ErrorBody),
        (status = 409, description = "It is not possible at the moment", body = ErrorBody),
        (status = 415, description = "The body is not declared as JSON", body = ErrorBody),
    ))]
async fn disable(
    state: State<AdminState>,
    operator: Extension<Operator>,
    name: Name,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Done>, Problem> {
    set_enabled(state, operator, name, &headers, body, false).await
}

async fn set_enabled(
    State(state): State<AdminState>,
    Extension(operator): Extension<Operator>,
    Name(plugin): Name,
    headers: &HeaderMap,
    body: Body,
    enabled: bool,
) -> Result<Json<Done>, Problem> {
    let Reason { why } = body::json_or_default(headers, body, REASON).await?;
    let order = order(operator, why)?;
    run(&state, move |desk| desk.set_enabled(plugin, enabled, order)).await
}

pub(super) fn order(operator: Operator, why: String) -> Result<Order, Problem> {
    if why.len() > MAX_WHY_BYTES {
        let error = format!("`why` has {} bytes, and up to {MAX_WHY_BYTES} are allowed", why.len());
        return Err(Problem::new(ErrorCode::PayloadInvalid, error).help("say it in a sentence or two"));
    }
    Ok(Order { by: operator.name, why })
}

/// Runs an operation as a task of the host, so that it ends well whoever waits for it.
async fn run(state: &AdminState, begin: impl FnOnce(&dyn PluginDesk) -> Operation) -> Result<Json<Done>, Problem> {
    let done = state.tasks.spawn(begin(&*state.desk)).await;
    Ok(Json(done.map_err(|_| Problem::unfinished())??))
}
