//! `state`: what a plugin remembers from one call to the next. The store is in `state_store`; here it
//! is decided under whose name.

use std::time::{Duration, Instant};

use super::super::{
    bindings::state::{Host, Scope, StateError},
    call_state::CallState,
    state_store::{Owner, Place, StateFault, StateStore},
};

impl Host for CallState {
    fn get(&mut self, in_: Scope, key: String) -> Result<Option<Vec<u8>>, StateError> {
        self.within(in_, |store, place| store.get(place, &key))
    }

    fn set(&mut self, in_: Scope, key: String, value: Vec<u8>, ttl_ms: Option<u64>) -> Result<(), StateError> {
        self.within(in_, |store, place| store.set(place, &key, value, ttl_ms.map(Duration::from_millis)))
    }

    fn delete(&mut self, in_: Scope, key: String) -> Result<bool, StateError> {
        self.within(in_, |store, place| store.delete(place, &key))
    }

    fn increment(&mut self, in_: Scope, key: String, by: i64) -> Result<i64, StateError> {
        self.within(in_, |store, place| store.increment(place, &key, by))
    }

    fn compare_and_set(
        &mut self,
        in_: Scope,
        key: String,
        expected: Option<Vec<u8>>,
        value: Vec<u8>,
        ttl_ms: Option<u64>,
    ) -> Result<bool, StateError> {
        let ttl = ttl_ms.map(Duration::from_millis);
        self.within(in_, |store, place| store.compare_and_set(place, &key, expected.as_deref(), value, ttl))
    }
}

impl CallState {
    fn within<T>(
        &self,
        scope: Scope,
        operation: impl FnOnce(&StateStore, Place<'_>) -> Result<T, StateFault>,
    ) -> Result<T, StateError> {
        let caller = &self.context.caller;
        let owner = match scope {
            Scope::Connection => Owner::Session(caller.session_id.clone()),
            Scope::User => {
                Owner::User { tenant: caller.principal.tenant.clone(), subject: caller.principal.subject.clone() }
            }
            Scope::Plugin => Owner::Plugin,
        };
        let place = Place {
            plugin: &self.version.name,
            owner: &owner,
            quota: self.version.limits.max_state_bytes,
            now: Instant::now(),
        };
        operation(&self.version.shared.state, place).map_err(StateError::from)
    }
}

impl From<StateFault> for StateError {
    fn from(fault: StateFault) -> Self {
        match fault {
            StateFault::Key(_) => Self::Invalid(fault.to_string()),
            StateFault::Quota { .. } | StateFault::TooManyOwners => Self::QuotaExceeded(fault.to_string()),
            StateFault::NotANumber => Self::NotANumber,
            StateFault::SessionEnded => Self::Other(fault.to_string()),
        }
    }
}
