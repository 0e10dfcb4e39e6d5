//! From a token's claims (RFC 7519, section 4) to a [`Principal`].
//!
//! The signature has been verified by now. Errors name claims, never their values.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::{Map, Value};

use super::{Principal, verifier::Rejection};
use crate::config::AuthConfig;

/// Longest `sub`, tenant and `jti`: they are kept for each connection, and name things in maps.
pub(super) const MAX_NAME_BYTES: usize = 256;

/// Where scopes are found: RFC 8693, section 4.2, and what common issuers do instead.
const SCOPE_CLAIMS: [&str; 3] = ["scope", "scp", "scopes"];

/// The end of the year 9999. A later `exp` means the same, and no clock's arithmetic overflows on it.
const LATEST: f64 = 253_402_300_799.0;

/// What a token is held against.
pub(super) struct Expected<'a> {
    pub auth: &'a AuthConfig,
    /// The address that the token is shown to, if it has to name that.
    pub resource: Option<&'a str>,
    /// Claims that the operator's rules look at.
    pub rule_claims: &'a BTreeSet<String>,
}

#[cfg(test)]
impl<'a> Expected<'a> {
    /// What the settings say, and nothing that rules look at.
    pub fn by(auth: &'a AuthConfig) -> Self {
        static NO_CLAIMS: BTreeSet<String> = BTreeSet::new();
        Self { auth, resource: None, rule_claims: &NO_CLAIMS }
    }
}

/// Checks the claims against the configuration at a time (Unix seconds), and reads the identity.
pub(super) fn principal(
    claims: &Map<String, Value>,
    expected: &Expected<'_>,
    now: u64,
) -> Result<Principal, Rejection> {
    let auth = expected.auth;
    let expires_at = check_times(claims, auth.leeway.as_secs(), now)?;
    check_issuer(claims, &auth.issuers)?;
    check_audience(claims, &auth.audiences, expected.resource)?;
    Ok(Principal {
        subject: name(claims, "sub")?.ok_or_else(|| missing("sub"))?,
        tenant: name(claims, &auth.tenant_claim)?,
        scopes: scopes(claims)?,
        claims_json: visible(claims, &auth.plugin_claims),
        expires_at,
        token_id: name(claims, "jti")?,
        issued_at: issued_at(claims)?,
        rule_claims: Arc::new(named(claims, expected.rule_claims)),
    })
}

fn check_times(claims: &Map<String, Value>, leeway: u64, now: u64) -> Result<u64, Rejection> {
    let expires_at = seconds(claims, "exp")?.ok_or_else(|| missing("exp"))?.floor();
    let not_before = seconds(claims, "nbf")?.unwrap_or(0.0).ceil();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "both lie between 0 and LATEST")]
    let (expires_at, not_before) = (expires_at as u64, not_before as u64);
    // RFC 7519, section 4.1.4: "on or after which" it is no longer accepted.
    if now >= expires_at.saturating_add(leeway) {
        return Err(Rejection::Expired);
    }
    if not_before > now.saturating_add(leeway) {
        return Err(Rejection::NotYetValid);
    }
    Ok(expires_at)
}

/// `iat`, rounded down.
fn issued_at(claims: &Map<String, Value>) -> Result<Option<u64>, Rejection> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it lies between 0 and LATEST")]
    Ok(seconds(claims, "iat")?.map(|seconds| seconds.floor() as u64))
}

/// A `NumericDate`, which may have a fraction.
fn seconds(claims: &Map<String, Value>, claim: &'static str) -> Result<Option<f64>, Rejection> {
    match claims.get(claim) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let seconds = value.as_f64().ok_or_else(|| invalid(claim, "must be a number of seconds"))?;
            Ok(Some(seconds.clamp(0.0, LATEST)))
        }
    }
}

fn check_issuer(claims: &Map<String, Value>, trusted: &[String]) -> Result<(), Rejection> {
    let issuer = claims.get("iss").and_then(Value::as_str);
    if trusted.is_empty() || issuer.is_some_and(|issuer| trusted.iter().any(|name| name == issuer)) {
        return Ok(());
    }
    Err(Rejection::Issuer)
}

/// The resource that is asked is one of our audiences (RFC 8707, section 2). Those that the operator lists are
/// others, for issuers that know this server by another name.
fn check_audience(claims: &Map<String, Value>, ours: &[String], resource: Option<&str>) -> Result<(), Rejection> {
    let is_ours = |value: &Value| {
        let names = ours.iter().map(String::as_str).chain(resource);
        value.as_str().is_some_and(|audience| names.into_iter().any(|name| name == audience))
    };
    let meant_for_us = match claims.get("aud") {
        Some(Value::Array(audiences)) => audiences.iter().any(is_ours),
        Some(audience) => is_ours(audience),
        None => false,
    };
    if (ours.is_empty() && resource.is_none()) || meant_for_us { Ok(()) } else { Err(Rejection::Audience) }
}

