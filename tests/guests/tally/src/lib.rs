//! Counts in the memory of its instance: `tally_add {crash?, grow?, wait_ms?}` answers how many calls the instance
//! has had, with those that it took over, and which version says so.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use switchboard_sdk::{Context, Error, Isolation, Manifest, Message};

/// What one instance knows.
#[derive(Debug, Default)]
pub struct Tally {
    count: u64,
    /// The version that it was taken over from.
    from: Option<String>,
    ballast: Vec<u8>,
}

#[derive(Deserialize, JsonSchema)]
struct Add {
    /// Whether to trap instead of answering.
    #[serde(default)]
    crash: bool,
    /// Bytes of memory to hold from now on.
    #[serde(default)]
    grow: usize,
    /// Milliseconds to be busy for.
    #[serde(default)]
    wait_ms: u32,
}

/// The manifest of a version.
#[must_use]
pub fn manifest(version: &str) -> Manifest {
    Manifest::new("tally", version)
        .isolation(Isolation::Session)
        .handles("tally_add", |t| t.schema::<Add>().emits(["tallied"]).concurrent())
}

impl Tally {
    /// Handles `tally_add`.
    ///
    /// # Errors
    ///
    /// If the payload does not fit.
    pub fn add(&mut self, version: &str, ctx: &Context, message: &Message) -> Result<Option<Message>, Error> {
        let Add { crash, grow, wait_ms } = message.payload()?;
        let begun = ctx.clock().monotonic();
        while ctx.clock().monotonic().saturating_sub(begun) < Duration::from_millis(u64::from(wait_ms)) {}
        if crash {
            unreachable();
        }
        self.count += 1;
        self.ballast.resize(self.ballast.len() + grow, 1);
        Message::answer("tallied", &json!({ "count": self.count, "version": version, "from": self.from }))
    }

    /// The count, in decimal.
    #[must_use]
    pub fn export(&self) -> Vec<u8> {
        self.count.to_string().into_bytes()
    }

    /// Goes on from a count.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub fn import(&mut self, from: &str, state: &[u8]) -> Result<(), String> {
        let count = std::str::from_utf8(state).ok().and_then(|text| text.parse().ok());
        self.count = count.ok_or("the state is not a count")?;
        self.from = Some(from.to_owned());
        Ok(())
    }
}

fn unreachable() -> ! {
    #[cfg(target_arch = "wasm32")]
    core::arch::wasm32::unreachable();
    #[cfg(not(target_arch = "wasm32"))]
    std::process::abort()
}
