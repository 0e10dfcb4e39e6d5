//! A token in the clear, which exists while it is made, shown or checked, and is never logged.

use std::io;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::{TryRngCore as _, rngs::OsRng};
use sha2::{Digest as _, Sha256};

/// Tells people and secret scanners what it is.
const PREFIX: &str = "sba_";

/// 256 bits: nobody guesses one, so that a fast hash is enough to store it.
const BYTES: usize = 32;

/// `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    pub fn random() -> io::Result<Self> {
        let mut bytes = [0; BYTES];
        OsRng.try_fill_bytes(&mut bytes).map_err(io::Error::other)?;
        Ok(Self(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))))
    }

    /// `None` if it cannot be one, such as a user's token that went the wrong way.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX)?).ok()?;
        (bytes.len() == BYTES).then(|| Self(text.to_owned()))
    }

    pub fn text(&self) -> &str {
        &self.0
    }

    /// SHA-256, in hex.
    pub fn digest(&self) -> String {
        format!("{:x}", Sha256::digest(self.0.as_bytes()))
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_are_alike_and_each_is_read_back() {
        let (one, other) = (Secret::random().unwrap(), Secret::random().unwrap());
        assert_ne!(one, other);
        assert_ne!(one.digest(), other.digest());
        assert_eq!(Secret::parse(one.text()), Some(one.clone()));
        assert_eq!(format!("{one:?}"), "Secret");
    }

    #[test]
    fn what_cannot_be_one_is_told_apart_without_a_look_up() {
        let good = Secret::random().unwrap();
        for text in ["", "sba_", "eyJhbGciOi.J9.x", &good.text()[4..], &format!("{}A", good.text()), "sba_é"] {
            assert_eq!(Secret::parse(text), None, "{text}");
        }
    }
}
