//! What an operator can change.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Settings {
    /// Entries on one page of a list.
    #[schemars(range(min = 1, max = 1000))]
    pub page_size: usize,
    /// What clients are told about how to use this server.
    #[schemars(length(max = 4096))]
    pub instructions: Option<String>,
    /// How long clients may go by a list that they have, unless they are told that it changed, in seconds.
    #[schemars(range(max = 86400))]
    pub list_fresh_seconds: u32,
    /// How long a client may take to give what a tool asks of it or of its user, in seconds.
    #[schemars(range(min = 1, max = 86400))]
    pub input_wait_seconds: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { page_size: 100, instructions: None, list_fresh_seconds: 30, input_wait_seconds: 600 }
    }
}

impl Settings {
    pub(crate) fn input_wait(&self) -> Duration {
        Duration::from_secs(self.input_wait_seconds.into())
    }

    pub(crate) fn list_ttl_ms(&self) -> u64 {
        u64::from(self.list_fresh_seconds) * 1000
    }
}
