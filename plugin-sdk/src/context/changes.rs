//! That something which is offered has changed: the interface `changes`.

use serde::Serialize;

use crate::{Context, Error, host};

pub use crate::bindings::switchboard::plugin::changes::{ChangeError, Span, Subject};

/// That something which is offered has changed; see [`Context::changes`].
#[derive(Debug, Clone, Copy)]
pub struct Changes<'a>(#[allow(dead_code, reason = "ties the handle to the call")] &'a Context);

impl<'a> Changes<'a> {
    pub(super) fn new(ctx: &'a Context) -> Self {
        Self(ctx)
    }

    /// From now on the caller is sent this message whenever the subject has changed as the caller sees it.
    ///
    /// # Errors
    ///
    /// The [`ChangeError`] of the host.
    pub fn watch<T: Serialize>(self, of: &Subject, during: Span, kind: &str, payload: &T) -> Result<(), ChangeError> {
        let payload = serde_json::to_string(payload).map_err(|fault| ChangeError::Invalid(fault.to_string()))?;
        host::changes::watch(of, during, kind, &payload)
    }

    /// Whether it was watched.
    #[must_use]
    pub fn unwatch(self, of: &Subject, during: Span) -> bool {
        host::changes::unwatch(of, during)
    }

    /// What this plugin itself offers has changed: its lists are asked for again, its resource may be read again.
    ///
    /// # Errors
    ///
    /// The [`ChangeError`] of the host.
    pub fn changed(self, what: &Subject) -> Result<(), ChangeError> {
        host::changes::changed(what)
    }
}

impl From<ChangeError> for Error {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Unknown(text) => Self::new("RESOURCE_NOT_FOUND", text),
            ChangeError::Invalid(text) => Self::new("CHANGE_INVALID", text),
            ChangeError::LimitExceeded(text) => Self::new("LIMIT_EXCEEDED", text),
            ChangeError::Other(text) => Self::internal(text),
        }
    }
}
