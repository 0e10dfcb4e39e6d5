//! All tokens as one value that is never changed: a check is one look-up in it, a change makes the next.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{MAX_TOKENS, Scope, TokenFault};
use crate::auth::revocation::Moment;

/// A token without what makes it one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct TokenSummary {
    pub name: String,
    pub scope: Scope,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Moment,
    /// From then on it is refused; without it, it is good until it is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Moment>,
}

/// By the SHA-256 of each token, in hex.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Book(HashMap<String, TokenSummary>);

impl TokenSummary {
    fn is_good(&self, now: u64) -> bool {
        self.expires_at.is_none_or(|end| now < end.as_unix())
    }

    /// Whether it can make others for as long as nobody revokes it.
    fn keeps_the_door_open(&self) -> bool {
        self.scope == Scope::Admin && self.expires_at.is_none()
    }
}

impl Book {
    pub fn get(&self, digest: &str, now: u64) -> Option<&TokenSummary> {
        self.0.get(digest).filter(|token| token.is_good(now))
    }

    pub fn add(&mut self, digest: String, token: TokenSummary) -> Result<(), TokenFault> {
        if self.0.values().any(|other| other.name == token.name) {
            return Err(TokenFault::Taken(token.name));
        }
        if self.0.len() >= MAX_TOKENS {
            return Err(TokenFault::Full);
        }
        self.0.insert(digest, token);
        Ok(())
    }

    /// Refuses to take the last one by which more can be made.
    pub fn remove(&mut self, name: &str, now: u64) -> Result<(String, TokenSummary), TokenFault> {
        let found = self.0.iter().find(|(_, token)| token.name == name && token.is_good(now));
        let digest = found.map(|(digest, _)| digest.clone()).ok_or_else(|| TokenFault::Unknown(name.to_owned()))?;
        let stay = self.0.iter().filter(|(other, token)| **other != digest && token.keeps_the_door_open()).count();
        match self.0.remove(&digest) {
            Some(token) if token.keeps_the_door_open() && stay == 0 => {
                let name = token.name.clone();
                self.0.insert(digest, token);
                Err(TokenFault::Last(name))
            }
            Some(token) => Ok((digest, token)),
            None => Err(TokenFault::Unknown(name.to_owned())),
        }
    }

    pub fn forget_expired(&mut self, now: u64) {
        self.0.retain(|_, token| token.is_good(now));
    }

    pub fn sorted(&self, now: u64) -> Vec<TokenSummary> {
        let mut all: Vec<_> = self.0.values().filter(|token| token.is_good(now)).cloned().collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }

    pub fn rows(&self) -> impl Iterator<Item = (&String, &TokenSummary)> {
        self.0.iter()
    }
}
