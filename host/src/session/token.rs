//! The secret that a session is resumed with. The host keeps what it can be recognised by, never the
//! token itself: neither its memory nor its files are good for taking a session over.

use std::fmt::Write as _;

use rand::Rng as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// As many bits as nobody guesses.
const TOKEN_BYTES: usize = 24;

/// SHA-256 of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TokenDigest([u8; 32]);

impl TokenDigest {
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }
}

/// A new token, `rt_` and hexadecimal digits.
pub(crate) fn new_token() -> String {
    let mut bytes = [0_u8; TOKEN_BYTES];
    rand::rng().fill(&mut bytes);
    bytes.iter().fold(String::from("rt_"), |mut token, byte| {
        // Writing to a String cannot fail.
        let _ = write!(token, "{byte:02x}");
        token
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ_and_are_recognised() {
        let (one, two) = (new_token(), new_token());
        assert_eq!(one.len(), 3 + 2 * TOKEN_BYTES);
        assert_eq!(TokenDigest::of(&one), TokenDigest::of(&one));
        assert_ne!(TokenDigest::of(&one), TokenDigest::of(&two));
    }
}
