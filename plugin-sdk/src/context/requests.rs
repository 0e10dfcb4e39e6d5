//! The request that is being handled, where it is more than one call: the interface `requests`.

use std::time::Duration;

use serde::Serialize;

use crate::{Context, Error, host};

pub use crate::bindings::switchboard::plugin::requests::RequestError;

/// The request that is being handled; see [`Context::requests`].
#[derive(Debug, Clone, Copy)]
pub struct Requests<'a>(#[allow(dead_code, reason = "ties the handle to the call")] &'a Context);

impl<'a> Requests<'a> {
    pub(super) fn new(ctx: &'a Context) -> Self {
        Self(ctx)
    }

    /// Gives it a name, 1 to 256 bytes, under which it is found until it is answered.
    ///
    /// # Errors
    ///
    /// [`RequestError::UnderWay`] if another of this session has the name and is not answered yet.
    pub fn begin(self, name: &str) -> Result<(), RequestError> {
        host::requests::begin(name)
    }

    /// Ends a request of this session without an answer. Whether there was one.
    #[must_use]
    pub fn cancel(self, name: &str) -> bool {
        host::requests::cancel(name)
    }

    /// Keeps it open if this call ends without an answer. `otherwise` is the payload of the answer that the host gives
    /// when the time is up (`None`: no time is set), when it stops, or when the caller's token expires. What is sent to the caller
    /// from here on goes out when the call has ended, so that an answer to it finds the request open.
    ///
    /// # Errors
    ///
    /// The [`RequestError`] of the host.
    pub fn leave_open<T: Serialize>(self, within: Option<Duration>, otherwise: &T) -> Result<(), RequestError> {
        let payload = serde_json::to_string(otherwise).map_err(|fault| RequestError::Invalid(fault.to_string()))?;
        let ms = within.map_or(0, |time| u32::try_from(time.as_millis()).unwrap_or(u32::MAX).max(1));
        host::requests::leave_open(ms, &payload)
    }

    /// Goes on with a request that was left open: what is sent to the caller from now on belongs to it, and so does the
    /// answer.
    ///
    /// # Errors
    ///
    /// [`RequestError::Unknown`] if none of this session is open under this name.
    pub fn resume(self, name: &str) -> Result<(), RequestError> {
        host::requests::resume(name)
    }

    /// How a transport with statuses shows the answer.
    pub fn show(self, status: u16, missing_scopes: &[String]) {
        host::requests::show(status, missing_scopes);
    }
}

impl From<RequestError> for Error {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::UnderWay => Self::new("REQUEST_UNDER_WAY", "another request with this name is under way"),
            RequestError::Unknown => Self::new("REQUEST_UNKNOWN", "no request with this name is open"),
            RequestError::Invalid(text) => Self::new("REQUEST_INVALID", text),
            RequestError::LimitExceeded(text) => Self::new("LIMIT_EXCEEDED", text),
            RequestError::Other(text) => Self::internal(text),
        }
    }
}
