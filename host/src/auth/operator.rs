//! Who may operate the server: the tokens of the admin listener, and what each of them allows.
//!
//! A token is 256 random bits; the server keeps its SHA-256 alone, so that neither the file nor a copy of
//! it lets anybody in. To look a digest up takes no longer the more of it is right, because nobody can
//! choose digests. A change is in force when it is on disk, and not before.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwap;

use super::{revocation::Moment, unix_now};

mod book;
mod file;
mod request;
mod scope;
mod secret;

pub(crate) use book::TokenSummary;
pub(crate) use file::{OperatorFileError, token_file};
pub(crate) use request::{NameFault, NewToken};
pub(crate) use scope::Scope;
pub(crate) use secret::Secret;

use book::Book;

/// Tokens at one time: operators, pipelines and dashboards of one server. Expired ones do not count.
pub(crate) const MAX_TOKENS: usize = 100;

/// The name of the token that the first start makes.
pub(crate) const LOCAL: &str = "local";

/// All tokens, in memory for checks and on disk for the next start.
pub(crate) struct Operators {
    data_dir: PathBuf,
    book: ArcSwap<Book>,
    /// Held while the next book is made and written. Checks do not wait for it.
    changing: Mutex<()>,
}

/// Whoever has shown a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Operator {
    /// The token's name.
    pub name: String,
    pub scope: Scope,
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenFault {
    #[error(transparent)]
    Name(#[from] NameFault),
    #[error("there is a token {0:?} already")]
    Taken(String),
    #[error("there is no token {0:?}")]
    Unknown(String),
    #[error("{0:?} is the last token that may change tokens")]
    Last(String),
    #[error("there are {MAX_TOKENS} tokens, and no more are allowed")]
    Full,
    #[error("the tokens could not be written: {0}")]
    NotWritten(#[from] io::Error),
}

impl Operators {
    /// Reads the tokens of earlier runs. At the first start it makes one that may do everything, and
    /// leaves it in the data folder for the command line of this machine.
    pub fn open(data_dir: &Path) -> Result<Arc<Self>, OperatorFileError> {
        let book = match file::load(data_dir)? {
            Some(book) => book,
            None => first(data_dir).map_err(|fault| OperatorFileError::of(data_dir, &fault.to_string()))?,
        };
        Ok(Arc::new(Self {
            data_dir: data_dir.to_owned(),
            book: ArcSwap::from_pointee(book),
            changing: Mutex::default(),
        }))
    }

    /// Whose token it is, if it is good.
    pub fn check(&self, token: &str) -> Option<Operator> {
        let digest = Secret::parse(token)?.digest();
        let book = self.book.load();
        let found = book.get(&digest, unix_now())?;
        Some(Operator { name: found.name.clone(), scope: found.scope })
    }

    /// All that are good, by name.
    pub fn all(&self) -> Vec<TokenSummary> {
        self.book.load().sorted(unix_now())
    }

    /// Makes a token, which nobody can be shown again. Writes to disk.
    pub fn create(&self, wanted: &NewToken) -> Result<(Secret, TokenSummary), TokenFault> {
        wanted.check()?;
        let now = unix_now();
        let secret = Secret::random().map_err(TokenFault::NotWritten)?;
        let expires_at = wanted.expires_in_s.map(|seconds| Moment::from_unix(now.saturating_add(seconds)));
        let summary = TokenSummary {
            name: wanted.name.clone(),
            scope: wanted.scope,
            created_at: Moment::from_unix(now),
            expires_at,
        };
        self.change(|book| book.add(secret.digest(), summary.clone()))?;
        Ok((secret, summary))
    }

    /// Ends a token. Writes to disk.
    pub fn revoke(&self, name: &str) -> Result<TokenSummary, TokenFault> {
        self.end(name, file::forget_token)
    }

    fn end(&self, name: &str, forget: impl FnOnce(&Path, &str) -> io::Result<()>) -> Result<TokenSummary, TokenFault> {
        let (digest, revoked) = self.change(|book| book.remove(name, unix_now()))?;
        // What lies there is refused from now on, so to leave it behind undoes nothing.
        if let Err(fault) = forget(&self.data_dir, &digest) {
            let path = token_file(&self.data_dir);
            tracing::warn!(token = name, path = %path.display(), %fault, "the file of a revoked admin token could not be removed");
        }
        Ok(revoked)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Book) -> Result<T, TokenFault>) -> Result<T, TokenFault> {
        let _one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = Book::clone(&self.book.load());
        next.forget_expired(unix_now());
        let outcome = change(&mut next)?;
        file::save(&self.data_dir, &next)?;
        self.book.store(Arc::new(next));
        Ok(outcome)
    }
}

/// The token is there before the list that knows it: if the machine stops in between, the next start
/// begins anew.
fn first(data_dir: &Path) -> io::Result<Book> {
    let secret = Secret::random()?;
    let created_at = Moment::from_unix(unix_now());
    let summary = TokenSummary { name: LOCAL.to_owned(), scope: Scope::Admin, created_at, expires_at: None };
    file::leave_token(data_dir, &secret)?;
    let mut book = Book::default();
    book.add(secret.digest(), summary).map_err(io::Error::other)?;
    file::save(data_dir, &book)?;
    Ok(book)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn wanted(name: &str, scope: Scope) -> NewToken {
        NewToken { name: name.to_owned(), scope, expires_in_s: None }
    }

    #[test]
    fn the_first_start_leaves_a_token_that_may_do_everything_and_later_ones_keep_it() {
        let folder = tempfile::tempdir().unwrap();
        let first = Operators::open(folder.path()).unwrap();
        let token = fs::read_to_string(token_file(folder.path())).unwrap();
        let expected = Some(Operator { name: "local".to_owned(), scope: Scope::Admin });
        assert_eq!(first.check(token.trim()), expected);
        assert_eq!(Operators::open(folder.path()).unwrap().check(token.trim()), expected);
        assert_eq!(first.check(&token.trim().replace("sba_", "sba-")), None);
        let stored = fs::read_to_string(folder.path().join("admin-tokens.json")).unwrap();
        assert!(!stored.contains(token.trim().trim_start_matches("sba_")), "only digests are stored");
    }

    #[test]
    fn tokens_are_made_listed_and_revoked_and_a_restart_knows() {
        let folder = tempfile::tempdir().unwrap();
        let operators = Operators::open(folder.path()).unwrap();
        let (secret, summary) = operators.create(&wanted("ci", Scope::Deploy)).unwrap();
        assert_eq!(operators.all().iter().map(|token| token.name.as_str()).collect::<Vec<_>>(), ["ci", "local"]);
        let again = Operators::open(folder.path()).unwrap();
        assert_eq!(again.check(secret.text()).map(|operator| operator.scope), Some(Scope::Deploy));
        assert!(matches!(again.create(&wanted("ci", Scope::Read)), Err(TokenFault::Taken(_))));
        assert_eq!(again.revoke("ci").unwrap(), summary);
        assert!(again.check(secret.text()).is_none());
        assert!(matches!(again.revoke("ci"), Err(TokenFault::Unknown(_))));
        assert!(Operators::open(folder.path()).unwrap().check(secret.text()).is_none());
    }

    #[test]
    fn a_token_that_has_expired_is_as_good_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let operators = Operators::open(folder.path()).unwrap();
        let brief = NewToken { expires_in_s: Some(0), ..wanted("brief", Scope::Read) };
        let (secret, _) = operators.create(&brief).unwrap();
        assert!(operators.check(secret.text()).is_none());
        assert_eq!(operators.all().len(), 1);
        assert!(operators.create(&brief).is_ok(), "its name is free again");
    }

    #[test]
    fn the_last_token_that_may_change_tokens_stays_and_a_revoked_local_one_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let operators = Operators::open(folder.path()).unwrap();
        operators.create(&wanted("ci", Scope::Deploy)).unwrap();
        operators.create(&NewToken { expires_in_s: Some(60), ..wanted("soon-gone", Scope::Admin) }).unwrap();
        assert!(matches!(operators.revoke("local"), Err(TokenFault::Last(_))), "others expire");
        operators.create(&wanted("alice", Scope::Admin)).unwrap();
        assert!(token_file(folder.path()).exists());
        operators.revoke("local").unwrap();
        assert!(!token_file(folder.path()).exists());
    }

    #[test]
    fn a_token_whose_file_cannot_be_removed_is_revoked_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let operators = Operators::open(folder.path()).unwrap();
        operators.create(&wanted("alice", Scope::Admin)).unwrap();
        let token = fs::read_to_string(token_file(folder.path())).unwrap();
        let local = Secret::parse(token.trim()).unwrap();
        let revoked = operators.end(LOCAL, |_, _| Err(io::Error::other("the disk is read-only"))).unwrap();
        assert_eq!(revoked.name, LOCAL);
        assert!(operators.check(local.text()).is_none());
        assert!(Operators::open(folder.path()).unwrap().check(local.text()).is_none());
    }

    #[test]
    fn beyond_the_bound_there_is_no_further_token() {
        let folder = tempfile::tempdir().unwrap();
        let operators = Operators::open(folder.path()).unwrap();
        for number in 1..MAX_TOKENS {
            operators.create(&wanted(&format!("t{number}"), Scope::Read)).unwrap();
        }
        assert!(matches!(operators.create(&wanted("more", Scope::Read)), Err(TokenFault::Full)));
    }
}
