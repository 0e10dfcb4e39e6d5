//! Conversations with a host in a file: one JSON object a line, each a step of what a client does or expects.
//!
//! `switchboard connect --record` writes them, `switchboard plugin test` replays them, and people write them by hand.
//! This module reads and writes the steps, and compares; it opens no socket. The format is described for its
//! users in docs/plugin-guide.md.

mod pattern;
mod recorder;
mod step;
mod volatile;

pub(crate) use pattern::{Difference, differences};
pub(crate) use recorder::Recorder;
pub(crate) use step::{Action, Fault, Line, Outcome, parse};

/// Where a plugin's conversations are, beside its manifest, and how their names end.
pub(crate) const FOLDER: &str = "tests";
pub(crate) const ENDING: &str = ".conversation.jsonl";

/// Whether a message is part of no conversation: it comes when the host likes.
pub(crate) fn is_background(message_type: &str) -> bool {
    matches!(message_type, "connection_established" | "heartbeat" | "token_expiring")
}
