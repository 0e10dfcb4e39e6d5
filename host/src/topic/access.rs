//! Who may do what with a topic.
//!
//! - A topic belongs to a tenant: the same name in another tenant is another topic.
//! - Names that begin with `$` belong to the host.
//! - `user.SUB` and everything below it (or `user/SUB`) is read by that subject only: subscriptions,
//!   members and history. Anyone in the tenant may publish there, if the plugin's grants allow it.
//!   In SUB the characters `.`, `/`, `*` and `%` are written as `%2E`, `%2F`, `%2A`, `%25`, so that
//!   the subject is always exactly one level, and `alice` cannot be taken for `alice.smith`.

use super::{TopicFault, pattern::levels};

/// The first level of topics that belong to one user.
const USER_LEVEL: &str = "user";

/// How a topic is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// Subscriptions, members, history.
    Read,
    Publish,
}

/// Whether a subject may use a topic or a pattern.
pub(crate) fn check(subject: &str, name: &str, use_: Use) -> Result<(), TopicFault> {
    if name.starts_with('$') {
        return Err(TopicFault::Forbidden(format!("{name:?} belongs to the host: topics with `$` are reserved")));
    }
    let owner = owner(name).filter(|owner| *owner != "*" && *owner != "**");
    match owner {
        Some(owner) if use_ == Use::Read && !is_owner(owner, subject) => {
            Err(TopicFault::Forbidden(format!("{name:?} is read by its own user only")))
        }
        _ => Ok(()),
    }
}

/// Whether a subscription by pattern shows this topic to a subject. A pattern may be wider than what
/// its subscriber may read.
pub(crate) fn may_see(subject: &str, name: &str) -> bool {
    !name.starts_with('$') && owner(name).is_none_or(|owner| is_owner(owner, subject))
}

/// The second level, as it is written, of a topic that belongs to a user.
fn owner(name: &str) -> Option<&str> {
    let mut levels = levels(name);
    (levels.next() == Some(USER_LEVEL)).then(|| levels.next()).flatten()
}

fn is_owner(written: &str, subject: &str) -> bool {
    let mut rest = written;
    for character in subject.chars() {
        let stripped = match character {
            '.' => rest.strip_prefix("%2E"),
            '/' => rest.strip_prefix("%2F"),
            '*' => rest.strip_prefix("%2A"),
            '%' => rest.strip_prefix("%25"),
            plain => rest.strip_prefix(plain),
        };
        let Some(stripped) = stripped else { return false };
        rest = stripped;
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_own_topics_are_read_by_that_user_only() {
        for name in ["user.alice", "user/alice", "user.alice.inbox", "user/alice/inbox", "user.alice.**"] {
            assert_eq!(check("alice", name, Use::Read), Ok(()), "{name}");
            assert!(check("bob", name, Use::Read).is_err(), "{name}");
            assert!(check("alic", name, Use::Read).is_err(), "{name}");
            assert_eq!(check("bob", name, Use::Publish), Ok(()), "{name}");
        }
        assert_eq!(check("bob", "users.alice", Use::Read), Ok(()));
    }

    #[test]
    fn a_subject_with_separators_is_one_escaped_level() {
        assert_eq!(check("a@b.example", "user.a@b%2Eexample", Use::Read), Ok(()));
        assert!(check("a@b", "user.a@b%2Eexample", Use::Read).is_err());
        assert!(check("alice.smith", "user.alice.smith", Use::Read).is_err());
        assert!(check("alice%2Esmith", "user.alice%2Esmith", Use::Read).is_err());
    }

    #[test]
    fn a_wide_pattern_is_allowed_and_shows_only_what_its_subscriber_may_see() {
        assert_eq!(check("bob", "user.*.inbox", Use::Read), Ok(()));
        assert_eq!(check("bob", "**", Use::Read), Ok(()));
        assert!(!may_see("bob", "user.alice.inbox"));
        assert!(may_see("bob", "user.bob.inbox"));
        assert!(may_see("bob", "room.1"));
        assert!(!may_see("bob", "$host"));
    }

    #[test]
    fn the_host_keeps_its_own_names() {
        for use_ in [Use::Read, Use::Publish] {
            assert!(matches!(check("alice", "$sys.x", use_), Err(TopicFault::Forbidden(_))));
        }
    }
}
