//! Components that came to readiness, by their content, so that any of them can be rolled back to.
//!
//! Invariant: what is read is what was accepted, byte for byte: a file's name is the SHA-256 of its
//! content, and it is held against it at every read. Which of them are still needed is not known here.

use std::{
    collections::HashSet,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

use crate::plugin::{aot_cache::make_private, artifact::hex};

const FOLDER: &str = "versions";
const EXTENSION: &str = "wasm";

pub(crate) struct VersionStore {
    dir: PathBuf,
}

/// Why a component cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreFault {
    #[error("the version {0} is not in the version store any more: deploy it again")]
    Missing(String),
    #[error("the stored file of the version {0} is damaged: deploy it again")]
    Damaged(String),
    #[error("the stored file of the version {digest} cannot be read: {source}")]
    Unreadable { digest: String, source: io::Error },
}

impl VersionStore {
    /// In the data folder; made if there is none, and only its owner can enter it.
    pub fn open(data_dir: &Path) -> io::Result<Self> {
        let dir = data_dir.join(FOLDER);
        make_private(&dir)?;
        Ok(Self { dir })
    }

    /// Returns when the component is on the disk.
    pub fn keep(&self, digest: &str, bytes: &[u8]) -> io::Result<()> {
        // One that is there and unharmed need not be written again.
        if self.read(digest).is_ok() {
            return Ok(());
        }
        write_durably(&self.path(digest), bytes)
    }

    pub fn read(&self, digest: &str) -> Result<Vec<u8>, StoreFault> {
        let bytes = fs::read(self.path(digest)).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => StoreFault::Missing(digest.to_owned()),
            _ => StoreFault::Unreadable { digest: digest.to_owned(), source },
        })?;
        if hex(&Sha256::digest(&bytes)) == digest { Ok(bytes) } else { Err(StoreFault::Damaged(digest.to_owned())) }
    }

    /// Removes every component but these, and what an interrupted write left.
    pub fn retain(&self, needed: &HashSet<String>) -> io::Result<()> {
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            let is_needed = path.extension().is_some_and(|extension| extension == EXTENSION)
                && path.file_stem().and_then(|stem| stem.to_str()).is_some_and(|digest| needed.contains(digest));
            if !is_needed {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    fn path(&self, digest: &str) -> PathBuf {
        self.dir.join(format!("{digest}.{EXTENSION}"))
    }
}

/// Replaces a file as a whole, private to this user; both the content and the name survive a loss of power.
pub(super) fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    fs::File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    fn digest(bytes: &[u8]) -> String {
        hex(&Sha256::digest(bytes))
    }

    fn store() -> (tempfile::TempDir, VersionStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = VersionStore::open(folder.path()).unwrap();
        (folder, store)
    }

    #[test]
    fn what_is_kept_is_read_again_and_private() {
        let (folder, store) = store();
        store.keep(&digest(b"one"), b"one").unwrap();
        let store = VersionStore::open(folder.path()).unwrap();
        assert_eq!(store.read(&digest(b"one")).unwrap(), b"one");
        assert!(matches!(store.read(&digest(b"two")), Err(StoreFault::Missing(_))));
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!((mode(&store.dir), mode(&store.path(&digest(b"one")))), (0o700, 0o600));
    }

    #[test]
    fn a_damaged_file_is_never_read_and_is_replaced_by_the_next_deployment() {
        let (_folder, store) = store();
        store.keep(&digest(b"one"), b"one").unwrap();
        for damaged in [&b"onf"[..], b"", b"on"] {
            fs::write(store.path(&digest(b"one")), damaged).unwrap();
            assert!(matches!(store.read(&digest(b"one")), Err(StoreFault::Damaged(_))));
        }
        store.keep(&digest(b"one"), b"one").unwrap();
        assert_eq!(store.read(&digest(b"one")).unwrap(), b"one");
    }

    #[test]
    fn only_what_is_needed_stays() {
        let (_folder, store) = store();
        let digests = [&b"one"[..], b"two", b"three"].map(|bytes| {
            store.keep(&digest(bytes), bytes).unwrap();
            digest(bytes)
        });
        fs::write(store.dir.join(".tmpX7"), "of a write that was interrupted").unwrap();
        store.retain(&HashSet::from([digests[1].clone()])).unwrap();
        assert_eq!(digests.map(|digest| store.read(&digest).is_ok()), [false, true, false]);
        assert_eq!(fs::read_dir(&store.dir).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let (folder, store) = store();
        store.keep(&digest(b"one"), b"one").unwrap();
        fs::set_permissions(&store.dir, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(VersionStore::open(folder.path()).is_err());
    }
}