fn name(claims: &Map<String, Value>, claim: &str) -> Result<Option<String>, Rejection> {
    match claims.get(claim) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Err(invalid(claim, "is empty")),
        Some(Value::String(text)) if text.len() > MAX_NAME_BYTES => {
            Err(invalid(claim, &format!("has more than {MAX_NAME_BYTES} bytes")))
        }
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(invalid(claim, "must be a string")),
    }
}

/// The scopes of all claims that hold any, each once, in the order in which they stand.
fn scopes(claims: &Map<String, Value>) -> Result<Vec<String>, Rejection> {
    let mut scopes = Vec::new();
    for claim in SCOPE_CLAIMS {
        match claims.get(claim) {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) => scopes.extend(text.split_ascii_whitespace().map(str::to_owned)),
            Some(Value::Array(entries)) => {
                for entry in entries {
                    let scope = entry.as_str().ok_or_else(|| invalid(claim, "must hold strings only"))?;
                    scopes.extend(Some(scope).filter(|scope| !scope.is_empty()).map(str::to_owned));
                }
            }
            Some(_) => return Err(invalid(claim, "must be a string with spaces between scopes, or an array")),
        }
    }
    let mut seen = BTreeSet::new();
    scopes.retain(|scope| seen.insert(scope.clone()));
    Ok(scopes)
}

/// What plugins may see, as the text of an object.
fn visible(claims: &Map<String, Value>, allowed: &[String]) -> Arc<str> {
    let shown: Map<String, Value> =
        allowed.iter().filter_map(|claim| Some((claim.clone(), claims.get(claim)?.clone()))).collect();
    Value::Object(shown).to_string().into()
}

/// What rules look at. A claim that the token lacks is null here, so that it can be told from one that
/// no rule named when the token was read.
fn named(claims: &Map<String, Value>, names: &BTreeSet<String>) -> Map<String, Value> {
    names.iter().map(|name| (name.clone(), claims.get(name).cloned().unwrap_or_default())).collect()
}

fn missing(claim: &str) -> Rejection {
    invalid(claim, "is missing")
}

