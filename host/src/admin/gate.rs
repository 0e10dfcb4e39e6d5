//! Who may use a route: a token with the scope that the route needs (RFC 6750).
//!
//! The same call puts the check in front of a group of routes and says so in the OpenAPI document, so
//! that neither can be without the other.

use std::{net::SocketAddr, sync::Arc, time::Instant};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
};
use switchboard_protocol::ErrorCode;
use utoipa_axum::router::OpenApiRouter;

use super::{AdminState, openapi, problem::Problem, wrong_tokens::WrongTokens};
use crate::{
    auth::operator::{Operator, Operators, Scope},
    telemetry::trail::{SCOPE_REFUSED, TOKEN_REFUSED},
};

/// What the challenge names (RFC 9110, section 11.5).
const REALM: &str = "Bearer realm=\"switchboard\"";

/// The target that audit events have.
const AUDIT: &str = "switchboard::audit";

/// In front of one group of routes.
#[derive(Clone)]
pub(super) struct Gate {
    pub operators: Arc<Operators>,
    pub wrong: Arc<WrongTokens>,
}

#[derive(Clone)]
struct Guard {
    gate: Gate,
    needed: Scope,
}

impl Gate {
    /// Lets only those to the routes whose token has the scope.
    pub fn guard(&self, needed: Scope, mut routes: OpenApiRouter<AdminState>) -> OpenApiRouter<AdminState> {
        openapi::require(routes.get_openapi_mut(), needed);
        let guard = Guard { gate: self.clone(), needed };
        routes.route_layer(middleware::from_fn_with_state(guard, require_scope))
    }
}

async fn require_scope(
    State(guard): State<Guard>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    match guard.check(peer, request.headers()) {
        Ok(operator) => {
            request.extensions_mut().insert(operator);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

impl Guard {
    fn check(&self, peer: SocketAddr, headers: &HeaderMap) -> Result<Operator, Problem> {
        let token = bearer(headers).ok_or_else(|| {
            // Without a token there is nothing to say of one (RFC 6750, section 3.1).
            Problem::new(ErrorCode::AdminTokenMissing, "the request carries no token").challenge(REALM.to_owned())
        })?;
        let operator = self.gate.operators.check(token).ok_or_else(|| self.wrong_token(peer))?;
        if operator.scope.allows(self.needed) {
            return Ok(operator);
        }
        let (name, has, needs) = (&operator.name, operator.scope.as_str(), self.needed.as_str());
        tracing::warn!(target: AUDIT, %peer, by = name, has, needs, "{SCOPE_REFUSED}");
        let error = format!("the token {name:?} has the scope `{has}`, and this needs `{needs}`");
        let challenge = format!("{REALM}, error=\"insufficient_scope\", scope=\"{needs}\"");
        Err(Problem::new(ErrorCode::AdminScopeInsufficient, error).challenge(challenge))
    }

    fn wrong_token(&self, peer: SocketAddr) -> Problem {
        let challenge = format!("{REALM}, error=\"invalid_token\"");
        match self.gate.wrong.count(peer.ip(), Instant::now()) {
            Ok(()) => {
                tracing::warn!(target: AUDIT, %peer, "{TOKEN_REFUSED}");
                let error = "the token is not known here, has expired, or was revoked";
                Problem::new(ErrorCode::AdminTokenInvalid, error).challenge(challenge)
            }
            Err(wait) => Problem::new(ErrorCode::RateLimited, "this address has shown too many wrong tokens")
                .help("wait for `retry_after_ms`, or use a token that is good")
                .retry_after(wait),
        }
    }
}

/// The one token of the one header.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next()?.to_str().ok()?;
    if values.next().is_some() {
        return None;
    }
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_stands_in_one_header_of_its_scheme() {
        let find = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, value.parse().unwrap());
            }
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(find(&["Bearer abc"]).as_deref(), Some("abc"));
        assert_eq!(find(&["bearer  abc "]).as_deref(), Some("abc"));
        for values in [&[][..], &["abc"], &["Basic abc"], &["Bearer "], &["Bearer"], &["Bearer a", "Bearer b"]] {
            assert_eq!(find(values), None, "{values:?}");
        }
    }
}
