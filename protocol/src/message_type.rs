//! The name of a kind of message, checked once and trusted afterwards.

use std::{borrow::Borrow, fmt, sync::Arc};

use serde::{Deserialize, Serialize};

/// 1 to 128 characters of `a-z 0-9 _ . -`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct MessageType(Arc<str>);

impl MessageType {
    /// The longest name, in characters.
    pub const MAX_LENGTH: usize = 128;

    /// Checks a name.
    ///
    /// # Errors
    ///
    /// When it is empty, too long, or holds a character that is not allowed.
    pub fn parse(name: &str) -> Result<Self, InvalidMessageType> {
        if name.is_empty() {
            return Err(InvalidMessageType::Empty);
        }
        if let Some(culprit) = name.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '_' | '.' | '-')) {
            return Err(InvalidMessageType::Character(culprit));
        }
        if name.len() > Self::MAX_LENGTH {
            return Err(InvalidMessageType::TooLong(name.len()));
        }
        Ok(Self(name.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the type belongs to the host, so that no plugin can claim or send it.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        RESERVED.contains(&self.as_str())
    }
}

/// The types that belong to the host.
const RESERVED: &[&str] = &[
    "ack",
    "connection_established",
    "error",
    "heartbeat",
    "presence_joined",
    "presence_left",
    "reconnect",
    "refresh_token",
    "replay_complete",
    "resume",
    "resume_failed",
    "resumed",
    "token_expiring",
    "token_refreshed",
];

/// Why a name is not a message type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InvalidMessageType {
    /// It has no characters.
    Empty,
    /// It has this many characters.
    TooLong(usize),
    /// It holds this character.
    Character(char),
}

impl fmt::Display for InvalidMessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "it is empty"),
            Self::TooLong(length) => {
                write!(f, "it has {length} characters, and {} are allowed", MessageType::MAX_LENGTH)
            }
            Self::Character(c) => write!(f, "it holds {c:?}, and only a-z 0-9 _ . - are allowed"),
        }
    }
}

impl std::error::Error for InvalidMessageType {}

impl TryFrom<String> for MessageType {
    type Error = InvalidMessageType;
    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::parse(&name)
    }
}

impl From<MessageType> for String {
    fn from(name: MessageType) -> Self {
        name.as_str().to_owned()
    }
}

impl Borrow<str> for MessageType {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_within_the_alphabet_and_length_are_accepted() {
        for name in ["a", "user_message", "chat.room-1", &"x".repeat(128)] {
            assert!(MessageType::parse(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn other_names_are_refused_with_the_culprit() {
        assert_eq!(MessageType::parse(""), Err(InvalidMessageType::Empty));
        assert_eq!(MessageType::parse("Ping"), Err(InvalidMessageType::Character('P')));
        assert_eq!(MessageType::parse("a b"), Err(InvalidMessageType::Character(' ')));
        assert_eq!(MessageType::parse("é"), Err(InvalidMessageType::Character('é')));
        assert_eq!(MessageType::parse(&"x".repeat(129)), Err(InvalidMessageType::TooLong(129)));
    }
}
