//! By what a repeat is recognised: the user, the `id`, and what the message says.
//!
//! Digests, so that a record has one small size whatever clients send, and that the file which outlives
//! the process holds no names. They are SHA-256, cut to 128 bits: the same in every process, and out of
//! reach for anyone who would like to collide with another's message.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::SHARDS;
use crate::auth::Principal;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Key {
    /// Of tenant and subject.
    pub(super) user: u128,
    /// Of the user, the `id`, the type and the payload.
    pub(super) message: u128,
}

impl Key {
    /// `payload` is the text as it was sent: a repeat has it from the same copy.
    pub fn of(principal: &Principal, id: &str, message_type: &str, payload: &str) -> Self {
        let tenant = principal.tenant.as_deref();
        let user = digest(&[if tenant.is_some() { "1" } else { "0" }, tenant.unwrap_or(""), &principal.subject], 0);
        Self { user, message: digest(&[id, message_type, payload], user) }
    }

    pub(super) fn shard(self) -> usize {
        (self.user % SHARDS as u128) as usize
    }
}

/// Each part with its length, so that no two lists of parts are the same bytes.
fn digest(parts: &[&str], within: u128) -> u128 {
    let mut hash = Sha256::new_with_prefix(within.to_le_bytes());
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let mut half = [0; 16];
    half.copy_from_slice(&hash.finalize()[..16]);
    u128::from_le_bytes(half)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn user(tenant: Option<&str>, subject: &str) -> Principal {
        Principal {
            subject: subject.to_owned(),
            tenant: tenant.map(str::to_owned),
            scopes: Vec::new(),
            claims_json: "{}".into(),
            expires_at: 0,
            token_id: None,
            issued_at: None,
            rule_claims: Arc::default(),
        }
    }

    #[test]
    fn a_difference_anywhere_is_another_message() {
        let alice = user(None, "alice");
        let mut keys = vec![
            Key::of(&alice, "1", "echo", "{}"),
            Key::of(&alice, "2", "echo", "{}"),
            Key::of(&alice, "1", "ech", "o{}"),
            Key::of(&alice, "1", "echo", "{ }"),
            Key::of(&alice, "1echo", "", "{}"),
            Key::of(&user(None, "bob"), "1", "echo", "{}"),
            Key::of(&user(Some(""), "alice"), "1", "echo", "{}"),
            Key::of(&user(Some("a"), "lice"), "1", "echo", "{}"),
            Key::of(&user(Some("al"), "ice"), "1", "echo", "{}"),
        ];
        let all = keys.len();
        keys.sort_by_key(|key| key.message);
        keys.dedup_by_key(|key| key.message);
        assert_eq!(keys.len(), all);
    }

    #[test]
    fn every_process_finds_the_same_key() {
        // Another value, and what an earlier version saved is no longer found: change the format of the store.
        let key = Key::of(&user(Some("acme"), "alice"), "1", "echo", "{}");
        assert_eq!(key.user, 0x1f68176d_f35650c7_d59da26a_26a0bcb6);
        assert_eq!(key.message, 0x47f23be9_7a06fc34_096e8a5b_8372d001);
    }
}
