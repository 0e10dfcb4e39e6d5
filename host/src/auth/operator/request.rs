//! What is asked for when a token is to be made.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Scope;

/// Names stand in audit events and in columns of a terminal.
const MAX_NAME_BYTES: usize = 64;

/// The body of `POST /tokens`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewToken {
    /// Who it is for; every change that is made with it bears this name. Letters, digits, `-`, `_` and `.`.
    pub name: String,
    pub scope: Scope,
    /// Seconds until it is no longer good; without it, it is good until it is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_s: Option<u64>,
}

/// A name that audit events could not bear.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is no name for a token: use 1 to {MAX_NAME_BYTES} letters, digits, `-`, `_` and `.`")]
pub(crate) struct NameFault(String);

impl NewToken {
    pub(super) fn check(&self) -> Result<(), NameFault> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let name = &self.name;
        if (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(plain) {
            return Ok(());
        }
        Err(NameFault(name.chars().take(MAX_NAME_BYTES).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_such_that_a_log_line_can_bear_them() {
        let check = |name: &str| NewToken { name: name.to_owned(), scope: Scope::Read, expires_in_s: None }.check();
        for name in ["ci", "alice.l", "Deploy-2_b", &"x".repeat(64)] {
            assert!(check(name).is_ok(), "{name}");
        }
        for name in ["", "a b", "a\n", "é", "a/b", &"x".repeat(65)] {
            assert!(check(name).is_err(), "{name}");
        }
    }
}
