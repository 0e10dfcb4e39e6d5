//! Machine code of components that were compiled before, so that a start takes milliseconds.
//!
//! Invariant: nothing is run from here that this program, as this user, did not put here unharmed. An
//! entry that is damaged, foreign or made by another engine is the same as none. The cache never fails
//! a load: what cannot be read is compiled, and what cannot be written is compiled again next time.

use std::{
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::SystemTime,
};

use sha2::{Digest as _, Sha256};
use wasmtime::{Engine, component::Component};

/// A folder to share between several hosts of one user, such as those of a test run.
const SHARED_DIR_VARIABLE: &str = "SWITCHBOARD_CACHE_DIR";

/// Enough for a few dozen of the largest plugins (from Python: 18 MB, several times that compiled).
const MAX_BYTES: u64 = 1 << 30;

const EXTENSION: &str = "cwasm";

/// Bytes of the digest at the beginning of an entry.
const DIGEST_BYTES: usize = 32;

pub(crate) struct AotCache {
    /// None when there is no folder that can be trusted.
    dir: Option<PathBuf>,
    max_bytes: u64,
}

impl AotCache {
    /// In the data folder, or where the environment says.
    pub fn open(data_dir: &Path) -> Self {
        let shared = std::env::var_os(SHARED_DIR_VARIABLE).filter(|dir| !dir.is_empty());
        Self::at(shared.map_or_else(|| data_dir.join("cache"), PathBuf::from))
    }

    fn at(dir: PathBuf) -> Self {
        match make_private(&dir) {
            Ok(()) => Self { dir: Some(dir), max_bytes: MAX_BYTES },
            Err(fault) => {
                tracing::warn!(dir = %dir.display(), %fault, "no cache of compiled plugins: each start compiles them");
                Self { dir: None, max_bytes: 0 }
            }
        }
    }

    /// The machine code of these contents for this engine, if there is any that can be trusted.
    pub fn load(&self, engine: &Engine, digest: &str) -> Option<Component> {
        let path = self.entry(engine, digest)?;
        let stored = fs::read(&path).ok()?;
        let component = revive(engine, &stored);
        match &component {
            // So that what is used is not what is removed when space runs out.
            Some(_) => touch(&path),
            None => tracing::info!(entry = %path.display(), "a cached plugin does not fit and is compiled again"),
        }
        component
    }

    /// Keeps machine code for the next time.
    pub fn store(&self, engine: &Engine, digest: &str, component: &Component) {
        let Some((dir, path)) = self.dir.as_ref().zip(self.entry(engine, digest)) else { return };
        let stored = component.serialize().map_err(io::Error::other).and_then(|code| write(dir, &path, &code));
        if let Err(fault) = stored.and_then(|()| self.shrink(dir)) {
            tracing::warn!(entry = %path.display(), %fault, "a compiled plugin could not be cached");
        }
    }

    fn entry(&self, engine: &Engine, digest: &str) -> Option<PathBuf> {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Some(self.dir.as_ref()?.join(format!("{digest}-{:016x}.{EXTENSION}", hasher.finish())))
    }

    /// Removes what was used longest ago, until the rest fits.
    fn shrink(&self, dir: &Path) -> io::Result<()> {
        let mut entries: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            // Another host may be removing the same entries.
            let Ok(metadata) = fs::metadata(&path) else { continue };
            if metadata.is_file() {
                entries.push((metadata.modified()?, metadata.len(), path));
            }
        }
        entries.sort();
        let mut total: u64 = entries.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, bytes, path) in entries {
            if total <= self.max_bytes {
                break;
            }
            // Already gone is as good.
            let _ = fs::remove_file(&path);
            total -= bytes;
        }
        Ok(())
    }
}

/// An entry is the SHA-256 of the machine code, followed by it: one file, so that both or neither exist.
fn write(dir: &Path, path: &Path, code: &[u8]) -> io::Result<()> {
    // Private from the beginning (0600), and renamed into place, so that no reader sees a part of it.
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(&Sha256::digest(code))?;
    file.write_all(code)?;
    file.persist(path)?;
    Ok(())
}

fn revive(engine: &Engine, stored: &[u8]) -> Option<Component> {
    let (digest, code) = stored.split_at_checked(DIGEST_BYTES)?;
    if Sha256::digest(code).as_slice() != digest {
        return None;
    }
    // SAFETY: `deserialize` demands bytes that came from `serialize` and were not changed since.
    // - They are unchanged: they match the digest that was written with them, in one file.
    // - They came from `serialize`: only `write` puts files under these names, and the folder belongs
    //   to this user and can be entered by nobody else, checked when the cache was opened. Who can
    //   write there regardless is this user, and could as well replace the program.
    // - They are for this engine: its compatibility hash is in the name of the file, and wasmtime
    //   itself refuses machine code of another version or with other settings.
    #[expect(unsafe_code, reason = "the reasons stand above; there is no other such block in the program")]
    unsafe { Component::deserialize(engine, code) }.ok()
}

