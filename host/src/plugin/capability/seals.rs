//! `seals`: text that only the plugin that made it can read again, for the same user.

use std::time::Duration;

use super::super::{
    bindings::seals::{Host, SealError as GuestError},
    call_state::CallState,
    seals::{Owner, SealError},
};

/// Of what is sealed.
const MAX_CONTENT_BYTES: usize = 64 << 10;

impl Host for CallState {
    fn seal(&mut self, purpose: String, content: Vec<u8>, for_ms: u64) -> Result<String, GuestError> {
        if content.len() > MAX_CONTENT_BYTES {
            let problem = format!("the content has {} bytes, and {MAX_CONTENT_BYTES} are allowed", content.len());
            return Err(GuestError::LimitExceeded(problem));
        }
        let owner = self.seal_owner(&purpose);
        Ok(self.version.shared.seals.seal(&owner, &content, Duration::from_millis(for_ms))?)
    }

    fn open(&mut self, purpose: String, sealed: String) -> Result<Vec<u8>, GuestError> {
        Ok(self.version.shared.seals.open(&self.seal_owner(&purpose), &sealed)?)
    }
}

impl CallState {
    fn seal_owner<'a>(&'a self, purpose: &'a str) -> Owner<'a> {
        let principal = &self.context.caller.principal;
        Owner { plugin: &self.version.name, tenant: principal.tenant.as_deref(), subject: &principal.subject, purpose }
    }
}

impl From<SealError> for GuestError {
    fn from(fault: SealError) -> Self {
        match fault {
            SealError::NotGenuine => Self::NotGenuine,
            SealError::Expired => Self::Expired,
            SealError::Failed => Self::Other("the host could not encrypt".into()),
        }
    }
}
