//! What whoever waits for a result is told meanwhile: the interface `progress`.

use serde_json::Value;

use crate::{Context, Error, host};

pub use crate::bindings::switchboard::plugin::progress::{ProgressError, Severity};

/// What whoever waits for a result is told meanwhile; see [`Context::progress`].
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a>(#[allow(dead_code, reason = "ties the handle to the call")] &'a Context);

impl<'a> Progress<'a> {
    pub(super) fn new(ctx: &'a Context) -> Self {
        Self(ctx)
    }

    /// How far it is; has to increase from call to call. Whether anybody listens.
    ///
    /// # Errors
    ///
    /// The [`ProgressError`] of the host; [`Error`] can be made of it.
    pub fn report(self, progress: f64, total: Option<f64>, message: Option<&str>) -> Result<bool, ProgressError> {
        host::progress::report(progress, total, message)
    }

    /// A line for the client; the operator's log is [`Context::log`]. Whether anybody listens at this severity.
    ///
    /// # Errors
    ///
    /// The [`ProgressError`] of the host; [`Error`] can be made of it.
    pub fn log(self, how: Severity, logger: Option<&str>, data: &Value) -> Result<bool, ProgressError> {
        host::progress::log(how, logger, &data.to_string())
    }
}

impl From<ProgressError> for Error {
    fn from(error: ProgressError) -> Self {
        match error {
            ProgressError::Invalid(text) => Self::new("PROGRESS_INVALID", text),
            ProgressError::LimitExceeded(text) => Self::new("LIMIT_EXCEEDED", text),
        }
    }
}
