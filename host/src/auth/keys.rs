//! Verification keys: where they come from, and the immutable snapshot that tokens are checked with.
//!
//! A key is bound to the algorithms of its own kind when it is read. A token's header selects among
//! them and can never make a key be used in another way: there is no confusing of a public RSA key
//! with a shared secret.
//!
//! Reading order: `material` (bytes to keys), `generated` (the key in the data folder), `remote` (a
//! JWKS by URL), `store` (the current snapshot, and its renewal).

use std::sync::Arc;

use jsonwebtoken::{Algorithm, DecodingKey};

use crate::config::KeySource;

mod generated;
mod material;
mod remote;
mod store;

pub(crate) use generated::{GeneratedKey, generated_key, key_exists};
pub(super) use store::KeyStore;

/// Largest key file or JWKS response. A JWKS of a hundred RSA keys with certificates has half of it.
const MAX_KEY_BYTES: usize = 512 * 1024;

/// Most keys of one source. A token without a `kid` is tried with each that fits its algorithm.
const MAX_KEYS: usize = 64;

/// Why a source gave no keys. Names the source, never what is in it.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("cannot take keys from {origin}: {problem}")]
pub(crate) struct KeyError {
    pub origin: String,
    pub problem: String,
}

/// A key, and all that it may verify.
#[derive(Debug, Clone)]
pub(super) struct VerificationKey {
    /// The `kid` of a JWK. Keys from elsewhere have none, and are tried with any token.
    pub id: Option<String>,
    /// For the audit: the `kid`, else the source.
    pub label: Arc<str>,
    /// Never empty, and all of one family: that of `decoding`.
    pub algorithms: Vec<Algorithm>,
    pub decoding: DecodingKey,
}

/// What one source gave when it was last read with success.
#[derive(Debug, Clone)]
struct SourceKeys {
    source: KeySource,
    /// Of the content, to notice changes. `None`: never read with success.
    digest: Option<[u8; 32]>,
    keys: Vec<VerificationKey>,
}

/// All keys at one moment.
#[derive(Debug, Clone, Default)]
pub(super) struct KeySet {
    sources: Vec<SourceKeys>,
}

impl KeySet {
    /// The keys to try, if `kid` names a known key only those of that name.
    pub fn candidates<'a>(
        &'a self,
        algorithm: Algorithm,
        kid: Option<&'a str>,
    ) -> impl Iterator<Item = &'a VerificationKey> {
        let named = kid.filter(|kid| self.knows(kid));
        self.keys()
            .filter(move |key| key.algorithms.contains(&algorithm))
            .filter(move |key| named.is_none() && (kid.is_none() || key.id.is_none()) || key.id.as_deref() == named)
    }

    /// Whether a key has this `kid`, for whatever algorithm.
    pub fn knows(&self, kid: &str) -> bool {
        self.keys().any(|key| key.id.as_deref() == Some(kid))
    }

    /// Whether each source has been read with success at least once. Until then, that a key is not
    /// found does not mean that it does not exist.
    pub fn is_complete(&self) -> bool {
        !self.sources.is_empty() && self.sources.iter().all(|source| source.digest.is_some())
    }

    fn keys(&self) -> impl Iterator<Item = &VerificationKey> {
        self.sources.iter().flat_map(|source| &source.keys)
    }
}

/// How a source is named in logs and errors. A URL is shown without what may hold secrets.
fn origin(source: &KeySource) -> String {
    match source {
        KeySource::Generated => "the generated key".to_owned(),
        KeySource::File(path) => format!("file {}", path.display()),
        KeySource::Environment(name) => format!("environment variable {name}"),
        KeySource::JwksUrl(url) => match reqwest::Url::parse(url) {
            Ok(url) => format!("{}{}", url.origin().ascii_serialization(), url.path()),
            Err(_) => "a JWKS URL that is none".to_owned(),
        },
    }
}

#[cfg(test)]
pub(super) use remote::tests as remote_tests;

#[cfg(test)]
impl KeySet {
    /// A complete set with one source.
    pub fn of(content: &[u8]) -> Self {
        let source = KeySource::Environment("TEST".to_owned());
        let keys = material::read(content, &origin(&source), material::Trust::Local).unwrap().keys;
        Self { sources: vec![SourceKeys { source, digest: Some([0; 32]), keys }] }
    }
}
