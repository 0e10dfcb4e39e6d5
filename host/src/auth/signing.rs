//! Tokens signed with the key in the data folder, for `switchboard token`.
//!
//! What is signed here is checked like any other token; there is no mark that would let it pass.

use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rand::{TryRngCore as _, rngs::OsRng};
use serde::Serialize;
use serde_json::{Map, Value};

use super::{claims::MAX_NAME_BYTES, keys::GeneratedKey};

/// What goes into a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenRequest {
    pub subject: String,
    pub scopes: Vec<String>,
    /// Becomes the claim `tenant`.
    pub tenant: Option<String>,
    pub lifetime: Duration,
    /// Further claims. Those above, and what belongs to every token, cannot be among them.
    pub claims: Map<String, Value>,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignError {
    #[error("the {0} must have 1 to {MAX_NAME_BYTES} bytes")]
    Name(&'static str),
    #[error("the scope {0:?} must be printable ASCII without spaces, quotes and backslashes (RFC 6749, section 3.3)")]
    Scope(String),
    #[error("the claim {0:?} is set in another way")]
    Claim(String),
    #[error("the token must live for at least one second")]
    Lifetime,
    #[error("the server's source of randomness failed")]
    Randomness,
    #[error("the token could not be signed: {0}")]
    Signing(#[from] jsonwebtoken::errors::Error),
}

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    iat: u64,
    exp: u64,
    jti: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'a str>,
    #[serde(flatten)]
    further: &'a Map<String, Value>,
}

/// The names in [`Claims`].
const OWN_CLAIMS: [&str; 6] = ["sub", "iat", "exp", "jti", "scope", "tenant"];

/// Signs a token (HS256) that is valid from `now` (Unix seconds) on.
pub(crate) fn sign(key: &GeneratedKey, request: &TokenRequest, now: u64) -> Result<String, SignError> {
    check(request)?;
    let mut id = [0; 16];
    OsRng.try_fill_bytes(&mut id).map_err(|_| SignError::Randomness)?;
    let claims = Claims {
        sub: &request.subject,
        iat: now,
        exp: now.saturating_add(request.lifetime.as_secs()),
        jti: format!("{:032x}", u128::from_be_bytes(id)),
        scope: request.scopes.join(" "),
        tenant: request.tenant.as_deref(),
        further: &request.claims,
    };
    let key = EncodingKey::from_secret(key.bytes());
    Ok(jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key)?)
}

fn check(request: &TokenRequest) -> Result<(), SignError> {
    let is_name = |name: &str| (1..=MAX_NAME_BYTES).contains(&name.len());
    if !is_name(&request.subject) {
        return Err(SignError::Name("subject"));
    }
    if !request.tenant.as_deref().is_none_or(is_name) {
        return Err(SignError::Name("tenant"));
    }
    let is_scope = |scope: &String| {
        !scope.is_empty() && scope.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(&byte))
    };
    if let Some(scope) = request.scopes.iter().find(|scope| !is_scope(scope)) {
        return Err(SignError::Scope(scope.clone()));
    }
    if let Some(name) = request.claims.keys().find(|name| OWN_CLAIMS.contains(&name.as_str())) {
        return Err(SignError::Claim(name.clone()));
    }
    if request.lifetime < Duration::from_secs(1) {
        return Err(SignError::Lifetime);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        auth::{keys::KeySet, keys::generated_key, verifier},
        config::Config,
    };

    fn request() -> TokenRequest {
        TokenRequest {
            subject: "alice".to_owned(),
            scopes: vec!["chat:write".to_owned(), "tools".to_owned()],
            tenant: Some("acme".to_owned()),
            lifetime: Duration::from_secs(60),
            claims: Map::from_iter([("team".to_owned(), "blue".into())]),
        }
    }

    #[test]
    fn what_is_signed_verifies_and_says_what_was_asked() {
        let folder = tempfile::tempdir().unwrap();
        let key = generated_key(folder.path()).unwrap();
        let token = sign(&key, &request(), 1000).unwrap();
        let auth = Config::for_tests(folder.path()).auth;
        let alice = verifier::verify(&token, &crate::auth::claims::Expected::by(&auth), &KeySet::of(key.bytes()), 1000)
            .unwrap()
            .principal;
        assert_eq!((alice.subject.as_str(), alice.tenant.as_deref(), alice.expires_at), ("alice", Some("acme"), 1060));
        assert_eq!((alice.scopes, alice.token_id.unwrap().len()), (request().scopes, 32));
    }

    #[test]
    fn what_the_server_would_refuse_is_not_signed() {
        let folder = tempfile::tempdir().unwrap();
        let key = generated_key(folder.path()).unwrap();
        for wrong in [
            TokenRequest { subject: String::new(), ..request() },
            TokenRequest { subject: "x".repeat(MAX_NAME_BYTES + 1), ..request() },
            TokenRequest { tenant: Some(String::new()), ..request() },
            TokenRequest { scopes: vec!["a b".to_owned()], ..request() },
            TokenRequest { lifetime: Duration::ZERO, ..request() },
            TokenRequest { claims: Map::from_iter([("exp".to_owned(), 1.into())]), ..request() },
        ] {
            assert!(sign(&key, &wrong, 1000).is_err(), "{wrong:?}");
        }
    }
}
