//! Which users a canary serves: a share of them that is the same after every reconnect and restart.
//!
//! A user's place is a hash of who they are and of the plugin's name. The name is in it so that it is not
//! always the same users who try what is new, and the percentage is not, so that raising it only ever
//! adds users.

use sha2::{Digest as _, Sha256};

use crate::auth::Principal;

/// Whose message, tool or event is to be routed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Who<'a> {
    pub tenant: Option<&'a str>,
    pub subject: &'a str,
    pub session_id: &'a str,
}

impl<'a> Who<'a> {
    pub fn new(principal: &'a Principal, session_id: &'a str) -> Self {
        Self { tenant: principal.tenant.as_deref(), subject: &principal.subject, session_id }
    }

    /// Whether this user is among the first `percent` of a hundred.
    pub fn is_within(&self, plugin: &str, percent: u32) -> bool {
        self.place(plugin) < percent
    }

    /// 0 to 99. It must never change: users would move between versions at the update of the host.
    fn place(&self, plugin: &str) -> u32 {
        let mut hasher = Sha256::new();
        let tenant = self.tenant.map_or([0; 1], |_| [1; 1]);
        for part in [plugin.as_bytes(), &tenant, self.tenant.unwrap_or("").as_bytes(), self.subject.as_bytes()] {
            // With its length, so that what belongs to one part cannot count for the next.
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        let digest: [u8; 32] = hasher.finalize().into();
        let first = digest.iter().take(8).fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
        u32::try_from((u128::from(first) * 100) >> 64).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SUBJECTS: u32 = 100_000;

    fn who<'a>(tenant: Option<&'a str>, subject: &'a str) -> Who<'a> {
        Who { tenant, subject, session_id: "s" }
    }

    fn share(plugin: &str, percent: u32) -> f64 {
        let within = (0..SUBJECTS).filter(|i| who(None, &format!("user-{i}")).is_within(plugin, percent)).count();
        within as f64 / f64::from(SUBJECTS)
    }

    /// Four standard deviations of a share of so many: wrong once in 16,000 hashes, and this one is fixed.
    fn margin(percent: u32) -> f64 {
        let p = f64::from(percent) / 100.0;
        4.0 * (p * (1.0 - p) / f64::from(SUBJECTS)).sqrt()
    }

    #[test]
    fn ten_per_cent_are_ten_per_cent_of_the_users() {
        for (plugin, percent) in [("agent", 10), ("system", 10), ("agent", 1), ("agent", 50), ("agent", 99)] {
            let found = share(plugin, percent);
            assert!((found - f64::from(percent) / 100.0).abs() < margin(percent), "{plugin} {percent}: {found}");
        }
    }

    #[test]
    fn canaries_of_two_plugins_are_different_users() {
        let both = (0..SUBJECTS).filter(|i| {
            let subject = format!("user-{i}");
            who(None, &subject).is_within("a", 10) && who(None, &subject).is_within("b", 10)
        });
        let found = both.count() as f64 / f64::from(SUBJECTS);
        assert!((found - 0.01).abs() < margin(1), "{found}");
    }

    #[test]
    fn a_users_place_depends_on_who_they_are_and_on_nothing_else() {
        // Fixed for ever: another process, machine or version of the host must find the same.
        let places = [(None, "alice"), (None, "bob"), (Some("acme"), "alice"), (Some(""), "alice")];
        let found = places.map(|(tenant, subject)| who(tenant, subject).place("agent"));
        assert_eq!(found, [62, 89, 79, 50]);
        let other = Who { session_id: "another", ..who(None, "alice") };
        assert_eq!(other.place("agent"), found[0]);
    }

    proptest! {
        #[test]
        fn raising_the_percentage_never_moves_a_user_off_the_canary(
            subject in ".{0,40}", tenant in proptest::option::of(".{0,20}"), plugin in "[a-z]{1,20}",
            lower in 0_u32..=100, more in 0_u32..=100,
        ) {
            let who = who(tenant.as_deref(), &subject);
            prop_assert!(!who.is_within(&plugin, lower) || who.is_within(&plugin, lower + more));
            prop_assert!(!who.is_within(&plugin, 0) && who.is_within(&plugin, 100));
        }
    }
}
