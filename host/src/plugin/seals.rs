//! Text that a plugin hands out and wants back unread and unchanged.
//!
//! AES-256-GCM (NIST SP 800-38D) with a random nonce. Plugin, tenant, subject and purpose are authenticated with it
//! and not part of it, so that what was sealed for one is noise to any other.
//!
//! The first key seals, and each of them opens: a key that is replaced stays behind the new one for as long as texts
//! that were sealed with it are good for. Hosts with the same keys read each other's.

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    digest,
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

use crate::{
    config::{SealKey, SecretFault},
    storage::key_file,
};

/// As many bits as the cipher has.
const MIN_SECRET_BYTES: usize = 32;

/// The key in the data folder.
const FILE_NAME: &str = "seal.key";

/// Before the encrypted part: the format, the nonce.
const FORMAT: u8 = 1;

/// Unix milliseconds, in front of the content.
const EXPIRY_BYTES: usize = 8;

/// For whom, and for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner<'a> {
    pub plugin: &'a str,
    pub tenant: Option<&'a str>,
    pub subject: &'a str,
    pub purpose: &'a str,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum SealError {
    #[error("it was not sealed here for this purpose, plugin and user, or was changed since")]
    NotGenuine,
    #[error("its time is up")]
    Expired,
    #[error("it could not be encrypted")]
    Failed,
}

/// Why there is no key. Holds nothing of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SealKeyError {
    #[error("{}: {problem}", path.display())]
    Generated { path: PathBuf, problem: String },
    #[error(transparent)]
    Secret(#[from] SecretFault),
    #[error("{origin} has {bytes} bytes, and a secret has {MIN_SECRET_BYTES} or more")]
    TooShort { origin: String, bytes: usize },
}

/// One per host.
pub(crate) struct Seals {
    keys: Vec<RandomizedNonceKey>,
}

impl Seals {
    /// With the keys of a host. Blocks.
    pub fn open_keys(keys: &[SealKey], data_dir: &Path) -> Result<Self, SealKeyError> {
        let secrets: Result<Vec<Vec<u8>>, _> = keys.iter().map(|key| secret(key, data_dir)).collect();
        Ok(Self::new(&secrets?))
    }

    /// With a key that nobody else will ever have.
    pub fn random() -> Self {
        Self::new(&[rand::random::<[u8; 32]>()])
    }

    /// With keys made of secrets of any length.
    fn new(secrets: &[impl AsRef<[u8]>]) -> Self {
        let key = |secret: &[u8]| {
            let key = digest::digest(&digest::SHA256, secret);
            // Only a key of another length would be none.
            RandomizedNonceKey::new(&AES_256_GCM, key.as_ref()).ok()
        };
        Self { keys: secrets.iter().filter_map(|secret| key(secret.as_ref())).collect() }
    }

    pub fn seal(&self, owner: &Owner<'_>, content: &[u8], time: Duration) -> Result<String, SealError> {
        let until = now_ms().saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        let mut sealed = [&until.to_le_bytes(), content].concat();
        let key = self.keys.first().ok_or(SealError::Failed)?;
        let nonce =
            key.seal_in_place_append_tag(Aad::from(owner.digest()), &mut sealed).map_err(|_| SealError::Failed)?;
        let text = [&[FORMAT], nonce.as_ref().as_slice(), &sealed].concat();
        Ok(BASE64_URL_SAFE_NO_PAD.encode(text))
    }

    pub fn open(&self, owner: &Owner<'_>, sealed: &str) -> Result<Vec<u8>, SealError> {
        self.open_at(owner, sealed, now_ms())
    }

    fn open_at(&self, owner: &Owner<'_>, sealed: &str, now_ms: u64) -> Result<Vec<u8>, SealError> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(sealed).map_err(|_| SealError::NotGenuine)?;
        let rest = bytes.strip_prefix(&[FORMAT]).ok_or(SealError::NotGenuine)?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE_LEN>().ok_or(SealError::NotGenuine)?;
        let content = self.keys.iter().find_map(|key| opened(key, owner, *nonce, rest)).ok_or(SealError::NotGenuine)?;
        let (until, content) = content.split_first_chunk::<EXPIRY_BYTES>().ok_or(SealError::NotGenuine)?;
        if u64::from_le_bytes(*until) < now_ms {
            return Err(SealError::Expired);
        }
        Ok(content.to_vec())
    }
}

fn secret(key: &SealKey, data_dir: &Path) -> Result<Vec<u8>, SealKeyError> {
    match key {
        SealKey::Generated => {
            let path = key_file::path_in(data_dir, FILE_NAME);
            let key = key_file::read_or_make(&path);
            key.map(Vec::from).map_err(|problem| SealKeyError::Generated { path, problem })
        }
        SealKey::Secret(source) => {
            let secret = source.read()?;
            if secret.len() < MIN_SECRET_BYTES {
                return Err(SealKeyError::TooShort { origin: source.to_string(), bytes: secret.len() });
            }
            Ok(secret)
        }
    }
}

