//! A random key in a file of the data folder: made once, private, and the same for all processes that start at once.

use std::{
    fs::{DirBuilder, File},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use rand::{TryRngCore as _, rngs::OsRng};

/// As many as HS256 (RFC 7518, section 3.2) and AES-256 use.
pub(crate) const KEY_BYTES: usize = 32;

/// Where the key of this name is.
pub(crate) fn path_in(data_dir: &Path, name: &str) -> PathBuf {
    data_dir.join("keys").join(name)
}

/// Reads the key, and makes it first if there is none.
pub(crate) fn read_or_make(path: &Path) -> Result<[u8; KEY_BYTES], String> {
    if !path.exists() {
        create(path).map_err(|fault| format!("it cannot be made: {fault}"))?;
    }
    read(path)
}

/// The file appears whole or not at all, and never replaces another: of two processes that start at
/// once, the second finds the key of the first.
fn create(path: &Path) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut key = [0; KEY_BYTES];
    OsRng.try_fill_bytes(&mut key).map_err(io::Error::other)?;
    let mut draft = tempfile::Builder::new()
        .prefix(".key-")
        .permissions(std::fs::Permissions::from_mode(0o600))
        .tempfile_in(folder)?;
    draft.write_all(&key)?;
    draft.as_file().sync_all()?;
    match draft.persist_noclobber(path) {
        Err(fault) if fault.error.kind() != io::ErrorKind::AlreadyExists => Err(fault.error),
        _ => Ok(()),
    }
}

fn read(path: &Path) -> Result<[u8; KEY_BYTES], String> {
    let mut bytes = Vec::with_capacity(KEY_BYTES + 1);
    let file = File::open(path).map_err(|fault| fault.to_string())?;
    let mode = file.metadata().map_err(|fault| fault.to_string())?.permissions().mode();
    if mode & 0o077 != 0 {
        let mode = format!("{:o}", mode & 0o777);
        let path = path.display().to_string();
        tracing::warn!(path, mode, "other users of this machine can reach the key; run chmod 600");
    }
    file.take(KEY_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(|fault| fault.to_string())?;
    bytes.try_into().map_err(|_| format!("it does not have {KEY_BYTES} bytes; remove it to get a new one"))
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
        let path = path_in(&data_dir, "test.key");
        let first = read_or_make(&path).unwrap();
        assert_eq!(read_or_make(&path).unwrap(), first);
        assert_ne!(first, [0; KEY_BYTES]);
        assert_eq!((mode(&path), mode(&data_dir.join("keys"))), (0o600, 0o700));
        assert_eq!(data_dir.join("keys").read_dir().unwrap().count(), 1, "no drafts are left");
    }

    #[test]
    fn processes_that_start_at_once_agree() {
        let folder = tempfile::tempdir().unwrap();
        let path = path_in(folder.path(), "test.key");
        let keys: Vec<_> = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..16).map(|_| scope.spawn(|| read_or_make(&path).unwrap())).collect();
            starts.into_iter().map(|start| start.join().unwrap()).collect()
        });
        assert!(keys.windows(2).all(|pair| pair[0] == pair[1]));
    }
}
