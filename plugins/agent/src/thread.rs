//! What was said in a thread so far, in the user's own state, bounded in number and size.

use serde::{Deserialize, Serialize};
use switchboard_sdk::{Context, Error, Scope};

/// Entries that are kept; the oldest go first.
const MAX_ENTRIES: usize = 40;
/// Characters of one entry that are kept: together with the number, at most some 320 KiB of UTF-8.
const MAX_ENTRY_CHARACTERS: usize = 2000;

/// A thread's history.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Thread {
    entries: Vec<Entry>,
}

/// Something that was said.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    role: Role,
    content: String,
}

/// Who said it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    User,
    Agent,
}

impl Thread {
    /// The history of one of the caller's threads; empty for a new one.
    ///
    /// # Errors
    ///
    /// What the host says.
    pub(crate) fn load(ctx: &Context, id: &str) -> Result<Self, Error> {
        Ok(ctx.state(Scope::User).get(&key(id))?.unwrap_or_default())
    }

    /// # Errors
    ///
    /// What the host says: the quota is used up, most likely.
    pub(crate) fn save(&self, ctx: &Context, id: &str) -> Result<(), Error> {
        ctx.state(Scope::User).set(&key(id), self)
    }

    /// Adds something at the end.
    pub(crate) fn push(&mut self, role: Role, content: &str) {
        let content = content.chars().take(MAX_ENTRY_CHARACTERS).collect();
        self.entries.push(Entry { role, content });
        let surplus = self.entries.len().saturating_sub(MAX_ENTRIES);
        self.entries.drain(..surplus);
    }

    /// What the user said last.
    pub(crate) fn last_request(&self) -> Option<&str> {
        self.entries.iter().rev().find(|entry| entry.role == Role::User).map(|entry| entry.content.as_str())
    }

    /// How much was said.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

fn key(id: &str) -> String {
    format!("thread {id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_forgets_its_beginning() {
        let mut thread = Thread::default();
        for number in 0..100 {
            thread.push(Role::User, &number.to_string());
        }
        assert_eq!((thread.len(), thread.entries[0].content.as_str()), (MAX_ENTRIES, "60"));
        assert_eq!(thread.last_request(), Some("99"));
    }

    #[test]
    fn a_long_entry_is_cut_between_characters() {
        let mut thread = Thread::default();
        thread.push(Role::Agent, &"ä".repeat(5000));
        assert_eq!(thread.entries[0].content.chars().count(), MAX_ENTRY_CHARACTERS);
        assert_eq!(thread.last_request(), None);
    }
}
