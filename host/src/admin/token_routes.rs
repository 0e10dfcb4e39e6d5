//! `/tokens`: who may use this listener.

use axum::{
    Extension, Json,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use serde::Serialize;
use switchboard_protocol::ErrorCode;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    AdminState,
    body::{self, Name},
    problem::{ErrorBody, Problem},
};
use crate::auth::operator::{NewToken, Operator, TokenFault, TokenSummary};

/// The target that audit events have.
const AUDIT: &str = "switchboard::audit";

const EXAMPLE: &str = "send {\"name\":\"ci\",\"scope\":\"deploy\"}; `expires_in_s` may be added";

#[derive(Debug, Serialize, ToSchema)]
struct Tokens {
    /// By name, without the tokens themselves.
    tokens: Vec<TokenSummary>,
}

#[derive(Debug, Serialize, ToSchema)]
struct CreatedToken {
    #[serde(flatten)]
    summary: TokenSummary,
    /// The token itself. It is shown this once, and cannot be found out again.
    token: String,
}

pub(super) fn routes() -> OpenApiRouter<AdminState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(revoke))
}

/// The tokens that are good
#[utoipa::path(get, path = "/tokens", tag = "operators", responses(
    (status = 200, description = "All of them", body = Tokens),
))]
async fn list(State(state): State<AdminState>) -> Json<Tokens> {
    Json(Tokens { tokens: state.operators.all() })
}

/// Make a token
#[utoipa::path(post, path = "/tokens", tag = "operators", request_body = NewToken, responses(
    (status = 201, description = "It is good from now on", body = CreatedToken),
    (status = 400, description = "The request is wrong", body = ErrorBody),
    (status = 409, description = "There is one of this name, or there are as many as there may be", body = ErrorBody),
    (status = 415, description = "The body is not declared as JSON", body = ErrorBody),
    (status = 500, description = "It could not be stored, and is not good", body = ErrorBody),
))]
async fn create(
    State(state): State<AdminState>,
    Extension(operator): Extension<Operator>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<CreatedToken>), Problem> {
    let wanted: NewToken = body::json(&headers, body, EXAMPLE).await?;
    let operators = state.operators;
    let created = state.tasks.spawn_blocking(move || {
        let (secret, summary) = operators.create(&wanted)?;
        let (name, scope) = (&summary.name, summary.scope.as_str());
        tracing::warn!(target: AUDIT, by = operator.name, token = name, scope, "admin token created");
        Ok::<_, TokenFault>(CreatedToken { token: secret.text().to_owned(), summary })
    });
    let created = created.await.map_err(|_| Problem::unfinished())??;
    Ok((StatusCode::CREATED, Json(created)))
}

/// Revoke a token
///
/// It is refused from then on. The last one that may make others, and does not expire, stays.
#[utoipa::path(delete, path = "/tokens/{name}", tag = "operators", params(("name" = String, Path)), responses(
    (status = 200, description = "It is no longer good", body = TokenSummary),
    (status = 404, description = "There is none of this name", body = ErrorBody),
    (status = 409, description = "It is the last one by which others can be made", body = ErrorBody),
    (status = 500, description = "That could not be stored, and it is still good", body = ErrorBody),
))]
async fn revoke(
    State(state): State<AdminState>,
    Extension(operator): Extension<Operator>,
    Name(name): Name,
) -> Result<Json<TokenSummary>, Problem> {
    let operators = state.operators;
    let revoked = state.tasks.spawn_blocking(move || {
        let revoked = operators.revoke(&name)?;
        tracing::warn!(target: AUDIT, by = operator.name, token = revoked.name, "admin token revoked");
        Ok::<_, TokenFault>(revoked)
    });
    Ok(Json(revoked.await.map_err(|_| Problem::unfinished())??))
}

impl From<TokenFault> for Problem {
    fn from(fault: TokenFault) -> Self {
        let text = fault.to_string();
        match fault {
            TokenFault::Name(_) => Self::new(ErrorCode::PayloadInvalid, text).help(EXAMPLE),
            TokenFault::Taken(_) => Self::new(ErrorCode::OperationConflict, text)
                .help("choose another name, or revoke that one first: a token cannot be shown again"),
            TokenFault::Unknown(_) => {
                Self::new(ErrorCode::NotFound, text).help("GET /tokens lists those that are good")
            }
            TokenFault::Last(_) => Self::new(ErrorCode::OperationConflict, text)
                .help("make another one with the scope `admin` that does not expire, and revoke this one with it"),
            TokenFault::Full => {
                Self::new(ErrorCode::OperationConflict, text).help("revoke those that nobody uses any more")
            }
            TokenFault::NotWritten(_) => {
                tracing::error!(error = text, "a change of the admin tokens was not stored");
                Self::new(ErrorCode::InternalError, text)
                    .help("make `server.data_dir` writable and see that its disk has room, then try again")
            }
        }
    }
}
