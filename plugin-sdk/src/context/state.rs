//! What a plugin remembers: the interface `state`.

use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};

use crate::{Context, Error, host};

pub use crate::bindings::switchboard::plugin::state::{Scope, StateError};

/// One scope of the plugin's memory; see [`Context::state`].
///
/// Keys are 1 to 256 bytes and live under the plugin and the scope: no other plugin can name them, and no
/// other user's call those of scope [`Scope::User`]. All methods fail with `STATE_KEY_INVALID`,
/// `STATE_QUOTA_EXCEEDED`, `LIMIT_EXCEEDED` or `INTERNAL`.
#[derive(Debug, Clone, Copy)]
pub struct State<'a> {
    #[allow(dead_code, reason = "ties the handle to the call")]
    ctx: &'a Context,
    scope: Scope,
}

impl<'a> State<'a> {
    pub(super) fn new(ctx: &'a Context, scope: Scope) -> Self {
        Self { ctx, scope }
    }

    /// A value that was stored as JSON; none if there is none.
    ///
    /// # Errors
    ///
    /// See [`State`]; `STATE_MALFORMED` if what is there is not a `T`.
    pub fn get<T: DeserializeOwned>(self, key: &str) -> Result<Option<T>, Error> {
        let Some(bytes) = self.get_bytes(key)? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|fault| {
            Error::new("STATE_MALFORMED", format!("the entry {key:?} is not what this version expects: {fault}"))
        })
    }

    /// Stores a value as JSON.
    ///
    /// # Errors
    ///
    /// See [`State`].
    pub fn set<T: Serialize + ?Sized>(self, key: &str, value: &T) -> Result<(), Error> {
        self.set_bytes(key, &to_bytes(value)?, None)
    }

    /// Stores a value as JSON for a while.
    ///
    /// # Errors
    ///
    /// See [`State`].
    pub fn set_for<T: Serialize + ?Sized>(self, key: &str, value: &T, lifetime: Duration) -> Result<(), Error> {
        self.set_bytes(key, &to_bytes(value)?, Some(lifetime))
    }

    /// The bytes of an entry.
    ///
    /// # Errors
    ///
    /// See [`State`].
    pub fn get_bytes(self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        Ok(host::state::get(self.scope, key)?)
    }

    /// Stores bytes; without a lifetime they stay.
    ///
    /// # Errors
    ///
    /// See [`State`].
    pub fn set_bytes(self, key: &str, value: &[u8], lifetime: Option<Duration>) -> Result<(), Error> {
        Ok(host::state::set(self.scope, key, value, lifetime.map(milliseconds))?)
    }

    /// Returns whether there was something to delete.
    ///
    /// # Errors
    ///
    /// See [`State`].
    pub fn delete(self, key: &str) -> Result<bool, Error> {
        Ok(host::state::delete(self.scope, key)?)
    }

    /// Adds to a whole number, which starts at 0, and returns the sum. No other call comes in between.
    ///
    /// # Errors
    ///
    /// See [`State`]; `STATE_NOT_A_NUMBER` if something else is there.
    pub fn increment(self, key: &str, by: i64) -> Result<i64, Error> {
        Ok(host::state::increment(self.scope, key, by)?)
    }

    /// Replaces the bytes only if they are still `expected` (none: only if there is no entry). Returns whether it
    /// did. No other call comes in between.
    ///
    /// # Errors
    ///
    /// See [`State`].
    pub fn compare_and_set(
        self,
        key: &str,
        expected: Option<&[u8]>,
        value: &[u8],
        lifetime: Option<Duration>,
    ) -> Result<bool, Error> {
        Ok(host::state::compare_and_set(self.scope, key, expected, value, lifetime.map(milliseconds))?)
    }
}

fn to_bytes<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value).map_err(Error::internal)
}

fn milliseconds(lifetime: Duration) -> u64 {
    u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX)
}

impl From<StateError> for Error {
    fn from(error: StateError) -> Self {
        match error {
            StateError::Invalid(text) => Self::new("STATE_KEY_INVALID", text),
            StateError::QuotaExceeded(text) => Self::new("STATE_QUOTA_EXCEEDED", text),
            StateError::NotANumber => Self::new("STATE_NOT_A_NUMBER", "the entry is not a whole number"),
            StateError::LimitExceeded(text) => Self::new("LIMIT_EXCEEDED", text),
            StateError::Other(text) => Self::internal(text),
        }
    }
}
