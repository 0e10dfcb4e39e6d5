//! A session as it is written down when the host stops, for the next one to go on with.
//!
//! Times are those of the wall clock, because they outlive the process. The form belongs to one version
//! of the store; a change of it needs another version there.

use serde::{Deserialize, Serialize};

use super::token::TokenDigest;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedSession {
    pub id: String,
    pub connection_id: String,
    pub principal: SavedPrincipal,
    pub epoch: String,
    pub token: TokenDigest,
    pub previous_token: Option<TokenDigest>,
    /// Unix milliseconds.
    pub detached_at: u64,
    pub left: String,
    pub last_client_id: Option<String>,
    /// The number of the first frame.
    pub first_seq: u64,
    pub frames: Vec<SavedFrame>,
    pub subscriptions: Vec<SavedSubscription>,
}

/// Who the client was. Its next token says so anew before it gets anything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedPrincipal {
    pub subject: String,
    pub tenant: Option<String>,
    pub scopes: Vec<String>,
    pub claims_json: String,
    pub expires_at: u64,
    pub token_id: Option<String>,
    pub issued_at: Option<u64>,
    /// The text of a JSON object.
    pub rule_claims: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedFrame {
    pub bytes: Vec<u8>,
    /// The type, if it is volatile.
    pub volatile: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedSubscription {
    pub topic: String,
    pub presence: bool,
}
