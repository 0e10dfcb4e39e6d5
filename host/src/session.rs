//! A session: what a client has beyond the socket that it uses at the moment.
//!
//! A session knows who the client is, what waits to be written to it, and whether it is still open.
//! It never names a transport: whoever owns the socket drains the [`Outbox`] and reads the
//! [`Inbox`]'s jobs.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use arc_swap::ArcSwap;

pub(crate) mod inbox;
pub(crate) mod outbox;
pub(crate) mod registry;
pub(crate) mod state;

pub(crate) use inbox::Inbox;
pub(crate) use outbox::{Frame, Outbox};
pub(crate) use registry::Sessions;

use crate::auth::Principal;
use state::{Event, State};

/// One client, from the verified token to the last handler's end.
#[derive(Debug)]
pub(crate) struct Session {
    pub id: Arc<str>,
    pub connection_id: Arc<str>,
    /// Replaced by `refresh_token`; subject and tenant never change.
    principal: ArcSwap<Principal>,
    pub outbox: Outbox,
    state: Mutex<State>,
    pub opened_at: Instant,
}

impl Session {
    /// `state` is where the handshake has come to.
    pub fn new(id: Arc<str>, connection_id: Arc<str>, principal: Principal, outbox: Outbox, state: State) -> Self {
        Self {
            id,
            connection_id,
            principal: ArcSwap::from_pointee(principal),
            outbox,
            state: Mutex::new(state),
            opened_at: Instant::now(),
        }
    }

    pub fn principal(&self) -> Arc<Principal> {
        self.principal.load_full()
    }

    /// Takes over a newer token of the same user.
    pub fn renew(&self, principal: Principal) {
        self.principal.store(Arc::new(principal));
    }

    pub fn state(&self) -> State {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves on, and says whether that changed anything.
    pub fn advance(&self, event: Event) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let next = state.after(event);
        let changed = next != *state;
        *state = next;
        changed
    }
}
