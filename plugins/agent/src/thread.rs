//! What was said before in a thread. It lies in the state of scope `user`, so no other user's call can name it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use switchboard_sdk::{Context, Error, Scope};

/// Twenty messages: enough to refer back to, little enough to read at every request.
const MAX_EXCHANGES: usize = 10;

/// The same bound in bytes of JSON.
const MAX_BYTES: usize = 16 * 1024;

/// The longest text of one message that is kept.
const MAX_TEXT_BYTES: usize = 2 * 1024;

/// A thread's newest exchanges, oldest first.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Thread {
    exchanges: Vec<Exchange>,
}

/// A request and its answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Exchange {
    pub asked: String,
    pub answered: String,
    /// The last tool that succeeded, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<Used>,
}

/// A tool's call and what it came to, for requests that refer to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Used {
    pub tool: String,
    pub arguments: Map<String, Value>,
    /// The result, if it is a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
}

impl Thread {
    /// An entry that cannot be read is one of another version: the thread begins anew.
    pub(crate) fn load(ctx: &Context, id: &str) -> Result<Self, Error> {
        match ctx.state(Scope::User).get(&key(id)) {
            Ok(thread) => Ok(thread.unwrap_or_default()),
            Err(error) if error.code == "STATE_MALFORMED" => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn save(&self, ctx: &Context, id: &str) -> Result<(), Error> {
        ctx.state(Scope::User).set(&key(id), self)
    }

    pub(crate) fn last(&self) -> Option<&Exchange> {
        self.exchanges.last()
    }

    /// The last call of a tool, however long ago.
    pub(crate) fn last_used(&self) -> Option<&Used> {
        self.exchanges.iter().rev().find_map(|exchange| exchange.used.as_ref())
    }

    /// Adds an exchange, and forgets the oldest ones beyond the bounds.
    pub(crate) fn remember(&mut self, mut exchange: Exchange) {
        exchange.asked = clipped(&exchange.asked, MAX_TEXT_BYTES);
        exchange.answered = clipped(&exchange.answered, MAX_TEXT_BYTES);
        exchange.used = exchange.used.filter(|used| size_of(used) <= MAX_TEXT_BYTES);
        self.exchanges.push(exchange);
        while self.exchanges.len() > MAX_EXCHANGES || size_of(self) > MAX_BYTES {
            self.exchanges.remove(0);
        }
    }
}

fn key(id: &str) -> String {
    format!("thread {id}")
}

fn size_of(value: &impl Serialize) -> usize {
    serde_json::to_vec(value).map_or(usize::MAX, |text| text.len())
}

/// The beginning of a text, with a mark if that is not all of it.
pub(crate) fn clipped(text: &str, max_bytes: usize) -> String {
    if text.len() <= max_bytes {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(max_bytes)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(asked: String) -> Exchange {
        Exchange { asked, answered: "done".to_owned(), used: None }
    }

    #[test]
    fn only_the_newest_exchanges_are_kept() {
        let mut thread = Thread::default();
        (0..25).for_each(|n| thread.remember(exchange(n.to_string())));
        assert_eq!(thread.exchanges.len(), MAX_EXCHANGES);
        assert_eq!(thread.exchanges[0].asked, "15");
    }

    #[test]
    fn long_messages_are_clipped_and_the_whole_is_bounded() {
        let mut thread = Thread::default();
        // Each of these characters takes six bytes as JSON.
        (0..10).for_each(|_| thread.remember(exchange("\u{1}".repeat(50_000))));
        assert!(size_of(&thread) <= MAX_BYTES, "{}", size_of(&thread));
        assert!(thread.last().is_some_and(|last| last.asked.ends_with('…')));
    }
}
