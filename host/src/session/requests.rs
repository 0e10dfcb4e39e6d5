//! The requests of one session that are not answered yet, and the names by which other messages of the
//! session find them: to end one, or to go on with one that was left open.
//!
//! ```text
//!   Runs ----------> Ended                   its call answered, failed, or was interrupted
//!     \   leave        ^
//!      `---> Left -----'                     given up by the host, or cancelled
//!             | ^
//!        take v | leave
//!           Resumed -> Ended                 another call answers it
//! ```
//!
//! What a request that was left open still has to do is a [`Duty`], which only whoever made it knows.
//! No lock is held while a duty is done.

use std::{
    any::Any,
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    Session,
    exchange::{End, Exchange, Shown},
};

/// What is left to be done about a request that no call works on.
pub(crate) trait Duty: Any + Send {
    /// The host answers in the place of the handler.
    fn give_up(self: Box<Self>);

    /// Nothing is said any more.
    fn cancelled(self: Box<Self>);
}

#[derive(Debug, Clone)]
pub(crate) struct Requests {
    table: Arc<Mutex<Table>>,
    /// For those that are left open.
    places: Arc<Semaphore>,
    max_left: usize,
}

#[derive(Debug, Default)]
struct Table {
    by_name: HashMap<Arc<str>, Arc<OpenRequest>>,
    closing: Closing,
}

/// What becomes of a request that is left open from now on.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Closing {
    #[default]
    No,
    /// The host answers it at once.
    GivesUp,
    /// Nobody is left to be answered.
    Silent,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RequestFault {
    #[error("another request of this session has this name, and is not answered yet")]
    UnderWay,
    #[error("no request of this session with this name is open")]
    Unknown,
    #[error("{0}")]
    LimitExceeded(String),
}

/// One message from when its handler begins until it is answered, however many calls that takes.
#[derive(Debug)]
pub(crate) struct OpenRequest {
    /// What its messages are marked with.
    pub correlation_id: Option<Arc<str>>,
    exchange: Option<Arc<Exchange>>,
    table: Weak<Mutex<Table>>,
    ended: CancellationToken,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    name: Option<Arc<str>>,
    stage: Stage,
    /// How often it was left open.
    left: u64,
}

#[derive(Debug)]
enum Stage {
    Runs,
    Left(Waiting),
    /// Another call works on it, which answers this request.
    Resumed(Weak<OpenRequest>),
    Ended {
        cancelled: bool,
    },
}

struct Waiting {
    duty: Box<dyn Duty>,
    number: u64,
    _place: Place,
    /// Ends whoever waits for the time to be up.
    _over: DropGuard,
}

/// That a request was left open.
pub(crate) struct Left {
    /// Cancelled when it no longer is.
    pub over: CancellationToken,
    /// Of its being left open, which can happen more than once.
    pub number: u64,
}

/// The right to leave one request open.
#[derive(Debug)]
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waiting").finish_non_exhaustive()
    }
}

/// A request that another call goes on with.
pub(crate) struct Taken {
    pub request: Arc<OpenRequest>,
    pub duty: Box<dyn Duty>,
}

impl Requests {
    /// At most so many are left open at a time. How many run, the inbox bounds.
    pub fn new(max_left: usize) -> Self {
        Self { table: Arc::default(), places: Arc::new(Semaphore::new(max_left)), max_left }
    }

    /// A message is handed to its handler.
    pub(super) fn open(&self, correlation_id: Option<Arc<str>>, exchange: Option<Arc<Exchange>>) -> Arc<OpenRequest> {
        let state = State { name: None, stage: Stage::Runs, left: 0 };
        let request = Arc::new(OpenRequest {
            correlation_id,
            exchange,
            table: Arc::downgrade(&self.table),
            ended: CancellationToken::new(),
            state: Mutex::new(state),
        });
        if let Some(exchange) = &request.exchange {
            exchange.belongs_to(&request);
            if exchange.is_ended() {
                // Its client has left already.
                request.cancel();
            }
        }
        request
    }

    /// Ends the request of this name. Whether there was one.
    pub fn cancel(&self, name: &str) -> bool {
        let found = lock(&self.table).by_name.get(name).cloned();
        found.is_some_and(|request| request.cancel())
    }

    /// Lets the call of another request go on with one that was left open.
    pub fn take(&self, name: &str, by: &Arc<OpenRequest>) -> Result<Taken, RequestFault> {
        let request = lock(&self.table).by_name.get(name).cloned().ok_or(RequestFault::Unknown)?;
        let duty = request.take_left(None, Stage::Resumed(Arc::downgrade(by))).ok_or(RequestFault::Unknown)?;
        Ok(Taken { request, duty })
    }

    /// The right to leave one more open.
    pub fn place(&self) -> Result<Place, RequestFault> {
        self.places.clone().try_acquire_owned().map(|_permit| Place { _permit }).map_err(|_| {
            let max = self.max_left;
            RequestFault::LimitExceeded(format!("{max} requests of this session are open (`limits.max_in_flight`)"))
        })
    }

    /// The host answers all that are left open.
    pub fn give_up(&self) {
        for request in self.named() {
            request.give_up(None);
        }
    }

    /// From now on, the host answers at once what is left open.
    pub fn close(&self) {
        let mut table = lock(&self.table);
        if table.closing == Closing::No {
            table.closing = Closing::GivesUp;
        }
        drop(table);
        self.give_up();
    }

