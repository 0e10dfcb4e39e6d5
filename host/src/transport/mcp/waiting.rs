//! How many requests of one user have not been answered yet, from before their bodies are read until their last
//! byte. At first they hold a place in the HTTP phase each, which are for everybody.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use switchboard_protocol::ErrorCode;

use crate::{auth::Principal, transport::refusal::Refusal};

/// A quarter of the places that there are.
const MAX_PER_USER: usize = 256;

/// When one of them is likely to be done.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The same subject in two tenants is two users.
pub(super) type User = (Option<String>, String);

pub(super) fn user_of(principal: &Principal) -> User {
    (principal.tenant.clone(), principal.subject.clone())
}

#[derive(Default)]
pub(super) struct Waiting(Arc<Mutex<HashMap<User, usize>>>);

/// One that waits.
pub(super) struct Waits {
    counts: Arc<Mutex<HashMap<User, usize>>>,
    user: User,
}

impl Waiting {
    pub fn enter(&self, principal: &Principal) -> Result<Waits, Refusal> {
        let user = user_of(principal);
        let mut counts = locked(&self.0);
        let count = counts.entry(user.clone()).or_default();
        if *count >= MAX_PER_USER {
            let detail = format!("{MAX_PER_USER} requests of this user have not been answered yet");
            let refusal = Refusal::new(ErrorCode::TooManyInFlight, detail);
            return Err(Refusal { retry_after: Some(RETRY_AFTER), ..refusal });
        }
        *count += 1;
        Ok(Waits { counts: self.0.clone(), user })
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        let mut counts = locked(&self.counts);
        if let Some(count) = counts.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.user);
            }
        }
    }
}

/// A count is never left half changed, so a panic elsewhere does not spoil it.
fn locked(counts: &Mutex<HashMap<User, usize>>) -> MutexGuard<'_, HashMap<User, usize>> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_user_has_so_many_and_gets_them_back() {
        let waiting = Waiting::default();
        let (alice, bob) = (Principal::named(None, "alice"), Principal::named(None, "bob"));
        let mut held: Vec<_> = (0..MAX_PER_USER).map(|_| waiting.enter(&alice).unwrap()).collect();
        assert_eq!(waiting.enter(&alice).err().unwrap().code, ErrorCode::TooManyInFlight);
        assert!(waiting.enter(&bob).is_ok());
        held.pop();
        assert!(waiting.enter(&alice).is_ok());
        drop(held);
        assert!(locked(&waiting.0).is_empty());
    }
}