/// Makes the folder, or proves that an existing one belongs to this user alone.
pub(super) fn make_private(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let metadata = fs::metadata(dir)?;
    let shared = metadata.mode() & 0o077 != 0;
    if shared && fs::read_dir(dir)?.next().is_none() {
        // Nobody has put anything there yet, so from now on nobody else can have.
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
    } else if shared {
        return Err(io::Error::other(format!("others can enter it: `chmod 700 {}`, and empty it", dir.display())));
    }
    // A file that was just made belongs to whoever runs this program.
    if tempfile::tempfile_in(dir)?.metadata()?.uid() != metadata.uid() {
        return Err(io::Error::other("it belongs to another user"));
    }
    Ok(())
}

fn touch(path: &Path) {
    // Only the order of removal depends on it.
    let _ = fs::File::open(path).and_then(|file| file.set_modified(SystemTime::now()));
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const EMPTY_COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

    struct Fixture {
        folder: tempfile::TempDir,
        cache: AotCache,
        engine: Engine,
    }

    fn fixture() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        Fixture { cache: AotCache::at(folder.path().join("cache")), engine: Engine::default(), folder }
    }

    impl Fixture {
        fn store(&self, digest: &str) -> PathBuf {
            let component = Component::new(&self.engine, EMPTY_COMPONENT).unwrap();
            self.cache.store(&self.engine, digest, &component);
            self.cache.entry(&self.engine, digest).unwrap()
        }
    }

    #[test]
    fn what_was_stored_is_found_under_its_digest_alone() {
        let fixture = fixture();
        fixture.store("aa");
        assert!(fixture.cache.load(&fixture.engine, "aa").is_some());
        assert!(fixture.cache.load(&fixture.engine, "bb").is_none());
    }

    #[test]
    fn an_engine_with_other_settings_finds_nothing() {
        let fixture = fixture();
        fixture.store("aa");
        let other = Engine::new(wasmtime::Config::new().epoch_interruption(true)).unwrap();
        assert!(fixture.cache.load(&other, "aa").is_none());
    }

    #[test]
    fn a_damaged_entry_is_the_same_as_none_and_is_replaced() {
        let fixture = fixture();
        let path = fixture.store("aa");
        let whole = fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        *flipped.last_mut().unwrap() ^= 1;
        for damaged in [&flipped[..], &whole[..whole.len() - 1], &whole[..10], b"", EMPTY_COMPONENT] {
            fs::write(&path, damaged).unwrap();
            assert!(fixture.cache.load(&fixture.engine, "aa").is_none());
        }
        fixture.store("aa");
        assert!(fixture.cache.load(&fixture.engine, "aa").is_some());
    }

    #[test]
    fn bytes_with_a_fitting_digest_that_no_engine_made_are_refused() {
        let fixture = fixture();
        let path = fixture.store("aa");
        write(fixture.folder.path(), &path, b"anything at all").unwrap();
        assert!(fixture.cache.load(&fixture.engine, "aa").is_none());
    }

    #[test]
    fn a_folder_that_others_can_enter_is_not_used_unless_it_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        let open = || fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        open();
        assert!(AotCache::at(folder.path().to_owned()).dir.is_some());
        open();
        fs::write(folder.path().join("something"), "").unwrap();
        let cache = AotCache::at(folder.path().to_owned());
        assert!(cache.dir.is_none());
        assert!(cache.load(&Engine::default(), "aa").is_none());
    }

    #[test]
    fn the_folder_and_its_entries_are_private() {
        let fixture = fixture();
        let path = fixture.store("aa");
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!((mode(path.parent().unwrap()), mode(&path)), (0o700, 0o600));
    }

    #[test]
    fn what_was_used_longest_ago_gives_way() {
        let mut fixture = fixture();
        let entries = ["aa", "bb", "cc"].map(|digest| fixture.store(digest));
        for (age, path) in entries.iter().enumerate() {
            let file = fs::File::open(path).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(100 - age as u64)).unwrap();
        }
        fixture.cache.load(&fixture.engine, "aa").unwrap();
        fixture.cache.max_bytes = 2 * fs::metadata(&entries[0]).unwrap().len();
        fixture.cache.shrink(&fixture.folder.path().join("cache")).unwrap();
        assert_eq!(entries.map(|path| path.exists()), [true, false, true]);
    }
}
