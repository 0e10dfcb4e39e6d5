//! All revocations in force, as one value that is never changed: a check is a few look-ups in it, a
//! change makes the next one.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{KEPT_AFTER_EXPIRY, MAX_REVOCATIONS, Moment, request::Wanted};
use crate::auth::Principal;

/// Which tokens a revocation is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[schema(as = RevocationScope)]
pub(crate) enum Scope {
    /// The one with this `jti`.
    Token { jti: String },
    /// Those of a subject in a tenant, or, without one, of the subject that has no tenant.
    Subject {
        sub: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tenant: Option<String>,
    },
    /// Those of all subjects in a tenant.
    Tenant { tenant: String },
    /// All.
    All,
}

/// A revocation in force. There is one for each scope at most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Revocation {
    pub id: String,
    #[serde(flatten)]
    pub scope: Scope,
    /// The first second whose tokens are good. None for a single token, whose age does not matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub issued_before: Option<Moment>,
    #[schema(value_type = String, format = DateTime)]
    pub revoked_at: Moment,
    /// When the last of the tokens has expired, as the operator knows; then it is forgotten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Moment>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// There are as many as there may be.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
#[error("{MAX_REVOCATIONS} revocations are in force, and no more are allowed")]
pub(crate) struct Full;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Book(HashMap<Scope, Revocation>);

impl Book {
    /// As it was written down; the error says what cannot be true of it.
    pub fn of(revocations: Vec<Revocation>) -> Result<Self, String> {
        let (mut book, mut ids) = (Self::default(), HashSet::new());
        for revocation in revocations {
            let id = revocation.id.clone();
            if revocation.issued_before.is_none() != matches!(revocation.scope, Scope::Token { .. }) {
                return Err(format!("{id} does not go with its issued_before"));
            }
            if book.0.insert(revocation.scope.clone(), revocation).is_some() || !ids.insert(id.clone()) {
                return Err(format!("{id}, or what it is about, is in it twice"));
            }
        }
        Ok(book)
    }

