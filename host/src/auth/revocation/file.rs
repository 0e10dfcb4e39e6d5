//! The revocations on disk: `revocations.json` in the data folder, private, replaced as a whole.
//!
//! A file that cannot be understood is left where it is and the server does not start. To begin
//! without it would make every revoked token good again, and to move it away would do the same at the
//! next start, which a supervisor makes a second later.

use std::{
    fs::{self, File, Permissions},
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{Book, Revocation};

/// Of the form of the file.
const VERSION: u32 = 1;

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
#[error(
    "the list of revoked tokens, {}, cannot be used: {problem}. Without it, revoked tokens would be good again. \
     Restore a copy of the file; or move it away, to start with nothing revoked, and revoke anew what was in it",
    path.display()
)]
pub(crate) struct RevocationFileError {
    path: PathBuf,
    problem: String,
}

#[derive(Deserialize)]
struct AnyVersion {
    version: u32,
}

#[derive(Serialize, Deserialize)]
struct Document {
    version: u32,
    revocations: Vec<Revocation>,
}

/// Where the file is.
pub(super) fn path_in(data_dir: &Path) -> PathBuf {
    data_dir.join("revocations.json")
}

/// No file means that nothing was ever revoked.
pub(super) fn load(path: &Path) -> Result<Book, RevocationFileError> {
    let failed = |problem: String| RevocationFileError { path: path.to_owned(), problem };
    match fs::read(path) {
        Ok(bytes) => decoded(&bytes).map_err(failed),
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(Book::default()),
        Err(fault) => Err(failed(fault.to_string())),
    }
}

fn decoded(bytes: &[u8]) -> Result<Book, String> {
    let AnyVersion { version } =
        serde_json::from_slice(bytes).map_err(|fault| format!("it has no version that can be read: {fault}"))?;
    if version != VERSION {
        return Err(format!("it has version {version}, and this Switchboard knows version {VERSION}"));
    }
    let Document { revocations, .. } = serde_json::from_slice(bytes).map_err(|fault| fault.to_string())?;
    Book::of(revocations)
}

/// When it returns, the new list is what the next start finds, whatever happens to the machine.
pub(super) fn save(path: &Path, book: &Book) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let document = Document { version: VERSION, revocations: book.sorted() };
    let mut draft = tempfile::Builder::new()
        .prefix(".revocations-")
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(folder)?;
    draft.write_all(&serde_json::to_vec_pretty(&document)?)?;
    draft.as_file().sync_all()?;
    draft.persist(path)?;
    // The new name is kept by the folder.
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::revocation::{Moment, Scope};

    fn revocation(id: &str, scope: Scope, before: Option<u64>) -> Revocation {
        let at = Moment::from_unix;
        let reason = Some("a \"reason\"\n".to_owned());
        let id = id.to_owned();
        Revocation { id, scope, issued_before: before.map(at), revoked_at: at(5), expires_at: Some(at(9)), reason }
    }

    fn all_kinds() -> Book {
        let text = |text: &str| text.to_owned();
        Book::of(vec![
            revocation("rv_1", Scope::Token { jti: text("7") }, None),
            revocation("rv_2", Scope::Subject { sub: text("alice"), tenant: None }, Some(5)),
            revocation("rv_3", Scope::Subject { sub: text("alice"), tenant: Some(text("acme")) }, Some(5)),
            revocation("rv_4", Scope::Tenant { tenant: text("acme") }, Some(5)),
            revocation("rv_5", Scope::All, Some(5)),
        ])
        .unwrap()
    }

    #[test]
    fn what_was_saved_is_loaded_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = path_in(folder.path());
        assert_eq!(load(&path).unwrap(), Book::default());
        for book in [Book::default(), all_kinds()] {
            save(&path, &book).unwrap();
            assert_eq!(load(&path).unwrap(), book);
        }
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(folder.path().read_dir().unwrap().count(), 1, "no drafts are left");
    }

    #[test]
    fn a_file_that_is_not_understood_is_refused_by_name_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = path_in(folder.path());
        let row = r#"{"id":"rv_1","kind":"all","revoked_at":5,"issued_before":5}"#;
        for (text, problem) in [
            ("", "EOF"),
            ("[]", "no version"),
            (r#"{"version":2,"revocations":"of another form"}"#, "version 2"),
            (r#"{"version":1,"revocations":[{"id":"rv_1","revoked_at":5}]}"#, "kind"),
            (r#"{"version":1,"revocations":[{"id":"rv_1","kind":"all","revoked_at":5}]}"#, "issued_before"),
            (&format!(r#"{{"version":1,"revocations":[{row},{row}]}}"#), "twice"),
            (r#"{"version":1,"revocations":["#, "EOF"),
        ] {
            fs::write(&path, text).unwrap();
            let fault = load(&path).unwrap_err().to_string();
            assert!(fault.contains(problem) && fault.contains("revocations.json"), "{text}: {fault}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        fs::write(&path, format!(r#"{{"version":1,"revocations":[{row}]}}"#)).unwrap();
        assert!(load(&path).is_ok());
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(save(&path_in(&folder.path().join("missing")), &all_kinds()).is_err());
    }
}
