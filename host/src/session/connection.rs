//! A socket, as everybody sees it who does not own it: its name, whether it is to close, and why.
//!
//! Closing is a state, not a message: the first reason wins, and what was sent before it is still
//! written, unless the reason is that nothing can be.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    time::Instant,
};

use switchboard_protocol::CloseCode;
use tokio::sync::Notify;

use super::state::{Event, State};

#[derive(Debug)]
pub(crate) struct Connection {
    pub id: Arc<str>,
    pub opened_at: Instant,
    state: Mutex<State>,
    close: Mutex<Option<CloseCode>>,
    orders: AtomicU8,
    /// Wakes the writer.
    ready: Notify,
    /// Wakes the reader, which has to stop.
    told: Notify,
}

/// What the host tells a socket's owner to do. Each is told by itself rather than through a token that
/// all of them share, because each message would have to take that token's lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Read nothing more, finish what was read, close.
    Leave,
    /// End now.
    Abandon,
}

/// Why a socket's owner has to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    Close(CloseCode),
    Order(Order),
}

impl Connection {
    /// `state` is where the handshake has come to.
    pub fn new(id: Arc<str>, state: State) -> Self {
        Self {
            id,
            opened_at: Instant::now(),
            state: Mutex::new(state),
            close: Mutex::new(None),
            orders: AtomicU8::new(0),
            ready: Notify::new(),
            told: Notify::new(),
        }
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

    /// Ends it after what waits. Says whether this was the first reason.
    pub fn close(&self, code: CloseCode) -> bool {
        let mut close = self.close.lock().unwrap_or_else(PoisonError::into_inner);
        let first = close.is_none();
        if first {
            *close = Some(code);
            drop(close);
            self.ready.notify_one();
            self.told.notify_one();
        }
        first
    }

    pub fn close_code(&self) -> Option<CloseCode> {
        *self.close.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the writer.
    pub fn wake(&self) {
        self.ready.notify_one();
    }

    /// Returns when there may be something to write. One task may wait.
    pub async fn woken(&self) {
        self.ready.notified().await;
    }

    pub fn order(&self, order: Order) {
        let rank = match order {
            Order::Leave => 1,
            Order::Abandon => 2,
        };
        self.orders.fetch_max(rank, Ordering::SeqCst);
        self.told.notify_one();
    }

    /// Returns when it is to close, or when there is an order that goes further than `seen`. One task may wait: a wait less
    /// is room for it less, in each connection that is open.
    pub async fn told(&self, seen: Option<Order>) -> Told {
        loop {
            // Made before looking, so that what comes in between is not missed.
            let told = self.told.notified();
            if let Some(code) = self.close_code() {
                return Told::Close(code);
            }
            match (self.orders.load(Ordering::SeqCst), seen) {
                (2.., _) => return Told::Order(Order::Abandon),
                (1, None) => return Told::Order(Order::Leave),
                _ => told.await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_reason_to_close_wins() {
        let connection = Connection::new("ws_1".into(), State::Open);
        assert_eq!(connection.close_code(), None);
        assert!(connection.close(CloseCode::ServiceRestart));
        assert!(!connection.close(CloseCode::TokenExpired));
        assert_eq!(connection.told(Some(Order::Leave)).await, Told::Close(CloseCode::ServiceRestart));
    }

    #[tokio::test]
    async fn an_order_is_seen_once_and_only_a_further_one_after_it() {
        let connection = Connection::new("ws_1".into(), State::Open);
        connection.order(Order::Leave);
        assert_eq!(connection.told(None).await, Told::Order(Order::Leave));
        connection.order(Order::Abandon);
        assert_eq!(connection.told(Some(Order::Leave)).await, Told::Order(Order::Abandon));
    }
}