    /// The session has ended: what is left open ends without a word, now and from now on.
    pub(super) fn end(&self) {
        lock(&self.table).closing = Closing::Silent;
        for request in self.named() {
            request.cancel_left();
        }
    }

    fn named(&self) -> Vec<Arc<OpenRequest>> {
        lock(&self.table).by_name.values().cloned().collect()
    }
}

impl OpenRequest {
    /// Cancelled when it has ended, however that was.
    pub fn ended(&self) -> &CancellationToken {
        &self.ended
    }

    pub fn is_ended(&self) -> bool {
        matches!(self.lock().stage, Stage::Ended { .. })
    }

    pub fn was_cancelled(&self) -> bool {
        matches!(self.lock().stage, Stage::Ended { cancelled: true })
    }

    /// Gives it a name, by which the session finds it until it has ended.
    pub fn begin(self: &Arc<Self>, name: &str) -> Result<(), RequestFault> {
        let table = self.table.upgrade().ok_or(RequestFault::Unknown)?;
        let mut table = lock(&table);
        let mut state = self.lock();
        if state.name.is_some() {
            return Err(RequestFault::LimitExceeded("a request has one name, and this one has it already".into()));
        }
        if table.by_name.contains_key(name) {
            return Err(RequestFault::UnderWay);
        }
        if matches!(state.stage, Stage::Ended { .. }) {
            return Err(RequestFault::Unknown);
        }
        let name: Arc<str> = name.into();
        state.name = Some(name.clone());
        table.by_name.insert(name, self.clone());
        Ok(())
    }

    pub fn has_name(&self) -> bool {
        self.lock().name.is_some()
    }

    /// How a transport with statuses shows the answer.
    pub fn show(&self, shown: Shown) {
        if let Some(exchange) = &self.exchange {
            exchange.show(shown);
        }
    }

    /// Its call has ended, and it has not. `None`: it has now, and the duty was done.
    pub fn leave(&self, place: Place, duty: Box<dyn Duty>) -> Option<Left> {
        let closing = {
            let table = self.table.upgrade();
            let table = table.as_deref().map(lock);
            let closing = table.as_ref().map_or(Closing::Silent, |table| table.closing);
            let mut state = self.lock();
            match state.stage {
                Stage::Ended { .. } => Closing::Silent,
                _ if closing == Closing::No => {
                    let over = CancellationToken::new();
                    state.left += 1;
                    let number = state.left;
                    let _over = over.clone().drop_guard();
                    state.stage = Stage::Left(Waiting { duty, number, _place: place, _over });
                    return Some(Left { over, number });
                }
                _ => closing,
            }
        };
        if closing == Closing::GivesUp {
            duty.give_up();
        } else {
            self.cancel();
            duty.cancelled();
        }
        None
    }

    /// The host answers it, if it is left open; for the time of that number, if one is given.
    pub fn give_up(&self, number: Option<u64>) {
        if let Some(duty) = self.take_left(number, Stage::Runs) {
            duty.give_up();
        }
    }

    /// Ends it: its call is interrupted, and nothing more is sent for it. Says whether it had not ended.
    pub fn cancel(&self) -> bool {
        let stage = self.close(true);
        match stage {
            Stage::Ended { .. } => return false,
            Stage::Runs => {}
            Stage::Left(waiting) => waiting.duty.cancelled(),
            Stage::Resumed(by) => {
                // Whatever that call was for itself, it works on nothing now.
                if let Some(by) = by.upgrade() {
                    by.cancel();
                }
            }
        }
        self.finished(End::Cancelled);
        true
    }

    /// It is to be told what became of it now, which happens once. Says whether this is it.
    pub fn finish(&self) -> bool {
        !matches!(self.close(false), Stage::Ended { .. })
    }

    /// It was told.
    pub fn finished(&self, how: End) {
        if let Some(exchange) = &self.exchange {
            exchange.end(how);
        }
    }

    fn cancel_left(&self) {
        if let Some(duty) = self.take_left(None, Stage::Runs) {
            self.cancel();
            duty.cancelled();
        }
    }

    fn take_left(&self, number: Option<u64>, then: Stage) -> Option<Box<dyn Duty>> {
        let mut state = self.lock();
        match std::mem::replace(&mut state.stage, then) {
            Stage::Left(left) if number.is_none_or(|number| number == left.number) => Some(left.duty),
            other => {
                state.stage = other;
                None
            }
        }
    }

    /// Returns the stage before.
    fn close(&self, cancelled: bool) -> Stage {
        let (stage, name) = {
            let mut state = self.lock();
            if let Stage::Ended { cancelled } = state.stage {
                return Stage::Ended { cancelled };
            }
            (std::mem::replace(&mut state.stage, Stage::Ended { cancelled }), state.name.clone())
        };
        if let (Some(table), Some(name)) = (self.table.upgrade(), name) {
            lock(&table).by_name.remove(&name);
        }
        self.ended.cancel();
        stage
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OpenRequest {
    /// Nobody is left who could answer it.
    fn drop(&mut self) {
        self.ended.cancel();
        self.finished(End::Silent);
    }
}

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Session {
    /// A message of it is handed to its handler.
    pub fn open_request(&self, correlation_id: Option<Arc<str>>) -> Arc<OpenRequest> {
        let streams = self.streams.as_ref().zip(correlation_id.as_deref());
        let exchange = streams.and_then(|(streams, key)| streams.exchange(key));
        self.requests.open(correlation_id, exchange)
    }
}

#[cfg(test)]
mod tests;
