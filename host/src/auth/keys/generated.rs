//! The key that `serve` makes in the data folder at its first start, so that there are tokens to begin
//! with and no way around them. `switchboard token` signs with the same key.

use std::{
    fs::{DirBuilder, File},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use rand::{TryRngCore as _, rngs::OsRng};

use super::KeyError;

/// As many as HS256 uses (RFC 7518, section 3.2).
const KEY_BYTES: usize = 32;

/// The key's bytes, which `Debug` does not show.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct GeneratedKey([u8; KEY_BYTES]);

impl GeneratedKey {
    /// The secret itself.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for GeneratedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GeneratedKey")
    }
}

/// Reads the key of a data folder, and makes it first if there is none.
pub(crate) fn generated_key(data_dir: &Path) -> Result<GeneratedKey, KeyError> {
    let path = path_in(data_dir);
    let failed = |problem: String| KeyError { origin: format!("file {}", path.display()), problem };
    if !path.exists() {
        create(&path).map_err(|fault| failed(format!("it cannot be made: {fault}")))?;
    }
    read(&path).map_err(failed)
}

/// Whether a data folder has a key, which is to say that a server was started with it.
pub(crate) fn key_exists(data_dir: &Path) -> bool {
    path_in(data_dir).exists()
}

/// Where the key is.
fn path_in(data_dir: &Path) -> PathBuf {
    data_dir.join("keys").join("signing.key")
}

/// The file appears whole or not at all, and never replaces another: of two processes that start at
/// once, the second finds the key of the first.
fn create(path: &Path) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut key = [0; KEY_BYTES];
    OsRng.try_fill_bytes(&mut key).map_err(io::Error::other)?;
    let mut draft = tempfile::Builder::new()
        .prefix(".signing-")
        .permissions(std::fs::Permissions::from_mode(0o600))
        .tempfile_in(folder)?;
    draft.write_all(&key)?;
    draft.as_file().sync_all()?;
    match draft.persist_noclobber(path) {
        Err(fault) if fault.error.kind() != io::ErrorKind::AlreadyExists => Err(fault.error),
        _ => Ok(()),
    }
}

fn read(path: &Path) -> Result<GeneratedKey, String> {
    let mut bytes = Vec::with_capacity(KEY_BYTES + 1);
    let file = File::open(path).map_err(|fault| fault.to_string())?;
    let mode = file.metadata().map_err(|fault| fault.to_string())?.permissions().mode();
    if mode & 0o077 != 0 {
        let mode = format!("{:o}", mode & 0o777);
        let path = path.display().to_string();
        tracing::warn!(path, mode, "other users of this machine can reach the signing key; run chmod 600");
    }
    file.take(KEY_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(|fault| fault.to_string())?;
    let key =
        bytes.try_into().map_err(|_| format!("it does not have {KEY_BYTES} bytes; remove it to get a new one"))?;
    Ok(GeneratedKey(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn the_key_is_made_once_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("data");
        let first = generated_key(&data_dir).unwrap();
        assert_eq!(generated_key(&data_dir).unwrap(), first);
        assert_ne!(first.bytes(), [0; KEY_BYTES]);
        assert_eq!((mode(&path_in(&data_dir)), mode(&data_dir.join("keys"))), (0o600, 0o700));
        assert_eq!(data_dir.join("keys").read_dir().unwrap().count(), 1, "no drafts are left");
    }

    #[test]
    fn processes_that_start_at_once_agree() {
        let folder = tempfile::tempdir().unwrap();
        let keys: Vec<_> = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..16).map(|_| scope.spawn(|| generated_key(folder.path()).unwrap())).collect();
            starts.into_iter().map(|start| start.join().unwrap()).collect()
        });
        assert!(keys.windows(2).all(|pair| pair[0] == pair[1]));
    }

    #[test]
    fn a_key_that_was_cut_off_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        generated_key(folder.path()).unwrap();
        std::fs::write(path_in(folder.path()), b"short").unwrap();
        let fault = generated_key(folder.path()).unwrap_err().to_string();
        assert!(fault.contains("signing.key") && fault.contains("32 bytes"), "{fault}");
    }
}
