//! Text that only this plugin can read again, for the same user: the interface `seals`.

use std::time::Duration;

use crate::{Context, Error, host};

pub use crate::bindings::switchboard::plugin::seals::SealError;

/// Text that only this plugin can read again; see [`Context::seals`].
#[derive(Debug, Clone, Copy)]
pub struct Seals<'a>(#[allow(dead_code, reason = "ties the handle to the call")] &'a Context);

impl<'a> Seals<'a> {
    pub(super) fn new(ctx: &'a Context) -> Self {
        Self(ctx)
    }

    /// Encrypts and authenticates content, at most 64 KiB, for the caller, this plugin and `purpose`.
    ///
    /// # Errors
    ///
    /// The [`SealError`] of the host.
    pub fn seal(self, purpose: &str, content: &[u8], time: Duration) -> Result<String, SealError> {
        host::seals::seal(purpose, content, u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
    }

    /// What was sealed.
    ///
    /// # Errors
    ///
    /// [`SealError::NotGenuine`] if it was sealed elsewhere, for another caller or purpose, or changed since;
    /// [`SealError::Expired`] if its time is up.
    pub fn open(self, purpose: &str, sealed: &str) -> Result<Vec<u8>, SealError> {
        host::seals::open(purpose, sealed)
    }
}

impl From<SealError> for Error {
    fn from(error: SealError) -> Self {
        match error {
            SealError::NotGenuine => Self::new("SEAL_NOT_GENUINE", "it was not sealed here, or not for this caller"),
            SealError::Expired => Self::new("SEAL_EXPIRED", "its time is up"),
            SealError::LimitExceeded(text) => Self::new("LIMIT_EXCEEDED", text),
            SealError::Other(text) => Self::internal(text),
        }
    }
}
