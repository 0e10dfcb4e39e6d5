//! From a request's token to a [`Principal`], or to the exact reason why not.

use std::sync::Arc;

/// Who is calling: verified claims and nothing else.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Principal {
    /// The token's `sub`.
    pub subject: String,
    /// From the configured claim.
    pub tenant: Option<String>,
    /// `scope` (space-separated, RFC 8693, section 4.2) or `scp`/`scopes` (array).
    pub scopes: Vec<String>,
    /// A JSON object with the claims that plugins may see.
    pub claims_json: Arc<str>,
    /// Unix seconds.
    pub expires_at: u64,
    /// The token's `jti`, for revocation.
    pub token_id: Option<String>,
}
