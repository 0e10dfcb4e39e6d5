//! Whether a token is genuine: its form, its algorithm, its signature, then its claims, in this order.
//!
//! Pure: keys, configuration and time are handed in. No error holds a part of the token.

use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, crypto};
use serde::Deserialize;
use serde_json::{Map, Value};
use switchboard_protocol::ErrorCode;

use super::{
    Principal,
    claims::{self, Expected},
    keys::{KeySet, VerificationKey},
};

/// Longest token. Those of large issuers, with a list of groups, have up to 8 KiB; HTTP headers of
/// common proxies end there.
pub(super) const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// A token that is genuine.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Verified {
    pub principal: Principal,
    /// Which key it was, as the server names it.
    pub key: Arc<str>,
}

/// Why a token is not accepted.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub(super) enum Rejection {
    #[error("the token {0}")]
    Format(&'static str),
    #[error("the token's algorithm is not among those that this server allows: {0}")]
    Algorithm(String),
    /// Perhaps the key is so new that the server has not seen it.
    #[error("the token is signed with a key that this server does not know")]
    KeyUnknown,
    #[error("the token's signature does not fit")]
    Signature,
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet")]
    NotYetValid,
    #[error("the token's `iss` is not an issuer that this server trusts")]
    Issuer,
    #[error("the token's `aud` does not name this server")]
    Audience,
    #[error("the token's claim `{claim}` {problem}")]
    Claim { claim: String, problem: String },
}

impl Rejection {
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Format(_) => ErrorCode::JwtFormatInvalid,
            Self::Algorithm(_) => ErrorCode::JwtAlgorithmRefused,
            Self::KeyUnknown | Self::Signature => ErrorCode::JwtSignatureInvalid,
            Self::Expired => ErrorCode::JwtExpired,
            Self::NotYetValid => ErrorCode::JwtNotYetValid,
            Self::Issuer => ErrorCode::JwtIssuerInvalid,
            Self::Audience => ErrorCode::JwtAudienceInvalid,
            Self::Claim { .. } => ErrorCode::JwtClaimInvalid,
        }
    }
}

/// Checks a token in compact form (RFC 7515, section 7.1) at a time (Unix seconds).
pub(super) fn verify(token: &str, expected: &Expected<'_>, keys: &KeySet, now: u64) -> Result<Verified, Rejection> {
    let parts = Parts::of(token)?;
    let header = parts.header()?;
    let algorithm = header.algorithm(&expected.auth.algorithms)?;
    let key = signer(&parts, algorithm, header.kid.as_deref(), keys)?;
    let claims = parts.claims()?;
    Ok(Verified { principal: claims::principal(&claims, expected, now)?, key: Arc::clone(&key.label) })
}

/// The key that made the signature.
fn signer<'a>(
    parts: &Parts<'_>,
    algorithm: Algorithm,
    kid: Option<&'a str>,
    keys: &'a KeySet,
) -> Result<&'a VerificationKey, Rejection> {
    let mut tried = false;
    for key in keys.candidates(algorithm, kid) {
        tried = true;
        if crypto::verify(parts.signature, parts.signed.as_bytes(), &key.decoding, algorithm).unwrap_or(false) {
            return Ok(key);
        }
    }
    match kid {
        Some(kid) if keys.knows(kid) => Err(Rejection::Signature),
        None if tried => Err(Rejection::Signature),
        _ => Err(Rejection::KeyUnknown),
    }
}

/// A token in its three parts.
struct Parts<'token> {
    header: &'token str,
    payload: &'token str,
    signature: &'token str,
    /// Header and payload with the dot between them.
    signed: &'token str,
}

