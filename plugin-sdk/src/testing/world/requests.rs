//! The requests that are open, by session and name, and what is watched.

use std::time::Duration;

use serde_json::Value;

use super::World;
use crate::{
    RequestError, Subject,
    testing::outcome::{Sent, Shown},
};

/// What a handler of messages knows of its request.
#[derive(Default)]
pub(in crate::testing) struct CallRequest {
    pub name: Option<String>,
    pub left_open: Option<LeftOpen>,
    pub shown: Option<Shown>,
    pub watches: Vec<Watch>,
}

/// Until when, and what is answered then.
pub(in crate::testing) struct LeftOpen {
    pub until: Option<Duration>,
    pub otherwise: Value,
}

pub(in crate::testing) struct Watch {
    pub of: Subject,
    pub message: Sent,
}

/// One that is not answered yet.
pub(in crate::testing) enum Open {
    /// A call is busy with it.
    UnderWay,
    /// Its call has ended without an answer.
    Left { how: LeftOpen, watches: Vec<Watch> },
}

impl World {
    pub fn begin_request(&mut self, name: &str) -> Result<(), RequestError> {
        let key = self.request_key(name);
        if self.requests.contains_key(&key) {
            return Err(RequestError::UnderWay);
        }
        let request = self.call().request.as_mut().ok_or(RequestError::Unknown)?;
        if request.name.is_some() {
            return Err(RequestError::LimitExceeded("a request has one name, and this one has it already".to_owned()));
        }
        request.name = Some(name.to_owned());
        self.requests.insert(key, Open::UnderWay);
        Ok(())
    }

    pub fn cancel_request(&mut self, name: &str) -> bool {
        let key = self.request_key(name);
        self.requests.remove(&key).is_some()
    }

    pub fn leave_request_open(&mut self, for_ms: u32, otherwise: Value) -> Result<(), RequestError> {
        let until = (for_ms > 0).then(|| self.now + Duration::from_millis(for_ms.into()));
        let request = self.call().request.as_mut().filter(|request| request.name.is_some());
        request.ok_or(RequestError::Unknown)?.left_open = Some(LeftOpen { until, otherwise });
        Ok(())
    }

    pub fn resume_request(&mut self, name: &str) -> Result<(), RequestError> {
        let key = self.request_key(name);
        let request = self.call().request.take().ok_or(RequestError::Unknown)?;
        let (request, resumed) = match self.requests.remove(&key) {
            Some(Open::Left { watches, .. }) => {
                self.requests.insert(key, Open::UnderWay);
                (CallRequest { name: Some(name.to_owned()), left_open: None, watches, ..request }, Ok(()))
            }
            Some(busy) => {
                self.requests.insert(key, busy);
                (request, Err(RequestError::Unknown))
            }
            None => (request, Err(RequestError::Unknown)),
        };
        self.call().request = Some(request);
        resumed
    }

    pub fn show_request(&mut self, status: u16, missing_scopes: &[String]) {
        if let Some(request) = &mut self.call().request {
            request.shown = Some(Shown { status, missing_scopes: missing_scopes.to_vec() });
        }
    }

    /// What becomes of the request as its call ends. Whether it is left open.
    pub fn end_request(&mut self, session: &str, request: CallRequest, silent: bool) -> bool {
        let CallRequest { name: Some(name), left_open, watches, .. } = request else { return false };
        let key = (session.to_owned(), name);
        // One that was cancelled meanwhile stays so.
        if self.requests.remove(&key).is_none() {
            return false;
        }
        let Some(how) = left_open.filter(|_| silent) else { return false };
        self.requests.insert(key, Open::Left { how, watches });
        true
    }

    /// Answers what was left open for too long.
    pub fn end_overdue_requests(&mut self) {
        let now = self.now;
        let is_overdue =
            |open: &Open| matches!(open, Open::Left { how, .. } if how.until.is_some_and(|until| until <= now));
        let overdue: Vec<_> =
            self.requests.iter().filter(|(_, open)| is_overdue(open)).map(|(key, _)| key.clone()).collect();
        for key in overdue {
            if let Some(Open::Left { how, .. }) = self.requests.remove(&key) {
                self.answered_by_host.push(how.otherwise);
            }
        }
    }

    /// The messages of whoever watches this in a session.
    pub fn watchers(&self, session: &str, of: &Subject) -> Vec<Sent> {
        let lasting = self.watches.get(session).into_iter().flatten();
        let requests = self.requests.iter().filter(|((of_session, _), _)| of_session == session);
        let until_answered = requests.flat_map(|(_, open)| match open {
            Open::UnderWay => [].iter(),
            Open::Left { watches, .. } => watches.iter(),
        });
        lasting.chain(until_answered).filter(|watch| watch.of == *of).map(|watch| watch.message.clone()).collect()
    }

    fn request_key(&mut self, name: &str) -> (String, String) {
        (self.call().context.session_id.clone(), name.to_owned())
    }
}
