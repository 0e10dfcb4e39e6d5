//! The tokens on disk: digests in `admin-tokens.json`, and the one of the first start in `admin.token`,
//! both private and replaced as a whole.
//!
//! A list that cannot be understood is left where it is and the server does not start: to begin without
//! it would bring back no token, and to make a new one would hide from the operator that all others are
//! gone.

use std::{
    fs::{self, File, Permissions},
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{TokenSummary, book::Book, secret::Secret};

/// Of the form of the file.
const VERSION: u32 = 1;

/// SHA-256 in hex.
const DIGEST_LENGTH: usize = 64;

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
#[error(
    "the tokens of the admin listener, {}, cannot be used: {problem}. Restore a copy of the file; or delete it, \
     and the next start makes a new token `local` and forgets all others",
    path.display()
)]
pub(crate) struct OperatorFileError {
    path: PathBuf,
    problem: String,
}

impl OperatorFileError {
    pub fn of(data_dir: &Path, problem: &str) -> Self {
        Self { path: list_file(data_dir), problem: problem.to_owned() }
    }
}

#[derive(Deserialize)]
struct AnyVersion {
    version: u32,
}

#[derive(Serialize, Deserialize)]
struct Document {
    version: u32,
    tokens: Vec<Row>,
}

#[derive(Serialize, Deserialize)]
struct Row {
    sha256: String,
    #[serde(flatten)]
    token: TokenSummary,
}

/// Where the token of the first start is, for the command line of this machine.
pub(crate) fn token_file(data_dir: &Path) -> PathBuf {
    data_dir.join("admin.token")
}

fn list_file(data_dir: &Path) -> PathBuf {
    data_dir.join("admin-tokens.json")
}

/// `None`: this is the first start.
pub(super) fn load(data_dir: &Path) -> Result<Option<Book>, OperatorFileError> {
    match fs::read(list_file(data_dir)) {
        Ok(bytes) => decoded(&bytes).map(Some).map_err(|problem| OperatorFileError::of(data_dir, &problem)),
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(fault) => Err(OperatorFileError::of(data_dir, &fault.to_string())),
    }
}

fn decoded(bytes: &[u8]) -> Result<Book, String> {
    let AnyVersion { version } =
        serde_json::from_slice(bytes).map_err(|fault| format!("it has no version that can be read: {fault}"))?;
    if version != VERSION {
        return Err(format!("it has version {version}, and this Switchboard knows version {VERSION}"));
    }
    let Document { tokens, .. } = serde_json::from_slice(bytes).map_err(|fault| fault.to_string())?;
    let mut book = Book::default();
    for Row { sha256, token } in tokens {
        if sha256.len() != DIGEST_LENGTH || !sha256.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(format!("the digest of {:?} is not one", token.name));
        }
        book.add(sha256, token).map_err(|fault| fault.to_string())?;
    }
    Ok(book)
}

/// When it returns, the new list is what the next start finds, whatever happens to the machine.
pub(super) fn save(data_dir: &Path, book: &Book) -> io::Result<()> {
    let mut tokens: Vec<Row> =
        book.rows().map(|(sha256, token)| Row { sha256: sha256.clone(), token: token.clone() }).collect();
    tokens.sort_by(|one, other| one.token.name.cmp(&other.token.name));
    replace(&list_file(data_dir), &serde_json::to_vec_pretty(&Document { version: VERSION, tokens })?)
}

pub(super) fn leave_token(data_dir: &Path, secret: &Secret) -> io::Result<()> {
    replace(&token_file(data_dir), format!("{}\n", secret.text()).as_bytes())
}

/// Takes the token out of the data folder, if it is the one with this digest.
pub(super) fn forget_token(data_dir: &Path, digest: &str) -> io::Result<()> {
    let path = token_file(data_dir);
    let Ok(text) = fs::read_to_string(&path) else { return Ok(()) };
    match Secret::parse(text.trim()) {
        Some(secret) if secret.digest() == digest => fs::remove_file(path),
        _ => Ok(()),
    }
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut draft =
        tempfile::Builder::new().prefix(".admin-").permissions(Permissions::from_mode(0o600)).tempfile_in(folder)?;
    draft.write_all(bytes)?;
    draft.as_file().sync_all()?;
    draft.persist(path)?;
    // The new name is kept by the folder.
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::operator::Operators;

    #[test]
    fn both_files_are_private_and_no_drafts_are_left() {
        let folder = tempfile::tempdir().unwrap();
        Operators::open(folder.path()).unwrap();
        for path in [token_file(folder.path()), list_file(folder.path())] {
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
        }
        assert_eq!(folder.path().read_dir().unwrap().count(), 2);
    }

    #[test]
    fn a_list_that_is_not_understood_is_refused_by_name_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = list_file(folder.path());
        let row = format!(
            r#"{{"sha256":"{}","name":"a","scope":"read","created_at":"2026-01-31T12:00:00Z"}}"#,
            "0".repeat(DIGEST_LENGTH)
        );
        for (text, problem) in [
            ("", "EOF"),
            ("[]", "no version"),
            (r#"{"version":2}"#, "version 2"),
            (r#"{"version":1,"tokens":[{"sha256":"00"}]}"#, "name"),
            (&format!(r#"{{"version":1,"tokens":[{}]}}"#, row.replace(&"0".repeat(8), "x")), "digest"),
            (&format!(r#"{{"version":1,"tokens":[{row},{row}]}}"#), "already"),
            (&format!(r#"{{"version":1,"tokens":[{}]}}"#, row.replace("read", "root")), "root"),
        ] {
            fs::write(&path, text).unwrap();
            let fault = Operators::open(folder.path()).err().unwrap().to_string();
            assert!(fault.contains(problem) && fault.contains("admin-tokens.json"), "{text}: {fault}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        fs::write(&path, format!(r#"{{"version":1,"tokens":[{row}]}}"#)).unwrap();
        assert!(Operators::open(folder.path()).is_ok());
    }

    #[test]
    fn whoever_deletes_the_list_gets_a_new_token_and_the_old_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        Operators::open(folder.path()).unwrap();
        let old = fs::read_to_string(token_file(folder.path())).unwrap();
        fs::remove_file(list_file(folder.path())).unwrap();
        let operators = Operators::open(folder.path()).unwrap();
        let new = fs::read_to_string(token_file(folder.path())).unwrap();
        assert!(operators.check(old.trim()).is_none() && operators.check(new.trim()).is_some());
    }
}