impl<'token> Parts<'token> {
    fn of(token: &'token str) -> Result<Self, Rejection> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Rejection::Format("is too long"));
        }
        let three_parts = || Rejection::Format("does not have three parts with dots between them");
        let (signed, signature) = token.rsplit_once('.').ok_or_else(three_parts)?;
        let (header, payload) = signed.split_once('.').ok_or_else(three_parts)?;
        if payload.contains('.') {
            return Err(three_parts());
        }
        Ok(Self { header, payload, signature, signed })
    }

    fn header(&self) -> Result<Header, Rejection> {
        let json = decoded(self.header).ok_or(Rejection::Format("has a header that is not base64url"))?;
        let header: Header = serde_json::from_slice(&json)
            .map_err(|_| Rejection::Format("has a header that is not a JSON object with an `alg`"))?;
        // RFC 7515, section 4.1.11: what is critical and not understood must be refused; nothing is.
        if header.crit.is_some() {
            return Err(Rejection::Format("has critical header parameters, and none are supported"));
        }
        Ok(header)
    }

    fn claims(&self) -> Result<Map<String, Value>, Rejection> {
        let json = decoded(self.payload).ok_or(Rejection::Format("has a payload that is not base64url"))?;
        serde_json::from_slice(&json).map_err(|_| Rejection::Format("has a payload that is not a JSON object"))
    }
}

fn decoded(part: &str) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(part).ok()
}

/// What is used of the header. Above all, no key that it may bring (`jwk`, `jku`, `x5c`) is looked at.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    /// Present means present, even as `null`.
    #[serde(default, deserialize_with = "present")]
    crit: Option<Value>,
}

fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

