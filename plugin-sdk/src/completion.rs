//! Completion of arguments while a user types them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use crate::bindings::exports::switchboard::plugin::completions::Completed;

/// What is to be completed.
#[derive(Debug, Clone, PartialEq)]
pub struct Completing {
    /// Of which prompt or resource template.
    pub what: Completed,
    /// The argument's name.
    pub argument: String,
    /// What the user has typed of it.
    pub value: String,
    /// Arguments that are known already, by name.
    pub known: Map<String, Value>,
}

/// What an argument can become, in the form of the member `completion` of MCP's `CompleteResult`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Completion {
    /// The best first; at most 100.
    pub values: Vec<String>,
    /// How many there are in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// Whether there are more than these.
    #[serde(default)]
    pub has_more: bool,
}

impl Completion {
    /// The most values that an answer may have.
    pub const MAX_VALUES: usize = 100;

    /// The first 100 of these, with how many there are.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = String>) -> Self {
        let mut values: Vec<String> = values.into_iter().collect();
        let total = values.len();
        values.truncate(Self::MAX_VALUES);
        Self { total: Some(total as u64), has_more: total > values.len(), values }
    }
}