    /// Whether a principal's token is revoked. One without `iat` counts as older than any other.
    pub fn covers(&self, principal: &Principal) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let issued_at = principal.issued_at.unwrap_or(0);
        let revoked = |scope: &Scope| {
            let found = self.0.get(scope);
            found.is_some_and(|found| found.issued_before.is_none_or(|bound| issued_at < bound.as_unix()))
        };
        let (sub, tenant) = (principal.subject.clone(), principal.tenant.clone());
        revoked(&Scope::All)
            || tenant.clone().is_some_and(|tenant| revoked(&Scope::Tenant { tenant }))
            || revoked(&Scope::Subject { sub, tenant })
            || principal.token_id.clone().is_some_and(|jti| revoked(&Scope::Token { jti }))
    }

    /// Adds what is wanted, or widens what is there about the same tokens: never less is revoked
    /// afterwards. Says which it is now, and whether it is new.
    pub fn add(
        &mut self,
        wanted: Wanted,
        now: u64,
        new_id: impl FnOnce() -> String,
    ) -> Result<(Revocation, bool), Full> {
        let Wanted { scope, issued_before, expires_at, reason } = wanted;
        let revoked_at = Moment::from_unix(now);
        let old = self.0.get(&scope);
        let revocation = match old {
            None if self.0.len() >= MAX_REVOCATIONS => return Err(Full),
            None => Revocation { id: new_id(), scope, issued_before, revoked_at, expires_at, reason },
            Some(old) => Revocation {
                id: old.id.clone(),
                scope,
                issued_before: issued_before.max(old.issued_before),
                revoked_at,
                expires_at: expires_at.zip(old.expires_at).map(|(one, other)| one.max(other)),
                reason: reason.or_else(|| old.reason.clone()),
            },
        };
        let is_new = old.is_none();
        self.0.insert(revocation.scope.clone(), revocation.clone());
        Ok((revocation, is_new))
    }

    pub fn remove(&mut self, id: &str) -> Option<Revocation> {
        let scope = self.0.values().find(|revocation| revocation.id == id)?.scope.clone();
        self.0.remove(&scope)
    }

    /// Forgets what can no longer matter.
    pub fn forget_expired(&mut self, now: u64) {
        self.0.retain(|_, revocation| {
            revocation.expires_at.is_none_or(|end| end.as_unix().saturating_add(KEPT_AFTER_EXPIRY) > now)
        });
    }

    /// Oldest first.
    pub fn sorted(&self) -> Vec<Revocation> {
        let mut all: Vec<_> = self.0.values().cloned().collect();
        all.sort_by(|one, other| (one.revoked_at, &one.id).cmp(&(other.revoked_at, &other.id)));
        all
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::revocation::RevocationRequest;

    const NOW: u64 = 1_000_000;

    fn wanted(json: &str) -> Wanted {
        serde_json::from_str::<RevocationRequest>(json).unwrap().checked(NOW).unwrap()
    }

    fn book(json: &str) -> Book {
        let mut book = Book::default();
        book.add(wanted(json), NOW, || "rv_1".to_owned()).unwrap();
        book
    }

    fn token(subject: &str, tenant: Option<&str>, jti: Option<&str>, issued_at: Option<u64>) -> Principal {
        Principal { token_id: jti.map(str::to_owned), issued_at, ..Principal::named(tenant, subject) }
    }

    fn check(json: &str, revoked: &[Principal], good: &[Principal]) {
        let book = book(json);
        for token in revoked {
            assert!(book.covers(token), "{json} revokes {token:?}");
        }
        for token in good {
            assert!(!book.covers(token), "{json} does not revoke {token:?}");
        }
    }

    #[test]
    fn each_kind_covers_its_own_tokens_and_no_others() {
        let (old, new) = (Some(NOW - 60), Some(NOW + 1));
        check(
            r#"{"jti":"7"}"#,
            &[token("alice", None, Some("7"), new), token("bob", Some("acme"), Some("7"), None)],
            &[token("alice", None, Some("8"), old), token("alice", None, None, None)],
        );
        check(
            r#"{"sub":"alice"}"#,
            &[token("alice", None, None, old), token("alice", None, Some("7"), Some(0))],
            &[token("alice", None, None, new), token("bob", None, None, old), token("alice", Some("acme"), None, old)],
        );
        check(
            r#"{"sub":"alice","tenant":"acme"}"#,
            &[token("alice", Some("acme"), None, old)],
            &[token("alice", None, None, old), token("bob", Some("acme"), None, old)],
        );
        check(
            r#"{"tenant":"acme","issued_before":1000000}"#,
            &[token("alice", Some("acme"), None, old), token("bob", Some("acme"), None, old)],
            &[token("bob", Some("acme"), None, new), token("bob", None, None, old)],
        );
        check(
            r#"{"issued_before":1000000}"#,
            &[token("alice", None, None, old), token("bob", Some("acme"), None, Some(NOW - 1))],
            &[token("alice", None, None, Some(NOW))],
        );
        assert!(!Book::default().covers(&token("alice", None, Some("7"), None)));
    }

    #[test]
    fn a_token_of_the_second_in_which_its_subject_was_revoked_is_refused() {
        check(
            r#"{"sub":"alice"}"#,
            &[token("alice", None, None, Some(NOW))],
            &[token("alice", None, None, Some(NOW + 1))],
        );
    }

    #[test]
    fn a_token_without_iat_counts_as_the_oldest() {
        let ageless = token("alice", None, None, None);
        check(r#"{"sub":"alice"}"#, std::slice::from_ref(&ageless), &[]);
        check(r#"{"issued_before":1}"#, &[ageless], &[token("alice", None, None, Some(1))]);
    }

    #[test]
    fn a_repeat_widens_what_is_there_and_keeps_its_id() {
        let mut book = book(r#"{"sub":"alice","issued_before":500,"expires_at":2000000,"reason":"first"}"#);
        let other_id = || "rv_2".to_owned();
        let (narrower, is_new) = book.add(wanted(r#"{"sub":"alice","issued_before":400}"#), NOW, other_id).unwrap();
        assert_eq!((narrower.id.as_str(), is_new), ("rv_1", false));
        assert_eq!(narrower.issued_before, Some(Moment::from_unix(500)), "what was revoked stays so");
        assert_eq!((narrower.expires_at, narrower.reason.as_deref()), (None, Some("first")), "kept for longest");
        let (wider, _) = book.add(wanted(r#"{"sub":"alice","reason":"second"}"#), NOW, other_id).unwrap();
        assert_eq!(wider.issued_before, Some(Moment::from_unix(NOW + 1)));
        assert_eq!((wider.reason.as_deref(), book.len()), (Some("second"), 1));
    }

    #[test]
    fn what_is_taken_back_covers_nothing() {
        let mut book = book(r#"{"jti":"7"}"#);
        assert_eq!(book.remove("rv_2"), None);
        assert_eq!(book.remove("rv_1").map(|taken| taken.id), Some("rv_1".to_owned()));
        assert!(!book.covers(&token("alice", None, Some("7"), None)));
    }

    #[test]
    fn a_revocation_is_forgotten_only_when_its_tokens_have_expired() {
        let mut book = book(r#"{"jti":"7","expires_at":1000060}"#);
        book.forget_expired(NOW + 60 + KEPT_AFTER_EXPIRY - 1);
        assert_eq!(book.len(), 1);
        book.forget_expired(NOW + 60 + KEPT_AFTER_EXPIRY);
        assert_eq!(book.len(), 0);
        book.add(wanted(r#"{"jti":"8"}"#), NOW, || "rv_2".to_owned()).unwrap();
        book.forget_expired(u64::MAX);
        assert_eq!(book.len(), 1, "without a time it is kept");
    }

    #[test]
    fn at_the_bound_a_new_one_is_refused_and_a_repeat_is_not() {
        let mut book = Book::default();
        for number in 0..MAX_REVOCATIONS {
            book.add(wanted(&format!(r#"{{"jti":"{number}"}}"#)), NOW, || format!("rv_{number}")).unwrap();
        }
        assert_eq!(book.add(wanted(r#"{"jti":"more"}"#), NOW, String::new), Err(Full));
        assert!(book.add(wanted(r#"{"jti":"0"}"#), NOW, String::new).is_ok());
        assert_eq!(book.len(), MAX_REVOCATIONS);
    }
}
