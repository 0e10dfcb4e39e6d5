//! What sessions watch, from one process to the next: a session that goes on with its client goes on watching.
//!
//! A list that is as it was is no change. That a resource is, nobody can say, so its watchers are told once. What
//! requests watch is not saved, since they end with the process.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use switchboard_protocol::MessageType;

use super::watchers::{Message, Seen, Watched, Watchers};
use crate::{plugin::offers::Subject, session::Session};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct SavedWatch {
    of: SavedSubject,
    message_type: String,
    payload: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum SavedSubject {
    /// With the generation that was seen last.
    Tools(String),
    Prompts(String),
    Resources(String),
    Resource(String),
}

impl Watchers {
    pub fn export(&self, session_id: &str) -> Vec<SavedWatch> {
        let sessions = self.lock();
        let watches = sessions.get(session_id).map(|own| own.watches.iter()).into_iter().flatten();
        watches.filter_map(SavedWatch::of).collect()
    }

    pub fn restore(&self, session: &Arc<Session>, saved: Vec<SavedWatch>) {
        for SavedWatch { of, message_type, payload } in saved {
            let Ok(message_type) = MessageType::parse(&message_type) else { continue };
            let (of, seen) = of.read();
            let message = Message { message_type, payload, correlation_id: None };
            if let Err(fault) = self.watch(session, of, None, message, seen) {
                tracing::warn!(session_id = %session.id, %fault, "a watch is not restored");
            }
        }
    }
}

impl SavedWatch {
    fn of(watch: &Watched) -> Option<Self> {
        if watch.request.is_some() {
            return None;
        }
        let generation = match &watch.seen {
            Seen::List(generation) => generation.to_string(),
            Seen::Resource(_) => String::new(),
        };
        let of = match &watch.of {
            Subject::Tools => SavedSubject::Tools(generation),
            Subject::Prompts => SavedSubject::Prompts(generation),
            Subject::Resources => SavedSubject::Resources(generation),
            Subject::Resource(uri) => SavedSubject::Resource(uri.clone()),
        };
        let Message { message_type, payload, .. } = &*watch.message;
        Some(Self { of, message_type: message_type.as_str().to_owned(), payload: payload.clone() })
    }
}

impl SavedSubject {
    fn read(self) -> (Subject, Seen) {
        match self {
            Self::Tools(generation) => (Subject::Tools, Seen::List(generation.into())),
            Self::Prompts(generation) => (Subject::Prompts, Seen::List(generation.into())),
            Self::Resources(generation) => (Subject::Resources, Seen::List(generation.into())),
            Self::Resource(uri) => (Subject::Resource(uri), Seen::Resource(None)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{dispatch::changes::watchers::Watcher, session::test_session::session};

    #[test]
    fn a_session_goes_on_watching_in_another_process_and_a_request_does_not() {
        let (watchers, session) = (Watchers::default(), session("1", None, "alice"));
        let message = |payload: &str| {
            let message_type = MessageType::parse("jsonrpc").unwrap();
            Message { message_type, payload: payload.into(), correlation_id: None }
        };
        let request = Watcher { correlation_id: None, ended: Default::default() };
        let list = || Seen::List("7".into());
        watchers.watch(&session, Subject::Tools, None, message("1"), list()).unwrap();
        watchers.watch(&session, Subject::Prompts, Some(request), message("2"), list()).unwrap();
        let resource = Subject::Resource("a:b".into());
        watchers.watch(&session, resource.clone(), None, message("3"), Seen::Resource(None)).unwrap();
        let written = postcard::to_allocvec(&watchers.export("1")).unwrap();
        let other = Watchers::default();
        other.restore(&session, postcard::from_bytes(&written).unwrap());
        let sessions = other.lock();
        let restored: Vec<_> = sessions["1"].watches.iter().map(|watch| (&watch.of, &*watch.message.payload)).collect();
        assert_eq!(restored, [(&Subject::Tools, "1"), (&resource, "3")]);
        assert_eq!(sessions["1"].watches[0].seen, list());
    }
}
