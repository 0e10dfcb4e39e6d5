//! `state`: what a plugin remembers from one call to the next. The store is in `plugin::state`; here it
//! is decided under whose name.

use super::super::{
    bindings::state::{Host, Scope, StateError},
    call_state::CallState,
    state::{Owner, Place, StateFault, now},
};

impl Host for CallState {
    async fn get(&mut self, in_: Scope, key: String) -> Result<Option<Vec<u8>>, StateError> {
        let owner = self.owner(in_);
        Ok(self.version.shared.state.get(self.place(&owner), &key).await?)
    }

    async fn set(&mut self, in_: Scope, key: String, value: Vec<u8>, ttl_ms: Option<u64>) -> Result<(), StateError> {
        let owner = self.owner(in_);
        Ok(self.version.shared.state.set(self.place(&owner), &key, &value, ttl_ms).await?)
    }

    async fn delete(&mut self, in_: Scope, key: String) -> Result<bool, StateError> {
        let owner = self.owner(in_);
        Ok(self.version.shared.state.delete(self.place(&owner), &key).await?)
    }

    async fn increment(&mut self, in_: Scope, key: String, by: i64) -> Result<i64, StateError> {
        let owner = self.owner(in_);
        Ok(self.version.shared.state.increment(self.place(&owner), &key, by).await?)
    }

    async fn compare_and_set(
        &mut self,
        in_: Scope,
        key: String,
        expected: Option<Vec<u8>>,
        value: Vec<u8>,
        ttl_ms: Option<u64>,
    ) -> Result<bool, StateError> {
        let owner = self.owner(in_);
        let (place, expected) = (self.place(&owner), expected.as_deref());
        Ok(self.version.shared.state.compare_and_set(place, &key, expected, &value, ttl_ms).await?)
    }
}

impl CallState {
    fn owner(&self, scope: Scope) -> Owner {
        let caller = &self.context.caller;
        match scope {
            Scope::Connection => Owner::Session(caller.session_id.clone()),
            Scope::User => {
                Owner::User { tenant: caller.principal.tenant.clone(), subject: caller.principal.subject.clone() }
            }
            Scope::Plugin => Owner::Plugin,
        }
    }

    fn place<'a>(&'a self, owner: &'a Owner) -> Place<'a> {
        let session = &*self.context.caller.session;
        Place { plugin: &self.version.name, owner, session, quota: self.version.limits.max_state_bytes, now: now() }
    }
}

impl From<StateFault> for StateError {
    fn from(fault: StateFault) -> Self {
        match fault {
            StateFault::Key(_) => Self::Invalid(fault.to_string()),
            StateFault::Quota { .. } => Self::QuotaExceeded(fault.to_string()),
            StateFault::Full { .. } | StateFault::TooManyOwners | StateFault::Behind => {
                Self::LimitExceeded(fault.to_string())
            }
            StateFault::NotANumber => Self::NotANumber,
            StateFault::SessionEnded | StateFault::Unreadable => Self::Other(fault.to_string()),
        }
    }
}
