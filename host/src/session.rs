//! A session: what a client has beyond the socket that it uses at the moment.
//!
//! A session knows who the client is, what waits to be written to it, and whether it is still open.
//! It never names a transport: whoever owns the socket drains the [`Outbox`] and reads the
//! [`Inbox`]'s jobs.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    time::Instant,
};

use arc_swap::ArcSwap;
use tokio::sync::Notify;

#[cfg_attr(not(test), expect(dead_code, unused_imports, reason = "the inbox will ask it"))]
pub(crate) mod answers;
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
    orders: AtomicU8,
    ordered: Notify,
    pub opened_at: Instant,
}

/// What the host tells a session's owner to do. A session is told by itself rather than through a
/// token that all of them share, because each message would have to take that token's lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Read nothing more, finish what was read, close.
    Leave,
    /// End now.
    Abandon,
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
            orders: AtomicU8::new(0),
            ordered: Notify::new(),
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

    /// Moves on, if the event fits.
    pub fn advance(&self, event: Event) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let next = state.after(event);
        if next != *state {
            tracing::debug!(from = ?*state, to = ?next, "the connection's state");
        }
        *state = next;
    }

    pub fn order(&self, order: Order) {
        let rank = match order {
            Order::Leave => 1,
            Order::Abandon => 2,
        };
        self.orders.fetch_max(rank, Ordering::SeqCst);
        self.ordered.notify_one();
    }

    /// Returns when there is an order that goes further than `seen`. One task may wait.
    pub async fn ordered(&self, seen: Option<Order>) -> Order {
        loop {
            // Made before looking, so that an order in between is not missed.
            let ordered = self.ordered.notified();
            match (self.orders.load(Ordering::SeqCst), seen) {
                (2.., _) => return Order::Abandon,
                (1, None) => return Order::Leave,
                _ => ordered.await,
            }
        }
    }
}
