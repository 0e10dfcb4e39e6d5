//! `/mcp` as a protected resource of OAuth: what it tells about itself (RFC 9728), and how it asks for a
//! token (RFC 6750, section 3).

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Request, State},
    response::{IntoResponse, Response},
};
use http::{HeaderValue, header::CACHE_CONTROL, uri::Authority};
use serde_json::{Value, json};
use switchboard_protocol::ErrorCode;

use super::{ENDPOINT, gate};
use crate::{
    config::{
        Config,
        mcp::{METADATA_PATH, is_scope},
    },
    transport::{Edge, refusal::Refusal},
};

/// `GET /.well-known/oauth-protected-resource`.
pub(super) async fn metadata(State(edge): State<Arc<Edge>>, request: Request) -> Response {
    answer(&edge, request)
}

/// `GET /.well-known/oauth-protected-resource/mcp`, and under the path of `mcp.resource`.
pub(super) async fn metadata_at(State(edge): State<Arc<Edge>>, Path(path): Path<String>, request: Request) -> Response {
    let path = format!("/{path}");
    let own = edge.config.load().mcp.resource.as_ref().is_some_and(|resource| resource.path() == path);
    if own || path == ENDPOINT {
        return answer(&edge, request);
    }
    Refusal::new(ErrorCode::NotFound, format!("there is no protected resource {path:?}")).into_response()
}

fn answer(edge: &Edge, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let config = edge.config.load();
    match gate::check_host(&config, &parts) {
        Ok(host) => ([(CACHE_CONTROL, "no-cache")], Json(document(&config, &host))).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

/// RFC 9728, section 2.
fn document(config: &Config, host: &Authority) -> Value {
    let servers = authorization_servers(config);
    let mut document = json!({ "resource": address(config, host), "bearer_methods_supported": ["header"] });
    if !servers.is_empty() {
        document["authorization_servers"] = servers.into();
    }
    if !config.mcp.scopes_supported.is_empty() {
        document["scopes_supported"] = config.mcp.scopes_supported.clone().into();
    }
    document
}

/// Those that the operator names, or the issuers of tokens, as far as they are addresses.
fn authorization_servers(config: &Config) -> Vec<String> {
    if !config.mcp.authorization_servers.is_empty() {
        return config.mcp.authorization_servers.clone();
    }
    let is_address = |issuer: &&String| issuer.starts_with("https://") || issuer.starts_with("http://");
    config.auth.issuers.iter().filter(is_address).cloned().collect()
}

/// What clients know it by; without a setting, what this one asked, which came here unencrypted.
fn address(config: &Config, host: &Authority) -> String {
    match &config.mcp.resource {
        Some(resource) => resource.as_str().to_owned(),
        None => format!("http://{host}{ENDPOINT}"),
    }
}

fn metadata_address(config: &Config, host: &Authority) -> String {
    match &config.mcp.resource {
        Some(resource) => resource.metadata(),
        None => format!("http://{host}{METADATA_PATH}{ENDPOINT}"),
    }
}

/// What `WWW-Authenticate` says to one whose token is missing or not good.
pub(super) fn challenge(config: &Config, host: &Authority, code: ErrorCode) -> Option<HeaderValue> {
    // A client that brought nothing has made no error (RFC 6750, section 3.1).
    let error = (code != ErrorCode::JwtTokenMissing).then_some("invalid_token");
    header(config, host, error, config.mcp.scopes_supported.iter().map(String::as_str))
}

/// What it says to one whose token does not reach far enough. Beside what is missing, what the token has
/// already: a client that gets another in its place should not lose by it.
pub(super) fn more_scopes(
    config: &Config,
    host: &Authority,
    granted: &[String],
    missing: &[String],
) -> Option<HeaderValue> {
    let mut wanted: Vec<&str> = Vec::new();
    for scope in granted.iter().chain(missing) {
        if !wanted.contains(&scope.as_str()) {
            wanted.push(scope);
        }
    }
    header(config, host, Some("insufficient_scope"), wanted.into_iter())
}

fn header<'a>(
    config: &Config,
    host: &Authority,
    error: Option<&str>,
    scopes: impl Iterator<Item = &'a str>,
) -> Option<HeaderValue> {
    let mut text = format!("Bearer resource_metadata=\"{}\"", metadata_address(config, host));
    if let Some(error) = error {
        text.push_str(&format!(", error=\"{error}\""));
    }
    // Those of a token can hold anything.
    let scopes: Vec<_> = scopes.filter(|scope| is_scope(scope)).collect();
    if !scopes.is_empty() {
        text.push_str(&format!(", scope=\"{}\"", scopes.join(" ")));
    }
    HeaderValue::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::mcp::ResourceAddress;

    fn config() -> Config {
        Config::for_tests("/nowhere")
    }

    fn host() -> Authority {
        "127.0.0.1:8080".parse().unwrap()
    }

    #[test]
    fn without_settings_the_document_says_where_it_was_asked() {
        assert_eq!(
            document(&config(), &host()),
            json!({ "resource": "http://127.0.0.1:8080/mcp", "bearer_methods_supported": ["header"] })
        );
        let challenge = challenge(&config(), &host(), ErrorCode::JwtTokenMissing).unwrap();
        assert_eq!(
            challenge,
            r#"Bearer resource_metadata="http://127.0.0.1:8080/.well-known/oauth-protected-resource/mcp""#
        );
    }

    #[test]
    fn settings_are_what_clients_are_told() {
        let mut config = config();
        config.mcp.resource = Some(ResourceAddress::parse("https://example.com/mcp").unwrap());
        config.mcp.scopes_supported = vec!["tools:read".into(), "tools:call".into()];
        config.auth.issuers = vec!["https://id.example.com".into(), "a name".into()];
        let shown = document(&config, &host());
        assert_eq!(
            (&shown["resource"], &shown["authorization_servers"], &shown["scopes_supported"]),
            (
                &json!("https://example.com/mcp"),
                &json!(["https://id.example.com"]),
                &json!(["tools:read", "tools:call"])
            )
        );
        config.mcp.authorization_servers = vec!["https://other.example.com".into()];
        assert_eq!(document(&config, &host())["authorization_servers"], json!(["https://other.example.com"]));
        let challenge = challenge(&config, &host(), ErrorCode::JwtExpired).unwrap();
        assert_eq!(
            challenge,
            "Bearer resource_metadata=\"https://example.com/.well-known/oauth-protected-resource/mcp\", \
             error=\"invalid_token\", scope=\"tools:read tools:call\""
        );
    }

    #[test]
    fn one_who_needs_more_is_told_all_that_to_ask_for() {
        let granted = ["a".to_owned(), "b\"c".to_owned(), "d".to_owned()];
        let missing = ["d".to_owned(), "e".to_owned()];
        let told = more_scopes(&config(), &host(), &granted, &missing).unwrap();
        assert!(told.to_str().unwrap().ends_with(r#"error="insufficient_scope", scope="a d e""#), "{told:?}");
    }
}
