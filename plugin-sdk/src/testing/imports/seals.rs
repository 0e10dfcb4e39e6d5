//! `seals`: text that is bound to plugin, user, purpose and time as in the real host, though not secret.

use std::hash::{DefaultHasher, Hash, Hasher};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

use super::with;
use crate::{SealError, testing::world::World};

/// Of what is sealed.
const MAX_CONTENT_BYTES: usize = 64 << 10;

/// The check sum and the end of its time, in front of the content.
const HEAD: usize = 16;

pub(crate) fn seal(purpose: &str, content: &[u8], for_ms: u64) -> Result<String, SealError> {
    if content.len() > MAX_CONTENT_BYTES {
        let problem = format!("the content has {} bytes, and {MAX_CONTENT_BYTES} are allowed", content.len());
        return Err(SealError::LimitExceeded(problem));
    }
    with(|world| {
        let until = now_ms(world).saturating_add(for_ms);
        let sum = check_sum(world, purpose, until, content);
        let sealed = [sum.to_be_bytes().as_slice(), until.to_be_bytes().as_slice(), content].concat();
        Ok(BASE64_URL_SAFE_NO_PAD.encode(sealed))
    })
}

pub(crate) fn open(purpose: &str, sealed: &str) -> Result<Vec<u8>, SealError> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(sealed).map_err(|_| SealError::NotGenuine)?;
    let (head, content) = bytes.split_at_checked(HEAD).ok_or(SealError::NotGenuine)?;
    let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    let (sum, until) = (number(&head[..HEAD / 2]), number(&head[HEAD / 2..]));
    with(|world| {
        if sum != check_sum(world, purpose, until, content) {
            return Err(SealError::NotGenuine);
        }
        if until < now_ms(world) { Err(SealError::Expired) } else { Ok(content.to_vec()) }
    })
}

fn check_sum(world: &mut World, purpose: &str, until: u64, content: &[u8]) -> u64 {
    let call = world.call();
    let principal = &call.context.principal;
    let mut hasher = DefaultHasher::new();
    (&call.plugin, &principal.tenant, &principal.subject, purpose, until, content).hash(&mut hasher);
    hasher.finish()
}

fn now_ms(world: &World) -> u64 {
    u64::try_from(world.now.as_millis()).unwrap_or(u64::MAX)
}
