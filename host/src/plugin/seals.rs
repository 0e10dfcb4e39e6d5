//! Text that a plugin hands out and wants back unread and unchanged.
//!
//! AES-256-GCM (NIST SP 800-38D) with a random nonce. Plugin, tenant, subject and purpose are authenticated with it
//! and not part of it, so that what was sealed for one is noise to any other.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    digest,
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

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

/// One per host.
pub(crate) struct Seals {
    /// Only a key of another length would be none.
    key: Option<RandomizedNonceKey>,
}

impl Seals {
    /// With a key made of a secret of any length.
    pub fn new(secret: &[u8]) -> Self {
        let key = digest::digest(&digest::SHA256, secret);
        Self { key: RandomizedNonceKey::new(&AES_256_GCM, key.as_ref()).ok() }
    }

    pub fn seal(&self, owner: &Owner<'_>, content: &[u8], time: Duration) -> Result<String, SealError> {
        let until = now_ms().saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        let mut sealed = [&until.to_le_bytes(), content].concat();
        let key = self.key.as_ref().ok_or(SealError::Failed)?;
        let nonce =
            key.seal_in_place_append_tag(Aad::from(owner.digest()), &mut sealed).map_err(|_| SealError::Failed)?;
        let text = [&[FORMAT], nonce.as_ref().as_slice(), &sealed].concat();
        Ok(BASE64_URL_SAFE_NO_PAD.encode(text))
    }

    pub fn open(&self, owner: &Owner<'_>, sealed: &str) -> Result<Vec<u8>, SealError> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(sealed).map_err(|_| SealError::NotGenuine)?;
        let rest = bytes.strip_prefix(&[FORMAT]).ok_or(SealError::NotGenuine)?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE_LEN>().ok_or(SealError::NotGenuine)?;
        let mut rest = rest.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let key = self.key.as_ref().ok_or(SealError::Failed)?;
        let content =
            key.open_in_place(nonce, Aad::from(owner.digest()), &mut rest).map_err(|_| SealError::NotGenuine)?;
        let (until, content) = content.split_first_chunk::<EXPIRY_BYTES>().ok_or(SealError::NotGenuine)?;
        if u64::from_le_bytes(*until) < now_ms() {
            return Err(SealError::Expired);
        }
        Ok(content.to_vec())
    }
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

    const ALICE: Owner<'_> = Owner { plugin: "p", tenant: None, subject: "alice", purpose: "tools/call t" };

    #[test]
    fn only_the_owner_reads_what_was_sealed() {
        let seals = Seals::new(b"secret");
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
        assert_eq!(Seals::new(b"another").open(&ALICE, &sealed), Err(SealError::NotGenuine));
        assert!(!sealed.contains("round"));
    }

    #[test]
    fn every_change_is_noticed_and_time_runs_out() {
        let seals = Seals::new(b"secret");
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
        let past = seals.seal(&ALICE, b"x", Duration::ZERO).unwrap();
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(seals.open(&ALICE, &past), Err(SealError::Expired));
    }
}
