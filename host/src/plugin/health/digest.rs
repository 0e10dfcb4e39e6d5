//! Users and messages as numbers: small to keep, and of no use to anybody who reads them.
//!
//! Hashed with a key that each version draws for itself (SipHash, the standard library's), so nobody
//! outside can find a message that is taken for another. 64 bits: with all the suspects that a version
//! may have, one message in 2^52 would be taken for one of them by accident.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
};

use crate::auth::Principal;

/// A user, of a tenant or of none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Caller(u64);

/// Who a call is counted as. A plugin that calls another one's tools, or publishes what it hears, acts with the rights of whoever called it, and
/// chooses what it sends: it could be all of its users, and is therefore counted as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asker {
    pub user: Caller,
    /// The outermost plugin that the call came through, or that published what it is about; the user, if it came through none.
    pub through: Caller,
}

/// What a guest was given to work on, but for what differs with every call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct MessageDigest(u64);

#[derive(Debug, Default)]
pub(super) struct Digests(RandomState);

impl Digests {
    /// `through` is the outermost plugin that the call came through.
    pub fn asker(&self, principal: &Principal, through: Option<&Arc<str>>) -> Asker {
        let user = Caller(self.0.hash_one((0_u8, &principal.tenant, &principal.subject)));
        Asker { user, through: through.map_or(user, |plugin| Caller(self.0.hash_one((1_u8, plugin)))) }
    }

    pub fn message(&self, export: &str, name: &str, content: &str) -> MessageDigest {
        MessageDigest(self.0.hash_one((export, name, content)))
    }
}

impl Caller {
    /// One of so many, evenly distributed.
    pub fn bucket(self, of: usize) -> usize {
        usize::try_from(self.0 % of as u64).unwrap_or(0)
    }

    #[cfg(test)]
    pub const fn numbered(number: u64) -> Self {
        Self(number)
    }
}

impl Asker {
    /// Whether one of them may be behind both.
    pub fn may_be(self, other: Self) -> bool {
        self.user == other.user || self.through == other.through
    }

    /// A user who calls without a plugin in between.
    #[cfg(test)]
    pub fn numbered(number: u64) -> Self {
        Self { user: Caller::numbered(number), through: Caller::numbered(number) }
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
            users.iter().map(|(tenant, name)| digests.asker(&Principal::named(*tenant, name), None).user.0).collect();
        assert_eq!(distinct.len(), users.len());
    }

    #[test]
    fn a_call_that_came_through_plugins_is_its_users_and_the_outermost_ones() {
        let digests = Digests::default();
        let asker = |user: &str, through: Option<&str>| {
            digests.asker(&Principal::named(None, user), through.map(Arc::from).as_ref())
        };
        let direct = asker("alice", None);
        assert_eq!(direct.user, direct.through);
        let (alice, bob) = (asker("alice", Some("agent")), asker("bob", Some("agent")));
        assert_eq!((alice.user, alice.through), (direct.user, bob.through));
        assert_ne!(alice.through, asker("agent", None).through, "a user of that name is not the plugin");
        assert!(alice.may_be(direct) && alice.may_be(bob) && !bob.may_be(direct));
    }

    #[test]
    fn nobody_can_work_a_digest_out_beforehand() {
        let of_one = Digests::default().message("handle", "a", "{}");
        assert_ne!(of_one, Digests::default().message("handle", "a", "{}"));
    }
}
