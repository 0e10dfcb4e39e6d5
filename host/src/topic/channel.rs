//! One topic: who is subscribed to it by name, what was last published, and everything that happens
//! under its lock, so that each subscriber sees offsets rise by one.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Publication,
    access::{Access, View},
    founders::Share,
    history::{Bounds, History},
    presence::{Change, Group, MAX_WATCHERS, Presence, Who},
    receiver::{Receiver, Subscriber},
};

/// Publications that one subscription replays. More would not fit beside each other into what may wait
/// for a client, however small they are.
const MAX_REPLAY: usize = 4096;

/// How long a topic is remembered that nobody is subscribed to and nothing was ever published to: long
/// enough for a restart to put its subscribers back.
const EMPTY_AGE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Channel<R> {
    name: Arc<str>,
    members: HashMap<Arc<str>, Member<R>>,
    watchers: usize,
    presence: Presence,
    pub history: History,
    pub epoch: Arc<str>,
    /// Counts the topic for the user who brought it into being.
    pub founder: Option<Share>,
    pub last_used: Instant,
    /// It has been forgotten: whoever still holds it has to look again.
    pub dead: bool,
}

#[derive(Debug)]
struct Member<R> {
    subscriber: Arc<Subscriber<R>>,
    watches: bool,
    /// It has been handed everything behind this offset.
    from: u64,
}

/// Where a subscriber is, or a topic's history ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    pub offset: u64,
    pub epoch: Arc<str>,
}

/// How a subscription is to begin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// What the subscriber has: what it missed since is replayed.
    pub since: Option<Position>,
    /// Whether it is told who comes and goes.
    pub presence: bool,
}

/// How a subscription began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subscription {
    /// Where the topic's history ends.
    pub position: Position,
    /// A position was given, and nothing is missing since.
    pub recovered: bool,
    pub replayed: usize,
}

/// What to do afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stirred {
    No,
    /// Changes of presence wait to be told.
    Yes,
}

/// There are as many watchers as there can be.
#[derive(Debug)]
pub(super) struct TooManyWatchers;

impl<R: Receiver> Channel<R> {
    pub fn new(name: Arc<str>, epoch: Arc<str>, history: History, founder: Option<Share>, now: Instant) -> Self {
        Self {
            name,
            members: HashMap::new(),
            watchers: 0,
            presence: Presence::default(),
            history,
            epoch,
            founder,
            last_used: now,
            dead: false,
        }
    }

    /// Takes a subscriber in. What it missed is handed to it before anything new can be. `quietly` tells
    /// nobody.
    pub fn join(
        &mut self,
        subscriber: &Arc<Subscriber<R>>,
        options: &Options,
        quietly: bool,
        access: &Access,
        now: Instant,
    ) -> Result<(Subscription, Stirred), TooManyWatchers> {
        let known = self.members.get(&subscriber.session_id);
        let begins_to_watch = options.presence && !known.is_some_and(|member| member.watches);
        if begins_to_watch && self.watchers >= MAX_WATCHERS {
            return Err(TooManyWatchers);
        }
        let replayed = match (&options.since, known) {
            (None, _) => None,
            (Some(since), Some(member)) => self.has_all(since, member).then_some(0),
            (Some(since), None) => self.replay(since, subscriber),
        };
        let is_new = known.is_none();
        let from = self.history.last_offset();
        let member = self.members.entry(subscriber.session_id.clone());
        let member = member.or_insert_with(|| Member { subscriber: subscriber.clone(), watches: false, from });
        member.watches |= options.presence;
        self.watchers += usize::from(begins_to_watch);
        let stirred = if is_new && !quietly { self.tell(subscriber, true, access, now) } else { Stirred::No };
        let position = Position { offset: from, epoch: self.epoch.clone() };
        let recovered = replayed.is_some();
        Ok((Subscription { position, recovered, replayed: replayed.unwrap_or(0) }, stirred))
    }

    pub fn leave(&mut self, session_id: &str, access: &Access, now: Instant) -> Stirred {
        let Some(member) = self.members.remove(session_id) else { return Stirred::No };
        self.watchers -= usize::from(member.watches);
        self.tell(&member.subscriber, false, access, now)
    }

