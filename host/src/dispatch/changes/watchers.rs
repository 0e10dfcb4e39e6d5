//! Who watches what, and what they saw of it last: a table, bounded per session. It asks nobody and tells nobody.

use std::{
    any::Any,
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use switchboard_protocol::MessageType;
use tokio_util::sync::CancellationToken;

use crate::{
    plugin::offers::{ChangeError, Subject},
    session::Session,
};

/// Of one session: the lists, and as many resources as somebody may look at. A change is looked for in each.
pub(super) const MAX_WATCHES: usize = 256;

/// Of one session, with what is to be sent: much less than what may wait for a client that does not read.
pub(super) const MAX_BYTES: usize = 64 << 10;

/// What a watch takes beside its texts.
const WATCH_OVERHEAD: usize = 128;

#[derive(Debug, Default)]
pub(super) struct Watchers {
    sessions: Mutex<HashMap<Arc<str>, Watching>>,
    numbers: AtomicU64,
}

#[derive(Debug)]
pub(super) struct Watching {
    pub session: Arc<Session>,
    pub watches: Vec<Watched>,
    bytes: usize,
}

#[derive(Debug)]
pub(super) struct Watched {
    /// Of the watch, among all of this process.
    pub number: u64,
    pub of: Subject,
    /// What it ends with before the session does.
    pub request: Option<Watcher>,
    pub message: Arc<Message>,
    pub seen: Seen,
}

/// What is sent when the subject has changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub message_type: MessageType,
    /// The text of a JSON object.
    pub payload: String,
    /// Of the request that it belongs to.
    pub correlation_id: Option<Arc<str>>,
}

/// A request that watches.
#[derive(Debug, Clone)]
pub(super) struct Watcher {
    pub correlation_id: Option<Arc<str>>,
    /// Cancelled when it has.
    pub ended: CancellationToken,
}

impl PartialEq for Watcher {
    /// Two that their client cannot tell apart are one.
    fn eq(&self, other: &Self) -> bool {
        self.correlation_id == other.correlation_id
    }
}

impl Eq for Watcher {}

/// A subject, as far as it has to be known to see that it is another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    /// The generation of a list.
    List(Arc<str>),
    /// Who offers a resource; nobody does any more.
    Resource(Option<Source>),
}

/// A plugin in one version.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub plugin: Arc<str>,
    /// Kept for its address, which nothing else can have meanwhile. It holds no version alive.
    pub version: Weak<dyn Any + Send + Sync>,
}

impl PartialEq for Source {
    fn eq(&self, other: &Self) -> bool {
        self.plugin == other.plugin && std::ptr::addr_eq(self.version.as_ptr(), other.version.as_ptr())
    }
}

impl Eq for Source {}

impl Watchers {
    /// Enters a watch, or gives one that is there already another message.
    pub fn watch(
        &self,
        session: &Arc<Session>,
        of: Subject,
        request: Option<Watcher>,
        message: Message,
        seen: Seen,
    ) -> Result<(), ChangeError> {
        let mut sessions = self.lock();
        let own = sessions.entry(session.id.clone()).or_insert_with(|| Watching {
            session: session.clone(),
            watches: Vec::new(),
            bytes: 0,
        });
        // Nobody is told when a request ends: what it watched makes room when somebody needs it.
        own.retain(|watch| !watch.is_over());
        let place = own.watches.iter().position(|watch| watch.of == of && watch.request == request);
        let number = place
            .and_then(|place| own.watches.get(place))
            .map_or_else(|| self.numbers.fetch_add(1, Relaxed), |older| older.number);
        let watch = Watched { number, of, request, message: Arc::new(message), seen };
        let result = own.put(place, watch);
        if own.watches.is_empty() {
            sessions.remove(&session.id);
        }
        result
    }

    /// Whether it was watched.
    pub fn unwatch(&self, session_id: &str, of: &Subject, request: Option<&Watcher>) -> bool {
        let mut sessions = self.lock();
        let Some(own) = sessions.get_mut(session_id) else { return false };
        let before = own.watches.len();
        own.retain(|watch| watch.request.as_ref() != request || watch.of != *of);
        let was = own.watches.len() < before;
        if own.watches.is_empty() {
            sessions.remove(session_id);
        }
        was
    }

    pub fn forget_session(&self, session_id: &str) {
        self.lock().remove(session_id);
    }

