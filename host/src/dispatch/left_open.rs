//! Requests whose call has ended without an answer, and that wait for a later one; or for the host, which
//! answers with what the plugin gave it for that when the time is up, the token expires or the host stops.

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant, SystemTime},
};

use super::{
    Dispatcher,
    handling::{CANCELLED, Handling},
};
use crate::{
    config::LiveConfig,
    session::{
        Session,
        requests::{Duty, Left, OpenRequest, Place},
    },
};

/// How long a wait is at most before the clock on the wall is looked at again, which may have been set.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// That a request is to stay open after its call.
pub(super) struct Leave {
    pub place: Place,
    pub until: Option<Instant>,
    /// The text of a JSON object.
    pub otherwise: String,
}

/// A message that is not answered yet, without a call.
pub(super) struct Parked {
    pub handling: Handling,
    pub otherwise: String,
}

impl Duty for Parked {
    fn give_up(self: Box<Self>) {
        let Self { handling, otherwise } = *self;
        handling.otherwise(otherwise);
    }

    fn cancelled(self: Box<Self>) {
        self.handling.cancelled();
    }
}

impl Dispatcher {
    /// The host stops: it answers what is left open in a session, now and from now on.
    pub fn finish_requests(&self, session: &Session) {
        session.requests.close();
    }

    /// The client has to go, and may come back: the host answers what is left open.
    pub fn give_up_requests(&self, session: &Session) {
        session.requests.give_up();
    }
}

impl Handling {
    /// The call ended without an answer, and a later one has it. Returns the word for it in metrics.
    pub fn leave(self, Leave { place, until, otherwise }: Leave) -> &'static str {
        let (request, session, deliver) = (self.request.clone(), self.session.clone(), self.deliver.clone());
        let Some(left) = request.leave(place, Box::new(Parked { handling: self, otherwise })) else {
            return if request.was_cancelled() { CANCELLED } else { "answered" };
        };
        // With a socket, whoever has the socket sees the end of the token.
        if until.is_some() || !session.has_sockets() {
            let wait = Wait {
                request: Arc::downgrade(&request),
                session: Arc::downgrade(&session),
                config: deliver.config.clone(),
                until,
                watches_token: !session.has_sockets(),
            };
            deliver.lifecycle.after(wait.run(left));
        }
        "left_open"
    }
}

/// Waits for the end of the time that a request stays open.
struct Wait {
    request: Weak<OpenRequest>,
    session: Weak<Session>,
    config: LiveConfig,
    until: Option<Instant>,
    watches_token: bool,
}

impl Wait {
    async fn run(self, Left { over, number }: Left) {
        while let Some(wait) = self.remaining() {
            tokio::select! {
                biased;
                () = over.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
        if let Some(request) = self.request.upgrade() {
            request.give_up(Some(number));
        }
    }

    /// `None` once the time is up.
    fn remaining(&self) -> Option<Duration> {
        let until = self.until.map(|until| until.saturating_duration_since(Instant::now()));
        let token = match self.watches_token {
            true => Some(self.token_remaining()?),
            false => None,
        };
        let wait = [until, token].into_iter().flatten().min().unwrap_or(MAX_WAIT);
        (!wait.is_zero()).then(|| wait.min(MAX_WAIT))
    }

    /// The caller may have brought a newer one meanwhile. `None` without a session.
    fn token_remaining(&self) -> Option<Duration> {
        let expires_at = Duration::from_secs(self.session.upgrade()?.principal().expires_at);
        let end = expires_at + self.config.load().auth.expiry_grace;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Some(end.saturating_sub(now))
    }
}
