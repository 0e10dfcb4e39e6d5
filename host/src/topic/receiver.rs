//! What a topic needs of those it delivers to. Whoever dispatches messages implements it, since this
//! module knows neither sessions nor sockets nor frames.

use std::sync::{Arc, Mutex, PoisonError};

use super::{
    Publication,
    access::{Access, Standing, View},
    presence::PresenceEvent,
};
use crate::auth::Principal;

pub(crate) trait Receiver {
    /// An encoded message, made once for all.
    type Frame;

    /// The connection that it has now, or had last.
    fn connection_id(&self) -> Arc<str>;

    /// As the newest token has it.
    fn principal(&self) -> Arc<Principal>;

    /// Whether it can take all of these at once without being closed as too slow.
    fn has_room(&self, frames: &[Self::Frame]) -> bool;

    /// Says whether it was taken.
    fn push(&self, frame: &Self::Frame) -> bool;

    fn publication(topic: &str, epoch: &str, publication: &Publication) -> Self::Frame;

    fn presence(event: &PresenceEvent<'_>) -> Self::Frame;
}

/// A session that is subscribed to something; one for all of its subscriptions.
#[derive(Debug)]
pub(crate) struct Subscriber<R> {
    pub session_id: Arc<str>,
    pub receiver: R,
    /// What the rules mean for it, as of the last look.
    standing: Mutex<Arc<Standing>>,
    /// The standing that its subscriptions were last held against.
    enforced: Mutex<Option<Arc<Standing>>>,
}

impl<R: Receiver> Subscriber<R> {
    pub fn new(session_id: Arc<str>, receiver: R, access: &Access) -> Self {
        let standing = Arc::new(Standing::of(access, receiver.principal()));
        Self { session_id, receiver, standing: Mutex::new(standing), enforced: Mutex::new(None) }
    }

    /// What the rules mean for its newest token.
    pub fn standing(&self, access: &Access) -> Arc<Standing> {
        let principal = self.receiver.principal();
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        if !standing.is_current(access, &principal) {
            *standing = Arc::new(Standing::of(access, principal));
        }
        standing.clone()
    }

    /// Whether rules or token are others than at the last time this was asked.
    pub fn is_to_be_checked(&self, access: &Access) -> bool {
        let standing = self.standing(access);
        let mut enforced = self.enforced.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = enforced.as_ref().is_some_and(|known| Arc::ptr_eq(known, &standing));
        *enforced = Some(standing);
        !is_known
    }

    /// Whether a topic is shown to it.
    pub fn sees(&self, access: &Access, view: &View<'_>) -> bool {
        view.is_open() || view.shows(&self.standing(access))
    }
}