    /// Whoever gets it must not wait while holding it.
    pub fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Watching>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watching {
    fn retain(&mut self, which: impl Fn(&Watched) -> bool) {
        self.watches.retain(which);
        self.bytes = self.watches.iter().map(Watched::bytes).sum();
    }

    fn put(&mut self, place: Option<usize>, watch: Watched) -> Result<(), ChangeError> {
        let count = self.watches.len();
        let older = place.and_then(|place| self.watches.get_mut(place));
        let bytes = self.bytes - older.as_ref().map_or(0, |older| older.bytes()) + watch.bytes();
        if bytes > MAX_BYTES {
            let problem = format!("a session watches with {MAX_BYTES} bytes of messages and URIs at most");
            return Err(ChangeError::LimitExceeded(problem));
        }
        match older {
            Some(older) => *older = watch,
            None if count >= MAX_WATCHES => {
                let problem = format!("a session watches {MAX_WATCHES} things at most");
                return Err(ChangeError::LimitExceeded(problem));
            }
            None => self.watches.push(watch),
        }
        self.bytes = bytes;
        Ok(())
    }
}

impl Watched {
    /// Whether the request has ended that it was for.
    pub fn is_over(&self) -> bool {
        self.request.as_ref().is_some_and(|request| request.ended.is_cancelled())
    }

    fn bytes(&self) -> usize {
        let uri = match &self.of {
            Subject::Resource(uri) => uri.len(),
            Subject::Tools | Subject::Prompts | Subject::Resources => 0,
        };
        WATCH_OVERHEAD + uri + self.message.payload.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::test_session::session;

    fn message(payload: &str) -> Message {
        let message_type = MessageType::parse("jsonrpc").unwrap();
        Message { message_type, payload: payload.into(), correlation_id: None }
    }

    fn seen() -> Seen {
        Seen::List("1".into())
    }

    fn resource(number: usize) -> Subject {
        Subject::Resource(format!("test://{number}"))
    }

    #[test]
    fn a_watch_ends_with_what_it_was_for() {
        let (watchers, session) = (Watchers::default(), session("1", None, "alice"));
        let [one, two] = ["1", "2"].map(|id| Watcher { correlation_id: Some(id.into()), ended: Default::default() });
        for request in [None, Some(one.clone()), Some(two.clone())] {
            for of in [Subject::Tools, Subject::Prompts] {
                watchers.watch(&session, of, request.clone(), message("{}"), seen()).unwrap();
            }
        }
        assert!(watchers.unwatch("1", &Subject::Tools, Some(&one)));
        assert!(!watchers.unwatch("1", &Subject::Tools, Some(&one)));
        two.ended.cancel();
        watchers.watch(&session, Subject::Resources, None, message("{}"), seen()).unwrap();
        let left = watchers.lock()["1"].watches.iter().map(|watch| watch.of.clone()).collect::<Vec<_>>();
        assert_eq!(left, [Subject::Tools, Subject::Prompts, Subject::Prompts, Subject::Resources]);
        watchers.forget_session("1");
        assert!(watchers.lock().is_empty());
    }

    #[test]
    fn a_second_message_takes_the_place_of_the_first() {
        let (watchers, session) = (Watchers::default(), session("1", None, "alice"));
        for payload in ["{}", r#"{"a":1}"#] {
            watchers.watch(&session, Subject::Tools, None, message(payload), seen()).unwrap();
        }
        let sessions = watchers.lock();
        let [watch] = sessions["1"].watches.as_slice() else { panic!("one watch") };
        assert_eq!((watch.number, watch.message.payload.as_str()), (0, r#"{"a":1}"#));
        assert_eq!(sessions["1"].bytes, watch.bytes());
    }

    #[test]
    fn a_session_has_so_many_watches_of_so_many_bytes() {
        let (watchers, session) = (Watchers::default(), session("1", None, "alice"));
        let long = "x".repeat(MAX_BYTES);
        let refused = watchers.watch(&session, Subject::Tools, None, message(&long), seen());
        assert!(matches!(refused, Err(ChangeError::LimitExceeded(_))));
        assert!(watchers.lock().is_empty(), "nothing is kept of what was refused");
        for number in 0..MAX_WATCHES {
            watchers.watch(&session, resource(number), None, message("{}"), seen()).unwrap();
        }
        let refused = watchers.watch(&session, resource(MAX_WATCHES), None, message("{}"), seen());
        assert!(matches!(refused, Err(ChangeError::LimitExceeded(_))));
        watchers.watch(&session, resource(0), None, message("{}"), seen()).unwrap();
        assert!(watchers.unwatch("1", &resource(7), None));
        watchers.watch(&session, resource(MAX_WATCHES), None, message("{}"), seen()).unwrap();
    }
}
