//! Users and messages as numbers: small to keep, and of no use to anybody who reads them.
//!
//! Hashed with a key that each version draws for itself (SipHash, the standard library's), so nobody
//! outside can find a message that is taken for another. 64 bits: with all the suspects that a version
//! may have, one message in 2^52 would be taken for one of them by accident.

use std::hash::{BuildHasher as _, RandomState};

use crate::auth::Principal;

/// A user, of a tenant or of none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Caller(u64);

/// What a guest was given to work on, but for what differs with every call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct MessageDigest(u64);

#[derive(Debug, Default)]
pub(super) struct Digests(RandomState);

impl Digests {
    pub fn caller(&self, principal: &Principal) -> Caller {
        Caller(self.0.hash_one((&principal.tenant, &principal.subject)))
    }

    pub fn message(&self, export: &str, name: &str, content: &str) -> MessageDigest {
        MessageDigest(self.0.hash_one((export, name, content)))
    }
}

#[cfg(test)]
impl Caller {
    pub fn numbered(number: u64) -> Self {
        Self(number)
    }
}

#[cfg(test)]
impl MessageDigest {
    pub fn numbered(number: u64) -> Self {
        Self(number)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_difference_anywhere_is_another_message_or_user() {
        let digests = Digests::default();
        let messages = [("handle", "a", "{}"), ("handle", "a{", "}"), ("handl", "ea", "{}"), ("call-tool", "a", "{}")];
        let distinct: BTreeSet<u64> = messages.iter().map(|(e, n, c)| digests.message(e, n, c).0).collect();
        assert_eq!(distinct.len(), messages.len());
        assert_eq!(digests.message("handle", "a", "{}"), digests.message("handle", "a", "{}"));
        let users = [(None, "alice"), (Some("a"), "lice"), (Some(""), "alice"), (None, "bob")];
        let distinct: BTreeSet<u64> =
            users.iter().map(|(tenant, name)| digests.caller(&Principal::named(*tenant, name)).0).collect();
        assert_eq!(distinct.len(), users.len());
    }

    #[test]
    fn nobody_can_work_a_digest_out_beforehand() {
        let of_one = Digests::default().message("handle", "a", "{}");
        assert_ne!(of_one, Digests::default().message("handle", "a", "{}"));
    }
}
