//! The request that a call answers, where it is more than one call.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum RequestError {
    #[error("another request of this session has this name, and is not answered yet")]
    UnderWay,
    #[error("no request of this session with this name is open")]
    Unknown,
    #[error("{0}")]
    LimitExceeded(String),
}

/// The host's side of `requests`, for one message that is being handled.
pub(crate) trait Request: Send + Sync {
    /// `name` is 1 to 256 bytes.
    fn begin(&self, name: &str) -> Result<(), RequestError>;

    /// Whether there was one.
    fn cancel(&self, name: &str) -> bool;

    /// `otherwise` is the text of a JSON object; 0 ms sets no time.
    fn leave_open(&self, for_ms: u32, otherwise: String) -> Result<(), RequestError>;

    /// Returns the correlation id that the request's messages have.
    fn resume(&self, name: &str) -> Result<Option<Arc<str>>, RequestError>;

    /// How a transport with statuses shows the answer.
    fn show(&self, status: u16, missing_scopes: Vec<String>);

    /// Cancelled when the request has ended, however that was. Of the one that is handled at the moment: another
    /// after [`Self::resume`].
    fn ended(&self) -> CancellationToken;
}
