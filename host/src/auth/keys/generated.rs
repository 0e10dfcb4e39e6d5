//! The key that `serve` makes in the data folder at its first start, so that there are tokens to begin
//! with and no way around them. `switchboard token` signs with the same key.

use std::path::{Path, PathBuf};

use super::KeyError;
use crate::storage::key_file::{self, KEY_BYTES};

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
    key_file::read_or_make(&path).map(GeneratedKey).map_err(failed)
}

/// Whether a data folder has a key, which is to say that a server was started with it.
pub(crate) fn key_exists(data_dir: &Path) -> bool {
    path_in(data_dir).exists()
}

/// Where the key is.
fn path_in(data_dir: &Path) -> PathBuf {
    key_file::path_in(data_dir, "signing.key")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_was_cut_off_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!key_exists(folder.path()));
        let key = generated_key(folder.path()).unwrap();
        assert!(key_exists(folder.path()) && generated_key(folder.path()).unwrap() == key);
        std::fs::write(path_in(folder.path()), b"short").unwrap();
        let fault = generated_key(folder.path()).unwrap_err().to_string();
        assert!(fault.contains("signing.key") && fault.contains("32 bytes"), "{fault}");
    }
}
