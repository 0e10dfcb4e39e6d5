//! Tokens that are refused before they expire, because an operator said so.
//!
//! A revocation is about one token (`jti`), about a subject's or a tenant's tokens, or about all of
//! them; but for the first kind, only about those issued before some second, so that users can log in
//! again. It is in force when it is on disk, and not before: an operator who is told that it is done
//! need not fear a restart. Whoever calls [`Revocations::add`] ends the sessions that are open.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwap;

use super::{Principal, unix_now};
use crate::telemetry::Metrics;

mod book;
mod file;
mod moment;
mod request;

pub(crate) use book::{Full, Revocation, Scope};
pub(crate) use file::RevocationFileError;
pub(crate) use moment::Moment;
pub(crate) use request::{RequestFault, RevocationRequest};

use book::Book;

/// Revocations in force at one time. Each has up to 1 KiB of text, and the file is written anew at each
/// change; whoever has to revoke more tokens than this revokes those before a time.
pub(crate) const MAX_REVOCATIONS: usize = 10_000;

/// How long a revocation outlives the tokens that it is about, in seconds: they are accepted for as
/// long as `auth.leeway` after they expire, which is ten minutes at most.
const KEPT_AFTER_EXPIRY: u64 = 60 * 60;

/// All revocations, in memory for checks and on disk for the next start.
pub(crate) struct Revocations {
    path: PathBuf,
    book: ArcSwap<Book>,
    /// Held while the next book is made and written. Checks do not wait for it.
    changing: Mutex<()>,
    metrics: Arc<Metrics>,
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RevocationError {
    #[error(transparent)]
    Request(#[from] RequestFault),
    #[error(transparent)]
    Full(#[from] Full),
    #[error("the list of revocations could not be written: {0}")]
    NotWritten(#[from] io::Error),
}

impl Revocations {
    /// Reads those of earlier runs.
    pub fn open(data_dir: &Path, metrics: Arc<Metrics>) -> Result<Arc<Self>, RevocationFileError> {
        let path = file::path_in(data_dir);
        let mut book = file::load(&path)?;
        book.forget_expired(unix_now());
        metrics.revocations.set(gauge(book.len()));
        Ok(Arc::new(Self { path, book: ArcSwap::from_pointee(book), changing: Mutex::default(), metrics }))
    }

    /// Whether a principal's token is revoked.
    pub fn covers(&self, principal: &Principal) -> bool {
        self.book.load().covers(principal)
    }

    /// All that are in force, oldest first.
    pub fn all(&self) -> Vec<Revocation> {
        self.book.load().sorted()
    }

    /// Revokes. The boolean says whether it is a new revocation, or an older one that was widened.
    /// Writes to disk: not for threads that serve sockets.
    pub fn add(&self, request: RevocationRequest) -> Result<(Revocation, bool), RevocationError> {
        let now = unix_now();
        let wanted = request.checked(now)?;
        self.change(|book| Ok(book.add(wanted, now, || format!("rv_{:016x}", rand::random::<u64>()))?))
    }

    /// Ends a revocation: the tokens that it was about are good again. `None` if there is none of this
    /// id. Writes to disk: not for threads that serve sockets.
    pub fn take_back(&self, id: &str) -> Result<Option<Revocation>, RevocationError> {
        self.change(|book| Ok(book.remove(id)))
    }

    fn change<T>(&self, change: impl FnOnce(&mut Book) -> Result<T, RevocationError>) -> Result<T, RevocationError> {
        let _one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.book.load_full();
        let mut next = Book::clone(&old);
        next.forget_expired(unix_now());
        let outcome = change(&mut next)?;
        if next != *old {
            file::save(&self.path, &next)?;
            self.metrics.revocations.set(gauge(next.len()));
            self.book.store(Arc::new(next));
        }
        Ok(outcome)
    }
}

fn gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_token(jti: &str) -> RevocationRequest {
        RevocationRequest { jti: Some(jti.to_owned()), ..RevocationRequest::default() }
    }

    fn token(jti: &str) -> Principal {
        Principal { token_id: Some(jti.to_owned()), ..Principal::named(None, "alice") }
    }

    #[test]
    fn a_revocation_is_in_force_at_once_and_after_a_restart_until_it_is_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let first = Revocations::open(folder.path(), Metrics::new()).unwrap();
        let (revocation, is_new) = first.add(of_token("7")).unwrap();
        assert!(is_new && first.covers(&token("7")) && !first.covers(&token("8")));

        let second = Revocations::open(folder.path(), Metrics::new()).unwrap();
        assert!(second.covers(&token("7")));
        assert_eq!((second.all(), second.metrics.revocations.get()), (vec![revocation.clone()], 1));
        assert_eq!(second.take_back(&revocation.id).unwrap(), Some(revocation.clone()));
        assert_eq!(second.take_back(&revocation.id).unwrap(), None);
        assert!(!second.covers(&token("7")));
        assert_eq!(second.metrics.revocations.get(), 0);
        assert!(Revocations::open(folder.path(), Metrics::new()).unwrap().all().is_empty());
    }

    #[test]
    fn what_cannot_be_written_is_not_in_force() {
        let folder = tempfile::tempdir().unwrap();
        let revocations = Revocations::open(&folder.path().join("missing"), Metrics::new()).unwrap();
        assert!(matches!(revocations.add(of_token("7")), Err(RevocationError::NotWritten(_))));
        assert!(!revocations.covers(&token("7")) && revocations.all().is_empty());
    }

    #[test]
    fn changes_that_come_at_once_are_all_kept() {
        let folder = tempfile::tempdir().unwrap();
        let revocations = Revocations::open(folder.path(), Metrics::new()).unwrap();
        std::thread::scope(|scope| {
            for number in 0..8 {
                let revocations = &revocations;
                scope.spawn(move || revocations.add(of_token(&number.to_string())).unwrap());
            }
        });
        assert_eq!(Revocations::open(folder.path(), Metrics::new()).unwrap().all().len(), 8);
    }
}