fn opened(key: &RandomizedNonceKey, owner: &Owner<'_>, nonce: [u8; NONCE_LEN], sealed: &[u8]) -> Option<Vec<u8>> {
    // Another key leaves noise behind when it fails.
    let mut sealed = sealed.to_vec();
    let nonce = Nonce::assume_unique_for_key(nonce);
    let content = key.open_in_place(nonce, Aad::from(owner.digest()), &mut sealed).ok()?;
    Some(content.to_vec())
}

impl Owner<'_> {
    /// Lengths go in, too, so that no two owners are the same bytes.
    fn digest(&self) -> [u8; 32] {
        let mut context = digest::Context::new(&digest::SHA256);
        let tenant = self.tenant.map_or_else(Vec::new, |tenant| [b"t", tenant.as_bytes()].concat());
        for part in [self.plugin.as_bytes(), &tenant, self.subject.as_bytes(), self.purpose.as_bytes()] {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        let mut bytes = [0; 32];
        bytes.copy_from_slice(context.finish().as_ref());
        bytes
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SecretSource;

    const ALICE: Owner<'_> = Owner { plugin: "p", tenant: None, subject: "alice", purpose: "tools/call t" };

    #[test]
    fn only_the_owner_reads_what_was_sealed() {
        let seals = Seals::new(&["secret"]);
        let sealed = seals.seal(&ALICE, b"round 1", Duration::from_secs(60)).unwrap();
        assert_eq!(seals.open(&ALICE, &sealed).unwrap(), b"round 1");
        for other in [
            Owner { subject: "bob", ..ALICE },
            Owner { tenant: Some(""), ..ALICE },
            Owner { plugin: "q", ..ALICE },
            Owner { purpose: "tools/call u", ..ALICE },
            Owner { plugin: "pa", subject: "lice", ..ALICE },
        ] {
            assert_eq!(seals.open(&other, &sealed), Err(SealError::NotGenuine), "{other:?}");
        }
        assert_eq!(Seals::new(&["another"]).open(&ALICE, &sealed), Err(SealError::NotGenuine));
        assert!(!sealed.contains("round"));
    }

    #[test]
    fn a_key_that_was_replaced_opens_as_long_as_it_stays_behind() {
        let (old, new) = ("o".repeat(MIN_SECRET_BYTES), "n".repeat(MIN_SECRET_BYTES));
        let sealed = Seals::new(&[&old]).seal(&ALICE, b"x", Duration::from_secs(60)).unwrap();
        let both = Seals::new(&[&new, &old]);
        assert_eq!(both.open(&ALICE, &sealed).unwrap(), b"x");
        let sealed = both.seal(&ALICE, b"y", Duration::from_secs(60)).unwrap();
        assert_eq!(Seals::new(&[&new]).open(&ALICE, &sealed).unwrap(), b"y");
        assert_eq!(Seals::new(&[&old]).open(&ALICE, &sealed), Err(SealError::NotGenuine));
    }

    #[test]
    fn hosts_read_what_others_sealed_that_have_the_same_key() {
        let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let host = |keys: &[SealKey], at: usize| Seals::open_keys(keys, folders[at].path());
        let sealed = host(&[SealKey::Generated], 0).unwrap().seal(&ALICE, b"x", Duration::from_secs(60)).unwrap();
        assert_eq!(host(&[SealKey::Generated], 0).unwrap().open(&ALICE, &sealed).unwrap(), b"x", "after a restart");
        assert_eq!(host(&[SealKey::Generated], 1).unwrap().open(&ALICE, &sealed), Err(SealError::NotGenuine));
        let path = folders[0].path().join("shared");
        let shared = [SealKey::Secret(SecretSource::File(path.clone())), SealKey::Generated];
        std::fs::write(&path, "too short\n").unwrap();
        assert!(matches!(host(&shared, 0), Err(SealKeyError::TooShort { bytes: 9, .. })));
        std::fs::write(&path, "s".repeat(MIN_SECRET_BYTES)).unwrap();
        let sealed = host(&shared, 0).unwrap().seal(&ALICE, b"x", Duration::from_secs(60)).unwrap();
        assert_eq!(host(&shared, 1).unwrap().open(&ALICE, &sealed).unwrap(), b"x");
    }

    #[test]
    fn every_change_is_noticed_and_time_runs_out() {
        let seals = Seals::new(&["secret"]);
        let sealed = seals.seal(&ALICE, b"x", Duration::from_secs(60)).unwrap();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_ne!(seals.open(&ALICE, &changed).ok().as_deref(), Some(b"x".as_slice()), "byte {at}");
        }
        for nonsense in ["", "A", "!!!", &sealed[..20]] {
            assert_eq!(seals.open(&ALICE, nonsense), Err(SealError::NotGenuine));
        }
        assert_eq!(seals.open_at(&ALICE, &sealed, now_ms() + 61_000), Err(SealError::Expired));
    }
}