impl Header {
    /// `none` and whatever else is not implemented is like anything that is not on the list.
    fn algorithm(&self, allowed: &[Algorithm]) -> Result<Algorithm, Rejection> {
        self.alg.parse().ok().filter(|algorithm| allowed.contains(algorithm)).ok_or_else(|| {
            let names: Vec<_> = allowed.iter().map(|algorithm| format!("{algorithm:?}")).collect();
            Rejection::Algorithm(names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{AlgorithmFamily, EncodingKey};
    use serde_json::json;

    use super::*;
    use crate::config::{AuthConfig, Config};

    const NOW: u64 = 1_000_000;
    const SECRET: &[u8] = b"a shared secret of more than 32 bytes";
    const RSA_PUBLIC: &str = include_str!("test_keys/rsa.public.pem");

    const ALL: [Algorithm; 12] = [
        Algorithm::HS256,
        Algorithm::HS384,
        Algorithm::HS512,
        Algorithm::RS256,
        Algorithm::RS384,
        Algorithm::RS512,
        Algorithm::PS256,
        Algorithm::PS384,
        Algorithm::PS512,
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::EdDSA,
    ];

    fn auth(algorithms: &[Algorithm]) -> AuthConfig {
        AuthConfig { algorithms: algorithms.to_vec(), ..Config::for_tests(std::path::Path::new("/nowhere")).auth }
    }

    fn signing_key(algorithm: Algorithm) -> EncodingKey {
        let key = match algorithm {
            Algorithm::ES256 => EncodingKey::from_ec_pem(include_bytes!("test_keys/p256.private.pem")),
            Algorithm::ES384 => EncodingKey::from_ec_pem(include_bytes!("test_keys/p384.private.pem")),
            Algorithm::EdDSA => EncodingKey::from_ed_pem(include_bytes!("test_keys/ed25519.private.pem")),
            other if other.family() == AlgorithmFamily::Rsa => {
                EncodingKey::from_rsa_pem(include_bytes!("test_keys/rsa.private.pem"))
            }
            _ => Ok(EncodingKey::from_secret(SECRET)),
        };
        key.unwrap()
    }

    fn public_key(algorithm: Algorithm) -> &'static [u8] {
        match algorithm.family() {
            AlgorithmFamily::Hmac => SECRET,
            AlgorithmFamily::Rsa => RSA_PUBLIC.as_bytes(),
            AlgorithmFamily::Ed => include_bytes!("test_keys/ed25519.public.pem"),
            AlgorithmFamily::Ec if algorithm == Algorithm::ES256 => include_bytes!("test_keys/p256.public.pem"),
            AlgorithmFamily::Ec => include_bytes!("test_keys/p384.public.pem"),
        }
    }

    fn encoded(header: &Value, claims: &Value, key: &EncodingKey, algorithm: Algorithm) -> String {
        let signed = [header, claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
        let signature = crypto::sign(signed.as_bytes(), key, algorithm).unwrap();
        format!("{signed}.{signature}")
    }

    fn claims() -> Value {
        json!({"sub": "alice", "exp": NOW + 60})
    }

    fn token(algorithm: Algorithm, extra: Value) -> String {
        let mut header = json!({"typ": "JWT", "alg": format!("{algorithm:?}")});
        for (name, value) in extra.as_object().unwrap() {
            header[name] = value.clone();
        }
        encoded(&header, &claims(), &signing_key(algorithm), algorithm)
    }

    fn outcome(token: &str, auth: &AuthConfig, keys: &KeySet) -> Result<String, ErrorCode> {
        verify(token, &Expected::by(auth), keys, NOW)
            .map(|token| token.principal.subject)
            .map_err(|rejection| rejection.code())
    }

    #[test]
    fn every_algorithm_verifies_with_its_own_key_and_no_other() {
        for signed in ALL {
            let token = token(signed, json!({}));
            for offered in ALL {
                let keys = KeySet::of(public_key(offered));
                let result = outcome(&token, &auth(&ALL), &keys);
                let same = public_key(signed) == public_key(offered);
                let expected = if same { Ok("alice".to_owned()) } else { Err(ErrorCode::JwtSignatureInvalid) };
                assert_eq!(result, expected, "{signed:?} with the key for {offered:?}");
            }
        }
    }

    #[test]
    fn an_algorithm_that_is_not_allowed_is_refused_even_with_the_right_key() {
        for signed in ALL {
            let others: Vec<_> = ALL.into_iter().filter(|algorithm| *algorithm != signed).collect();
            let result = outcome(&token(signed, json!({})), &auth(&others), &KeySet::of(public_key(signed)));
            assert_eq!(result, Err(ErrorCode::JwtAlgorithmRefused), "{signed:?}");
        }
    }

    #[test]
    fn none_and_unknown_algorithms_are_refused_with_and_without_a_signature() {
        for name in ["none", "None", "NONE", "", "ES512", "ES256K", "hs256", "HS1"] {
            let signed = encoded(&json!({"alg": name}), &claims(), &signing_key(Algorithm::HS256), Algorithm::HS256);
            let bare = format!("{}.", signed.rsplit_once('.').unwrap().0);
            for token in [signed, bare] {
                let result = outcome(&token, &auth(&ALL), &KeySet::of(SECRET));
                assert_eq!(result, Err(ErrorCode::JwtAlgorithmRefused), "{name:?}");
            }
        }
    }

    #[test]
    fn a_public_key_is_never_a_shared_secret() {
        for secret in [RSA_PUBLIC, RSA_PUBLIC.trim_end(), include_str!("test_keys/rsa.pkcs1.public.pem")] {
            for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
                let key = EncodingKey::from_secret(secret.as_bytes());
                let header = json!({"alg": format!("{algorithm:?}")});
                let token = encoded(&header, &claims(), &key, algorithm);
                let result = outcome(&token, &auth(&ALL), &KeySet::of(RSA_PUBLIC.as_bytes()));
                assert_eq!(result, Err(ErrorCode::JwtSignatureInvalid), "{algorithm:?}");
            }
        }
    }

    #[test]
    fn a_key_in_the_header_is_not_looked_at() {
        let header = json!({
            "alg": "HS256", "jku": "https://evil.example/keys", "x5c": ["AAAA"],
            "jwk": {"kty": "oct", "k": BASE64_URL_SAFE_NO_PAD.encode([7; 32])},
        });
        let token = encoded(&header, &claims(), &EncodingKey::from_secret(&[7; 32]), Algorithm::HS256);
        assert_eq!(outcome(&token, &auth(&ALL), &KeySet::of(SECRET)), Err(ErrorCode::JwtSignatureInvalid));
    }

    #[test]
    fn what_is_not_a_signed_jwt_is_a_format_fault() {
        let good = token(Algorithm::HS256, json!({}));
        let [header, payload, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
        let b64 = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
        let key = signing_key(Algorithm::HS256);
        for token in [
            String::new(),
            "a".to_owned(),
            "a.b".to_owned(),
            "..".to_owned(),
            format!("{good}.x"),
            format!("{good}.x.y"),
            format!("{header}=.{payload}.{signature}"),
            format!("{}.{payload}.{signature}", b64("nope")),
            format!("{}.{payload}.{signature}", b64("[]")),
            format!("{}.{payload}.{signature}", b64("{}")),
            format!("{}.{payload}.{signature}", b64(r#"{"alg":7}"#)),
            format!("{}.{payload}.{signature}", b64(r#"{"alg":"HS256","kid":7}"#)),
            format!("{}.{payload}.{signature}", b64(r#"{"alg":"HS256","alg":"none"}"#)),
            "x".repeat(MAX_TOKEN_BYTES + 1),
            encoded(&json!({"alg": "HS256", "crit": ["b64"], "b64": false}), &claims(), &key, Algorithm::HS256),
            encoded(&json!({"alg": "HS256", "crit": null}), &claims(), &key, Algorithm::HS256),
            encoded(&json!({"alg": "HS256"}), &json!("text"), &key, Algorithm::HS256),
        ] {
            let result = outcome(&token, &auth(&ALL), &KeySet::of(SECRET));
            assert_eq!(result, Err(ErrorCode::JwtFormatInvalid), "{token}");
        }
    }

    #[test]
    fn a_changed_token_does_not_verify() {
        let good = token(Algorithm::HS256, json!({}));
        let (signed, signature) = good.rsplit_once('.').unwrap();
        let (header, _) = signed.split_once('.').unwrap();
        let forged = BASE64_URL_SAFE_NO_PAD.encode(json!({"sub": "mallory", "exp": NOW + 60}).to_string());
        for token in [
            format!("{header}.{forged}.{signature}"),
            format!("{signed}."),
            format!("{signed}.!!!"),
            format!("{signed}.{}", &signature[1..]),
        ] {
            let result = outcome(&token, &auth(&ALL), &KeySet::of(SECRET));
            assert_eq!(result, Err(ErrorCode::JwtSignatureInvalid), "{token}");
        }
    }

    #[test]
    fn kid_selects_the_key_and_an_unknown_one_is_told_apart() {
        let oct =
            |kid: &str, secret: &[u8]| json!({"kty": "oct", "kid": kid, "k": BASE64_URL_SAFE_NO_PAD.encode(secret)});
        let keys = KeySet::of(json!({"keys": [oct("old", &[7; 32]), oct("new", SECRET)]}).to_string().as_bytes());
        let auth = auth(&ALL);
        for (header, expected) in [
            (json!({"kid": "new"}), Ok(())),
            (json!({}), Ok(())),
            (json!({"kid": "old"}), Err(Rejection::Signature)),
            (json!({"kid": "unheard"}), Err(Rejection::KeyUnknown)),
        ] {
            let result = verify(&token(Algorithm::HS256, header.clone()), &Expected::by(&auth), &keys, NOW).map(|_| ());
            assert_eq!(result, expected, "{header}");
        }
        let verified =
            verify(&token(Algorithm::HS256, json!({"kid": "new"})), &Expected::by(&auth), &keys, NOW).unwrap();
        assert_eq!(&*verified.key, "new");
        let foreign = verify(&token(Algorithm::ES256, json!({"kid": "new"})), &Expected::by(&auth), &keys, NOW);
        assert_eq!(foreign, Err(Rejection::Signature), "the key is known, and for another algorithm");
    }

    #[test]
    fn a_key_without_a_name_is_tried_with_any_token() {
        let keys = KeySet::of(SECRET);
        assert!(
            verify(&token(Algorithm::HS256, json!({"kid": "whatever"})), &Expected::by(&auth(&ALL)), &keys, NOW)
                .is_ok()
        );
    }

    #[test]
    fn the_signature_is_checked_before_the_claims() {
        let expired = json!({"sub": "alice", "exp": 1});
        let forged = encoded(&json!({"alg": "HS256"}), &expired, &EncodingKey::from_secret(&[7; 32]), Algorithm::HS256);
        assert_eq!(outcome(&forged, &auth(&ALL), &KeySet::of(SECRET)), Err(ErrorCode::JwtSignatureInvalid));
        let genuine = encoded(&json!({"alg": "HS256"}), &expired, &signing_key(Algorithm::HS256), Algorithm::HS256);
        assert_eq!(outcome(&genuine, &auth(&ALL), &KeySet::of(SECRET)), Err(ErrorCode::JwtExpired));
    }
}
