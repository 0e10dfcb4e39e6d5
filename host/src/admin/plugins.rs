//! `/plugins`, to look: what runs, and in which versions.

use axum::{Json, extract::State};
use serde::Serialize;
use switchboard_protocol::ErrorCode;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    AdminState,
    body::Name,
    problem::{ErrorBody, Problem},
};
use crate::plugin::{PluginStatus, operation::VersionSummary};

/// The versions of one plugin.
#[derive(Debug, Serialize, ToSchema)]
struct Versions {
    plugin: String,
    /// Newest first.
    versions: Vec<VersionSummary>,
}

pub(super) fn routes() -> OpenApiRouter<AdminState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(one)).routes(routes!(versions))
}

/// Every plugin that has a file or a version, or had one lately, by name
#[utoipa::path(get, path = "/plugins", tag = "plugins", responses(
    (status = 200, description = "All of them", body = [PluginStatus]),
))]
async fn list(State(state): State<AdminState>) -> Json<Vec<PluginStatus>> {
    Json(state.desk.statuses())
}

/// One plugin
#[utoipa::path(get, path = "/plugins/{name}", tag = "plugins", params(("name" = String, Path)), responses(
    (status = 200, description = "How it is", body = PluginStatus),
    (status = 404, description = "There is no plugin of this name", body = ErrorBody),
))]
async fn one(State(state): State<AdminState>, Name(name): Name) -> Result<Json<PluginStatus>, Problem> {
    find(&state, &name).map(Json)
}

/// The versions that are kept of a plugin
#[utoipa::path(get, path = "/plugins/{name}/versions", tag = "plugins", params(("name" = String, Path)), responses(
    (status = 200, description = "Newest first", body = Versions),
    (status = 404, description = "There is no plugin of this name", body = ErrorBody),
))]
async fn versions(State(state): State<AdminState>, Name(plugin): Name) -> Result<Json<Versions>, Problem> {
    let versions = state.desk.versions(plugin.clone()).await?;
    Ok(Json(Versions { plugin, versions }))
}

/// The status of a plugin.
pub(super) fn find(state: &AdminState, name: &str) -> Result<PluginStatus, Problem> {
    state.desk.statuses().into_iter().find(|status| status.name == name).ok_or_else(|| {
        Problem::new(ErrorCode::NotFound, format!("there is no plugin {name:?}"))
            .help("GET /plugins lists those that there are")
    })
}
