//! Where messages go in a session without a socket: to the exchange that they answer, or else to the
//! one stream that a client can open for everything else.
//!
//! Nobody may read that stream for a long time, or ever: then the oldest of what waits in it is
//! dropped, because neither the session nor whoever sends can wait for a client that need not come.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use bytes::Bytes;
use tokio::sync::watch;

use super::{
    Ended, Frame, Session,
    exchange::{End, Exchange, ExchangeGuard},
};

/// How much waits for a client that may come: about as much as it can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub bytes: usize,
    pub frames: usize,
}

#[derive(Debug)]
pub(crate) struct Streams {
    /// `None` for a session that is one request long.
    waiting: Option<Waiting>,
    inner: Mutex<Inner>,
    /// Rises with whatever a reader has to look at.
    changed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Inner {
    exchanges: HashMap<Arc<str>, Weak<Exchange>>,
    queue: VecDeque<Frame>,
    bytes: usize,
    /// Of the reader that the queue is for.
    generation: u64,
    ended: bool,
}

impl Streams {
    /// `waiting` bounds what belongs to no exchange; without it, there is no place for that.
    pub fn new(waiting: Option<Waiting>) -> Self {
        Self { waiting, inner: Mutex::default(), changed: watch::Sender::new(0) }
    }

    fn open(&self, key: Arc<str>, max_bytes: usize) -> Arc<Exchange> {
        let exchange = Arc::new(Exchange::new(key.clone(), max_bytes));
        let mut inner = self.lock();
        // Of those that their clients let go of, only the request itself knew.
        inner.exchanges.retain(|_, exchange| exchange.strong_count() > 0);
        if inner.ended {
            exchange.end(End::SessionEnded);
        } else {
            inner.exchanges.insert(key, Arc::downgrade(&exchange));
        }
        exchange
    }

    pub(super) fn exchange(&self, key: &str) -> Option<Arc<Exchange>> {
        self.lock().exchanges.get(key).and_then(Weak::upgrade)
    }

    /// What belongs to a request that has gone is for nobody.
    pub(super) fn push(&self, key: Option<&str>, frame: Frame) -> Result<(), Ended> {
        match key {
            Some(key) => self.exchange(key).filter(|exchange| exchange.push(frame)).map(drop).ok_or(Ended),
            None => self.collect(frame),
        }
    }

    fn collect(&self, frame: Frame) -> Result<(), Ended> {
        let waiting = self.waiting.ok_or(Ended)?;
        let mut inner = self.lock();
        if inner.ended {
            return Err(Ended);
        }
        if frame.volatile.is_some()
            && let Some(place) = inner.queue.iter().position(|other| other.volatile == frame.volatile)
            && let Some(older) = inner.queue.remove(place)
        {
            inner.bytes -= older.bytes.len();
        }
        inner.bytes += frame.bytes.len();
        inner.queue.push_back(frame);
        while inner.bytes > waiting.bytes || inner.queue.len() > waiting.frames {
            let Some(oldest) = inner.queue.pop_front() else { break };
            inner.bytes -= oldest.bytes.len();
        }
        drop(inner);
        self.wake();
        Ok(())
    }

    /// Ends all that is open, and takes nothing in any more.
    pub(super) fn end(&self) {
        let open: Vec<_> = {
            let mut inner = self.lock();
            inner.ended = true;
            inner.queue.clear();
            inner.bytes = 0;
            std::mem::take(&mut inner.exchanges).into_values().filter_map(|exchange| exchange.upgrade()).collect()
        };
        self.wake();
        open.iter().for_each(|exchange| exchange.end_at_once());
    }

    fn wake(&self) {
        self.changed.send_modify(|count| *count = count.wrapping_add(1));
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads what belongs to no exchange, until another reader comes.
#[derive(Debug)]
pub(crate) struct StreamReader {
    session: Arc<Session>,
    generation: u64,
}

impl StreamReader {
    /// The next message. `None`: there is a newer reader, or the session has ended.
    pub async fn next(&mut self) -> Option<Bytes> {
        let streams = self.session.streams.as_ref()?;
        let mut changed = streams.changed.subscribe();
        loop {
            {
                let mut inner = streams.lock();
                if inner.ended || inner.generation != self.generation {
                    return None;
                }
                if let Some(frame) = inner.queue.pop_front() {
                    inner.bytes -= frame.bytes.len();
                    return Some(frame.bytes);
                }
            }
            // It has seen everything up to its subscription, which was made before looking.
            changed.changed().await.ok()?;
        }
    }
}

impl Session {
    /// Opens the way for the answers to one message, whose `id` has to be the key. Keys are unique in
    /// the session. Only of a session without a socket; of another, it has ended already.
    pub fn open_exchange(self: &Arc<Self>, key: Arc<str>, max_bytes: usize) -> ExchangeGuard {
        let exchange = match &self.streams {
            Some(streams) => streams.open(key, max_bytes),
            None => {
                let exchange = Exchange::new(key, max_bytes);
                exchange.end(End::SessionEnded);
                Arc::new(exchange)
            }
        };
        ExchangeGuard::new(self.clone(), exchange)
    }

    /// Reads from here on what belongs to no exchange, instead of whoever did before.
    pub fn read_stream(self: &Arc<Self>) -> StreamReader {
        let generation = self.streams.as_ref().map_or(0, |streams| {
            let mut inner = streams.lock();
            inner.generation += 1;
            inner.generation
        });
        if let Some(streams) = &self.streams {
            streams.wake();
        }
        StreamReader { session: self.clone(), generation }
    }

    /// A message was answered that never came to a handler.
    pub fn end_exchange(&self, key: Option<&str>) {
        let streams = self.streams.as_ref().zip(key);
        if let Some(exchange) = streams.and_then(|(streams, key)| streams.exchange(key)) {
            exchange.end(End::Answered);
        }
    }

    pub(super) fn forget_exchange(&self, key: &str) {
        if let Some(streams) = &self.streams {
            streams.lock().exchanges.remove(key);
        }
    }
}
