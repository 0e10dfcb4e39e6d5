//! Who came and who went, told to those subscribers of a topic who asked for it.
//!
//! The first change after a quiet moment is told at once. Those that follow within [`WINDOW`] wait for
//! [`super::Topics::tell_presence`] and are told together, so that a thousand members who join at once
//! make a few messages for each watcher and not a thousand. Whoever came and went in between is not
//! mentioned.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use super::receiver::{Receiver, Subscriber};

/// How long a topic is quiet before a change is told at once; and about how long others wait.
pub(crate) const WINDOW: Duration = Duration::from_millis(200);

/// Subscribers of one topic who are told of changes. It bounds what one change can cause.
pub(super) const MAX_WATCHERS: usize = 1000;

/// Members in one message: about 8 KiB.
const MAX_IN_EVENT: usize = 100;

/// Changes that are told at one time; the rest waits for the next. In bytes, it is far less than what
/// may wait for a client.
const MAX_TOLD: usize = 1000;

/// A member, as others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Who {
    pub connection_id: Arc<str>,
    pub subject: Arc<str>,
}

/// Members who came, or who went.
#[derive(Debug)]
pub(crate) struct PresenceEvent<'a> {
    pub topic: &'a str,
    pub joined: bool,
    /// Never empty.
    pub who: &'a [Who],
    /// How many there are now.
    pub members: usize,
}

#[derive(Debug, Default)]
pub(super) struct Presence {
    told: Option<Instant>,
    /// By session: whether it joined, and who it is.
    pending: HashMap<Arc<str>, (bool, Who)>,
}

/// What to do about a change.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    TellNow(Who),
    Later,
}

impl Presence {
    pub fn note(&mut self, session_id: &Arc<str>, joined: bool, who: Who, now: Instant) -> Change {
        let is_quiet = self.told.is_none_or(|told| now.saturating_duration_since(told) >= WINDOW);
        if self.pending.is_empty() && is_quiet {
            self.told = Some(now);
            return Change::TellNow(who);
        }
        match self.pending.remove(session_id) {
            // It was not told that it had come, or gone, and now it need not be.
            Some((before, _)) if before != joined => {}
            _ => drop(self.pending.insert(session_id.clone(), (joined, who))),
        }
        Change::Later
    }

    /// Nobody is left to be told.
    pub fn forget(&mut self) {
        self.pending = HashMap::new();
    }

    /// Takes changes that have waited, in groups that make one message each: whether its members joined,
    /// and who they are by session. Says whether more is left.
    pub fn take(&mut self, now: Instant) -> (Vec<Group>, bool) {
        let mut sessions: Vec<Arc<str>> = self.pending.keys().take(MAX_TOLD).cloned().collect();
        sessions.sort_unstable();
        let mut groups: Vec<Group> = Vec::new();
        for session in sessions {
            let Some((joined, who)) = self.pending.remove(&session) else { continue };
            let open = groups.iter_mut().find(|group| group.joined == joined && group.who.len() < MAX_IN_EVENT);
            match open {
                Some(group) => group.add(session, who),
                None => groups.push(Group::of_one(session, joined, who)),
            }
        }
        groups.sort_by_key(|group| !group.joined);
        if !groups.is_empty() {
            self.told = Some(now);
        }
        (groups, !self.pending.is_empty())
    }
}

/// Members whose change is told in one message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Group {
    joined: bool,
    who: Vec<Who>,
    /// Where in `who` each session is.
    places: HashMap<Arc<str>, usize>,
}

impl Group {
    /// Of one member.
    pub fn of_one(session: Arc<str>, joined: bool, who: Who) -> Self {
        Self { joined, who: vec![who], places: HashMap::from([(session, 0)]) }
    }

    fn add(&mut self, session: Arc<str>, who: Who) {
        self.places.insert(session, self.who.len());
        self.who.push(who);
    }

    /// Hands the message to watchers; to one who is in it, without itself.
    pub fn tell<'a, R: Receiver + 'a>(
        &self,
        topic: &str,
        members: usize,
        watchers: impl Iterator<Item = &'a Subscriber<R>>,
    ) {
        let event = |who: &[Who]| R::presence(&PresenceEvent { topic, joined: self.joined, who, members });
        let shared = event(&self.who);
        for watcher in watchers {
            let Some(own) = self.places.get(&watcher.session_id) else {
                watcher.receiver.push(&shared);
                continue;
            };
            let mut others = self.who.clone();
            others.remove(*own);
            if !others.is_empty() {
                watcher.receiver.push(&event(&others));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(name: &str) -> Who {
        Who { connection_id: format!("ws_{name}").into(), subject: name.into() }
    }

    fn note(presence: &mut Presence, name: &str, joined: bool, now: Instant) -> Change {
        presence.note(&name.into(), joined, who(name), now)
    }

    #[test]
    fn the_first_change_is_told_at_once_and_those_behind_it_together() {
        let (mut presence, start) = (Presence::default(), Instant::now());
        assert_eq!(note(&mut presence, "a", true, start), Change::TellNow(who("a")));
        for (name, joined) in [("b", true), ("c", true), ("c", false), ("d", false), ("e", true)] {
            assert_eq!(note(&mut presence, name, joined, start), Change::Later);
        }
        let (groups, more) = presence.take(start + WINDOW);
        let told: Vec<(bool, Vec<Who>)> = groups.into_iter().map(|group| (group.joined, group.who)).collect();
        assert_eq!(told, [(true, vec![who("b"), who("e")]), (false, vec![who("d")])]);
        assert!(!more);
        assert_eq!(note(&mut presence, "f", true, start + WINDOW), Change::Later);
        presence.take(start + WINDOW);
        assert_eq!(note(&mut presence, "g", true, start + WINDOW * 2), Change::TellNow(who("g")));
    }

    #[test]
    fn a_crowd_is_told_in_bounded_messages() {
        let (mut presence, start) = (Presence::default(), Instant::now());
        for number in 0..=MAX_TOLD + 1 {
            note(&mut presence, &number.to_string(), true, start);
        }
        let (groups, more) = presence.take(start);
        assert!(more && groups.len() == MAX_TOLD / MAX_IN_EVENT);
        assert!(groups.iter().all(|group| group.who.len() == MAX_IN_EVENT));
        let (groups, more) = presence.take(start);
        assert_eq!((groups.len(), more), (1, false));
    }
}
