//! How a plugin says no. An [`Error`] becomes a message of type `error` at the caller.

use std::{fmt, time::Duration};

use crate::bindings::switchboard::plugin::types::Refusal;

/// A polite "no" with everything that the caller needs to do better.
///
/// It is recoverable unless [`Error::permanent`] says otherwise: the same client can succeed later, or with a
/// corrected request.
///
/// ```
/// use std::time::Duration;
/// use switchboard_sdk::Error;
///
/// let full = Error::new("ROOM_FULL", "the room \"lobby\" has 50 members, and 50 are allowed")
///     .help("leave another room first, or try again later")
///     .retry_after(Duration::from_secs(5));
/// assert_eq!(full.to_string(), "ROOM_FULL: the room \"lobby\" has 50 members, and 50 are allowed");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// `UPPER_SNAKE_CASE`, at most 64 characters.
    pub code: String,
    /// One sentence: what was wrong, and where.
    pub message: String,
    /// Whether the same client can succeed later or with a corrected request.
    pub recoverable: bool,
    /// What to do about it.
    pub help: Option<String>,
    /// When a repeat makes sense.
    pub retry_after: Option<Duration>,
}

impl Error {
    /// The longest code, in characters: longer ones, and other characters than `A-Z 0-9 _`, the host
    /// does not let through.
    pub const MAX_CODE_LENGTH: usize = 64;

    /// A recoverable error.
    #[must_use]
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), recoverable: true, help: None, retry_after: None }
    }

    /// `PAYLOAD_INVALID`, as the host itself says it when a payload does not fit its schema. `path` is
    /// that of the culprit: `items[3].name`.
    #[must_use]
    pub fn invalid_payload(path: &str, problem: impl fmt::Display) -> Self {
        let place = if matches!(path, "" | ".") { "the payload".to_owned() } else { format!("`{path}`") };
        Self::new("PAYLOAD_INVALID", format!("{place}: {problem}"))
    }

    /// `FORBIDDEN`: this caller may not do that.
    #[must_use]
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new("FORBIDDEN", message).permanent()
    }

    /// `RESOURCE_NOT_FOUND`: the plugin offers no resource with this URI.
    #[must_use]
    pub fn resource_not_found(uri: &str) -> Self {
        Self::new("RESOURCE_NOT_FOUND", format!("there is no resource {uri:?}"))
    }

    /// `INTERNAL`: the plugin's own fault, which the caller cannot correct.
    #[must_use]
    pub fn internal(message: impl fmt::Display) -> Self {
        Self::new("INTERNAL", message.to_string())
    }

    /// Says what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says when a repeat makes sense.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Says that no repeat can succeed.
    #[must_use]
    pub fn permanent(mut self) -> Self {
        self.recoverable = false;
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Error {}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self {
            code: error.code,
            message: error.message,
            recoverable: error.recoverable,
            help: error.help,
            retry_after_ms: error.retry_after.map(|wait| u32::try_from(wait.as_millis()).unwrap_or(u32::MAX)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_becomes_a_refusal_with_nothing_lost() {
        let error = Error::new("ROOM_FULL", "no").help("wait").retry_after(Duration::from_millis(1500)).permanent();
        let refusal = Refusal::from(error);
        assert_eq!((refusal.code.as_str(), refusal.message.as_str()), ("ROOM_FULL", "no"));
        assert_eq!((refusal.recoverable, refusal.retry_after_ms), (false, Some(1500)));
        assert_eq!(refusal.help.as_deref(), Some("wait"));
    }

    #[test]
    fn a_very_long_wait_does_not_overflow() {
        let refusal = Refusal::from(Error::new("X", "").retry_after(Duration::MAX));
        assert_eq!(refusal.retry_after_ms, Some(u32::MAX));
    }

    #[test]
    fn an_invalid_payload_names_the_path() {
        assert_eq!(Error::invalid_payload("a[1].b", "must be a number").message, "`a[1].b`: must be a number");
        assert_eq!(Error::invalid_payload(".", "missing field `a`").message, "the payload: missing field `a`");
    }
}
