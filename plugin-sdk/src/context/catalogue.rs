//! What all plugins offer to MCP clients: the interface `catalogue`.

use crate::{Context, Error, host};

pub use crate::bindings::switchboard::plugin::catalogue::{
    CatalogueError, Forbidden, Item, Kind, Limited, Listing, Notice, Request as ItemRequest,
};

/// What all plugins offer, with the caller's rights; see [`Context::catalogue`].
#[derive(Debug, Clone, Copy)]
pub struct Catalogue<'a>(#[allow(dead_code, reason = "ties the handle to the call")] &'a Context);

impl<'a> Catalogue<'a> {
    pub(super) fn new(ctx: &'a Context) -> Self {
        Self(ctx)
    }

    /// What the caller may use.
    ///
    /// # Errors
    ///
    /// The [`CatalogueError`] of the host; [`Error`] can be made of it.
    pub fn list(self, of: Kind) -> Result<Listing, CatalogueError> {
        host::catalogue::list(of)
    }

    /// Calls a tool, reads a resource or gets a prompt. The result is a JSON object.
    ///
    /// # Errors
    ///
    /// The [`CatalogueError`] of the host.
    pub fn get(self, what: &Item, how: &ItemRequest) -> Result<String, CatalogueError> {
        host::catalogue::get(what, how)
    }

    /// What could complete an argument of a prompt or resource template. The result is a JSON object.
    ///
    /// # Errors
    ///
    /// The [`CatalogueError`] of the host.
    pub fn complete(self, what: &Item, argument: &str, value: &str, known: &str) -> Result<String, CatalogueError> {
        host::catalogue::complete(what, argument, value, known)
    }
}

/// What happened, in words for a person or a model.
impl From<CatalogueError> for Error {
    fn from(error: CatalogueError) -> Self {
        match error {
            CatalogueError::Unknown(name) => Self::new("ITEM_UNKNOWN", format!("nothing is offered as {name:?}")),
            CatalogueError::InvalidArguments(text) => Self::new("ARGUMENTS_INVALID", text),
            CatalogueError::Forbidden(Forbidden { reason, .. }) => Self::forbidden(reason),
            CatalogueError::Limited(Limited { reason, retry_after_ms }) => {
                Self::new("RATE_LIMITED", reason).retry_after(std::time::Duration::from_millis(retry_after_ms.into()))
            }
            CatalogueError::Failed(text) => Self::new("ITEM_FAILED", text),
            CatalogueError::Timeout => Self::new("ITEM_TIMEOUT", "it did not finish in time"),
            CatalogueError::Cycle(text) => Self::new("ITEM_CYCLE", text),
            CatalogueError::Other(text) => Self::internal(text),
        }
    }
}