    /// Hands a frame to the members who may see it. Returns how many took it.
    pub fn deliver(
        &mut self,
        frame: &R::Frame,
        view: &View<'_>,
        access: &Access,
        exclude_session: Option<&str>,
    ) -> u32 {
        let (open, offset) = (view.is_open(), self.history.last_offset());
        let mut receivers = 0;
        for member in self.members.values_mut() {
            if !open && !member.subscriber.sees(access, view) {
                // If it is allowed again, it has missed this.
                member.from = offset;
            } else if exclude_session != Some(&*member.subscriber.session_id) {
                receivers += u32::from(member.subscriber.receiver.push(frame));
            }
        }
        receivers
    }

    /// Tells the changes of presence that have waited.
    pub fn tell_waiting(&mut self, access: &Access, now: Instant) -> Stirred {
        let (groups, more) = self.presence.take(now);
        groups.iter().for_each(|group| self.hand_out(group, access));
        if more { Stirred::Yes } else { Stirred::No }
    }

    pub fn has_member(&self, session_id: &str) -> bool {
        self.members.contains_key(session_id)
    }

    /// At most so many, in no order.
    pub fn members(&self, limit: usize) -> Vec<Who> {
        self.members.values().take(limit).map(|member| who(&member.subscriber)).collect()
    }

    /// Lets go of what is too old, and says whether anything is left worth keeping.
    pub fn is_worth_keeping(&mut self, now: Instant, history_ttl: Duration) -> bool {
        self.history.expire(now, history_ttl);
        let max_idle = if self.history.last_offset() == 0 { EMPTY_AGE } else { history_ttl };
        !self.members.is_empty() || now.saturating_duration_since(self.last_used) <= max_idle
    }

    /// The newest publications, oldest first.
    pub fn newest(&mut self, limit: usize, now: Instant, bounds: Bounds) -> Vec<Publication> {
        self.history.expire(now, bounds.max_age);
        self.history.newest(limit).cloned().collect()
    }

    /// Whether a member that is here already has everything since a position, or it waits for it.
    fn has_all(&self, since: &Position, member: &Member<R>) -> bool {
        since.epoch == self.epoch && (member.from..=self.history.last_offset()).contains(&since.offset)
    }

    /// Hands over what was missed: all of it, or nothing. Returns how much that was.
    fn replay(&self, since: &Position, subscriber: &Subscriber<R>) -> Option<usize> {
        if since.epoch != self.epoch {
            return None;
        }
        let missed = self.history.since(since.offset)?;
        if missed.len() > MAX_REPLAY {
            return None;
        }
        let encode = |publication| R::publication(&self.name, &self.epoch, publication);
        let frames: Vec<R::Frame> = missed.map(encode).collect();
        let fits = frames.is_empty() || subscriber.receiver.has_room(&frames);
        // One that is refused closes the client: nothing behind it arrives, either.
        (fits && frames.iter().all(|frame| subscriber.receiver.push(frame))).then_some(frames.len())
    }

    fn tell(&mut self, about: &Arc<Subscriber<R>>, joined: bool, access: &Access, now: Instant) -> Stirred {
        let watches = self.members.get(&about.session_id).is_some_and(|member| member.watches);
        if self.watchers == usize::from(watches) {
            // Nobody else watches.
            if self.watchers == 0 {
                self.presence.forget();
            }
            return Stirred::No;
        }
        match self.presence.note(&about.session_id, joined, who(about), now) {
            Change::Later => Stirred::Yes,
            Change::TellNow(who) => {
                self.hand_out(&Group::of_one(about.session_id.clone(), joined, who), access);
                Stirred::No
            }
        }
    }

    fn hand_out(&self, group: &Group, access: &Access) {
        let view = access.view(&self.name);
        let members = self.members.values().filter(|member| member.watches).map(|member| &*member.subscriber);
        group.tell(&self.name, self.members.len(), members.filter(|watcher| watcher.sees(access, &view)));
    }
}

fn who<R: Receiver>(subscriber: &Subscriber<R>) -> Who {
    Who {
        connection_id: subscriber.receiver.connection_id(),
        subject: subscriber.receiver.principal().subject.as_str().into(),
    }
}
