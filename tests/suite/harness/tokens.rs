//! Tokens, signed with a secret that the test servers are configured with.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Map, Value, json};

/// The HS256 secret of test servers.
pub const SECRET: &[u8] = b"a secret of 32 bytes, for tests.";

/// A token for a user that is good for an hour.
pub fn token(subject: &str) -> String {
    Claims::of(subject).sign()
}

pub fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_secs()
}

/// Claims, changed one by one, then signed.
#[derive(Clone)]
pub struct Claims(Map<String, Value>);

impl Claims {
    pub fn of(subject: &str) -> Self {
        let claims = json!({ "sub": subject, "exp": unix_now() + 3600 });
        Self(claims.as_object().expect("an object").clone())
    }

    pub fn with(mut self, claim: &str, value: impl Into<Value>) -> Self {
        self.0.insert(claim.to_owned(), value.into());
        self
    }

    pub fn without(mut self, claim: &str) -> Self {
        self.0.remove(claim);
        self
    }

    pub fn sign(&self) -> String {
        self.sign_with(Header::new(Algorithm::HS256), &EncodingKey::from_secret(SECRET))
    }

    pub fn sign_with(&self, header: Header, key: &EncodingKey) -> String {
        jsonwebtoken::encode(&header, &self.0, key).expect("the key fits the algorithm")
    }
}