fn invalid(claim: &str, problem: &str) -> Rejection {
    Rejection::Claim { claim: claim.to_owned(), problem: problem.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;
    use switchboard_protocol::ErrorCode;

    use super::*;
    use crate::config::Config;

    const NOW: u64 = 1_000_000;

    fn auth() -> AuthConfig {
        let mut auth = Config::for_tests(std::path::Path::new("/nowhere")).auth;
        auth.leeway = Duration::from_secs(5);
        auth.tenant_claim = "org".to_owned();
        auth
    }

    fn read(claims: Value, auth: &AuthConfig) -> Result<Principal, ErrorCode> {
        let mut all = json!({"sub": "alice", "exp": NOW + 60});
        for (claim, value) in claims.as_object().unwrap() {
            all[claim] = value.clone();
        }
        read_for(None, &all, auth)
    }

    fn read_for(resource: Option<&str>, claims: &Value, auth: &AuthConfig) -> Result<Principal, ErrorCode> {
        let rule_claims = BTreeSet::from(["role".to_owned(), "absent".to_owned()]);
        let expected = Expected { auth, resource, rule_claims: &rule_claims };
        principal(claims.as_object().unwrap(), &expected, NOW).map_err(|rejection| rejection.code())
    }

    #[test]
    fn exp_and_nbf_are_exact_to_the_second_with_leeway() {
        for (claims, outcome) in [
            (json!({"exp": NOW + 1}), None),
            (json!({"exp": NOW}), None),
            (json!({"exp": NOW - 4}), None),
            (json!({"exp": NOW - 5}), Some(ErrorCode::JwtExpired)),
            (json!({"exp": NOW - 6}), Some(ErrorCode::JwtExpired)),
            (json!({"exp": 0}), Some(ErrorCode::JwtExpired)),
            (json!({"exp": -7}), Some(ErrorCode::JwtExpired)),
            (json!({"exp": 1e300}), None),
            (json!({"exp": 1_000_000.5}), None),
            (json!({"exp": null}), Some(ErrorCode::JwtClaimInvalid)),
            (json!({"exp": "1000060"}), Some(ErrorCode::JwtClaimInvalid)),
            (json!({"nbf": NOW}), None),
            (json!({"nbf": NOW + 5}), None),
            (json!({"nbf": NOW + 6}), Some(ErrorCode::JwtNotYetValid)),
            (json!({"nbf": "soon"}), Some(ErrorCode::JwtClaimInvalid)),
            (json!({"exp": NOW - 6, "nbf": NOW + 6}), Some(ErrorCode::JwtExpired)),
        ] {
            assert_eq!(read(claims.clone(), &auth()).err(), outcome, "{claims}");
        }
    }

    #[test]
    fn without_leeway_a_token_ends_at_exp() {
        let strict = AuthConfig { leeway: Duration::ZERO, ..auth() };
        assert_eq!(read(json!({"exp": NOW}), &strict), Err(ErrorCode::JwtExpired));
        assert!(read(json!({"exp": NOW + 1, "nbf": NOW}), &strict).is_ok());
        assert_eq!(read(json!({"nbf": NOW + 1}), &strict), Err(ErrorCode::JwtNotYetValid));
    }

    #[test]
    fn issuer_and_audience_are_checked_when_configured() {
        let open = auth();
        assert!(read(json!({"iss": "anyone", "aud": "anything"}), &open).is_ok());
        let strict =
            AuthConfig { issuers: vec!["i".into(), "j".into()], audiences: vec!["a".into(), "b".into()], ..open };
        for (claims, outcome) in [
            (json!({"iss": "j", "aud": "b"}), None),
            (json!({"iss": "i", "aud": ["x", "a"]}), None),
            (json!({"aud": "a"}), Some(ErrorCode::JwtIssuerInvalid)),
            (json!({"iss": "x", "aud": "a"}), Some(ErrorCode::JwtIssuerInvalid)),
            (json!({"iss": ["i"], "aud": "a"}), Some(ErrorCode::JwtIssuerInvalid)),
            (json!({"iss": "i"}), Some(ErrorCode::JwtAudienceInvalid)),
            (json!({"iss": "i", "aud": "x"}), Some(ErrorCode::JwtAudienceInvalid)),
            (json!({"iss": "i", "aud": []}), Some(ErrorCode::JwtAudienceInvalid)),
            (json!({"iss": "i", "aud": 7}), Some(ErrorCode::JwtAudienceInvalid)),
        ] {
            assert_eq!(read(claims.clone(), &strict).err(), outcome, "{claims}");
        }
    }

    #[test]
    fn a_resource_is_an_audience_beside_those_that_are_listed() {
        let open = auth();
        let listed = AuthConfig { audiences: vec!["a".into()], ..auth() };
        let ours = "https://example.com/mcp";
        for (auth, aud, good) in [
            (&open, json!(ours), true),
            (&open, json!(["x", ours]), true),
            (&open, json!("a"), false),
            (&open, Value::Null, false),
            (&open, json!("https://example.com/mcp/"), false),
            (&listed, json!(ours), true),
            (&listed, json!("a"), true),
            (&listed, json!("x"), false),
        ] {
            let claims = json!({"sub": "alice", "exp": NOW + 60, "aud": aud});
            assert_eq!(read_for(Some(ours), &claims, auth).is_ok(), good, "{claims}");
        }
        assert_eq!(read(json!({"aud": ours}), &listed), Err(ErrorCode::JwtAudienceInvalid), "at another door");
    }

    #[test]
    fn names_must_be_strings_of_a_sensible_length() {
        let long = "x".repeat(MAX_NAME_BYTES + 1);
        for claim in ["sub", "org", "jti"] {
            for value in [json!(""), json!(7), json!(["a"]), json!({}), json!(long)] {
                assert_eq!(read(json!({ claim: value }), &auth()), Err(ErrorCode::JwtClaimInvalid), "{claim}");
            }
            assert!(read(json!({ claim: "x".repeat(MAX_NAME_BYTES) }), &auth()).is_ok());
        }
        assert_eq!(read(json!({"sub": null}), &auth()), Err(ErrorCode::JwtClaimInvalid));
    }

    #[test]
    fn scopes_come_from_any_of_the_usual_claims() {
        for (claims, scopes) in [
            (json!({}), vec![]),
            (json!({"scope": "a  b a"}), vec!["a", "b"]),
            (json!({"scp": ["a", "b"]}), vec!["a", "b"]),
            (json!({"scp": "a b"}), vec!["a", "b"]),
            (json!({"scopes": ["a", ""]}), vec!["a"]),
            (json!({"scope": "a", "scp": ["a", "c"], "scopes": null}), vec!["a", "c"]),
        ] {
            assert_eq!(read(claims.clone(), &auth()).unwrap().scopes, scopes, "{claims}");
        }
        for claims in [json!({"scope": 7}), json!({"scp": [7]}), json!({"scopes": {}})] {
            assert_eq!(read(claims, &auth()), Err(ErrorCode::JwtClaimInvalid));
        }
    }

    #[test]
    fn rules_see_the_claims_that_they_name_and_that_a_claim_is_absent() {
        let alice = read(json!({"role": ["admin"], "plan": "free"}), &auth()).unwrap();
        assert_eq!(Value::Object((*alice.rule_claims).clone()), json!({"role": ["admin"], "absent": null}));
        assert_eq!(&*alice.claims_json, "{}");
    }

    #[test]
    fn plugins_see_the_claims_that_are_allowed_and_no_others() {
        let auth = AuthConfig { plugin_claims: vec!["plan".into(), "absent".into()], ..auth() };
        let alice = read(json!({"org": "acme", "plan": {"n": [1]}, "secret": 1, "jti": "7"}), &auth).unwrap();
        assert_eq!(&*alice.claims_json, r#"{"plan":{"n":[1]}}"#);
        assert_eq!((alice.tenant.as_deref(), alice.token_id.as_deref()), (Some("acme"), Some("7")));
        assert_eq!((alice.subject.as_str(), alice.expires_at), ("alice", NOW + 60));
    }
}
