//! What may have changed, and when it is time to look: after a moment of quiet, so that several changes are one.
//!
//! Time is passed in. What is noted is a reason to look, not a fact: whoever looks compares.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use crate::plugin::offers::{Kind, Subject};

/// After the last change: a deployment of several files, or a plugin that adds its tools one by one, is one change.
pub(super) const QUIET: Duration = Duration::from_millis(100);

/// After the first change: whoever never stops changing is heard all the same.
pub(super) const AT_MOST: Duration = Duration::from_secs(1);

/// Between two times that a plugin is asked for its lists because it said that they changed. To say so costs the
/// plugin nothing, and to answer costs the host a call.
pub(super) const BETWEEN_QUESTIONS: Duration = Duration::from_secs(1);

/// Resources of one plugin that are told apart until the next look. Beyond it, all of its resources may have changed.
const MAX_URIS: usize = 256;

/// Sessions that are told apart until the next look. Beyond it, everything is looked at.
const MAX_SESSIONS: usize = 1_024;

/// Until the next look.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// Of the two that follow.
    quiet: Quiet,
    everything: bool,
    sessions: HashSet<Arc<str>>,
    /// When to look at everything, whether or not anything happens until then.
    again: Option<Instant>,
    /// Each by itself, so that one which never stops holds nothing up for others.
    plugins: HashMap<Arc<str>, OfPlugin>,
}

/// What is to be looked at now.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Due {
    /// All lists, and which versions the resources are of.
    pub everything: bool,
    /// The same, of these sessions.
    pub sessions: HashSet<Arc<str>>,
    /// Plugins that have to be asked again.
    pub lists: Vec<(Arc<str>, Kind)>,
    pub resources: HashMap<Arc<str>, Uris>,
}

/// Resources of one plugin.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Uris {
    Some(HashSet<String>),
    All,
}

#[derive(Debug, Default)]
struct OfPlugin {
    quiet: Quiet,
    tools: bool,
    prompts: bool,
    resources: bool,
    uris: Uris,
    asked: Option<Instant>,
}

/// From the first change to the last.
#[derive(Debug, Default, Clone, Copy)]
struct Quiet(Option<(Instant, Instant)>);

impl Pending {
    /// Another set of versions, other rules.
    pub fn note_everything(&mut self, now: Instant) {
        self.quiet.note(now);
        self.everything = true;
        // It goes without saying.
        self.sessions.clear();
    }

    /// Something could not be had now, and may be then.
    pub fn look_again(&mut self, at: Instant) {
        self.again = Some(self.again.map_or(at, |earlier| earlier.min(at)));
    }

    /// Other rights, or a watch that began while somebody looked.
    pub fn note_session(&mut self, session_id: &Arc<str>, now: Instant) {
        self.quiet.note(now);
        if self.everything {
            return;
        }
        self.sessions.insert(session_id.clone());
        if self.sessions.len() > MAX_SESSIONS {
            self.note_everything(now);
        }
    }

    /// What a plugin said of itself.
    pub fn note_plugin(&mut self, plugin: &Arc<str>, what: Subject, now: Instant) {
        let own = self.plugins.entry(plugin.clone()).or_default();
        own.quiet.note(now);
        match what {
            Subject::Tools => own.tools = true,
            Subject::Prompts => own.prompts = true,
            Subject::Resources => own.resources = true,
            Subject::Resource(uri) => own.uris.add(uri),
        }
    }

    /// When to look, if there is anything to look for.
    pub fn next(&self) -> Option<Instant> {
        self.plugins.values().map(OfPlugin::due).chain([self.quiet.due(), self.again]).flatten().min()
    }

    /// What it is time for. It is pending no longer.
    pub fn take(&mut self, now: Instant) -> Due {
        let mut due = Due::default();
        if self.quiet.is_due(now) {
            self.quiet = Quiet::default();
            due.everything = std::mem::take(&mut self.everything);
            due.sessions = std::mem::take(&mut self.sessions);
        }
        if self.again.take_if(|at| *at <= now).is_some() {
            due.everything = true;
        }
        for (plugin, own) in &mut self.plugins {
            if own.due().is_some_and(|at| at <= now) {
                own.take(plugin, &mut due, now);
            }
        }
        self.plugins.retain(|_, own| own.due().is_some() || own.may_not_be_asked_before().is_some_and(|at| at > now));
        due
    }
}

impl OfPlugin {
    fn asks(&self) -> bool {
        self.tools || self.prompts || self.resources
    }

    fn may_not_be_asked_before(&self) -> Option<Instant> {
        self.asked.map(|asked| asked + BETWEEN_QUESTIONS)
    }

    fn due(&self) -> Option<Instant> {
        let quiet = self.quiet.due()?;
        Some(self.may_not_be_asked_before().filter(|_| self.asks()).map_or(quiet, |at| at.max(quiet)))
    }

    fn take(&mut self, plugin: &Arc<str>, due: &mut Due, now: Instant) {
        if self.asks() {
            self.asked = Some(now);
        }
        let kinds = [
            (std::mem::take(&mut self.tools), [Kind::Tools].as_slice()),
            (std::mem::take(&mut self.prompts), &[Kind::Prompts]),
            (std::mem::take(&mut self.resources), &[Kind::Resources, Kind::ResourceTemplates]),
        ];
        let changed = kinds.into_iter().filter(|(changed, _)| *changed).flat_map(|(_, kinds)| kinds);
        due.lists.extend(changed.map(|kind| (plugin.clone(), *kind)));
        let uris = std::mem::take(&mut self.uris);
        if !uris.is_empty() {
            due.resources.insert(plugin.clone(), uris);
        }
        self.quiet = Quiet::default();
    }
}

impl Due {
    /// Whether this session's lists are to be compared.
    pub fn lists_of(&self, session_id: &str) -> bool {
        self.everything || !self.lists.is_empty() || self.sessions.contains(session_id)
    }

    /// Whether which version a resource is of is to be compared, for this session.
    pub fn versions_of(&self, session_id: &str) -> bool {
        self.everything || self.lists_changed(Kind::Resources) || self.sessions.contains(session_id)
    }

    /// Whether some plugin said so.
    pub fn mentions(&self, uri: &str) -> bool {
        self.resources.values().any(|uris| uris.contain(uri))
    }

    /// Whether this plugin said so.
    pub fn says(&self, plugin: &str, uri: &str) -> bool {
        self.resources.get(plugin).is_some_and(|uris| uris.contain(uri))
    }

    fn lists_changed(&self, kind: Kind) -> bool {
        self.lists.iter().any(|(_, changed)| *changed == kind)
    }
}

impl Default for Uris {
    fn default() -> Self {
        Self::Some(HashSet::new())
    }
}

impl Uris {
    fn add(&mut self, uri: String) {
        if let Self::Some(uris) = self {
            uris.insert(uri);
            if uris.len() > MAX_URIS {
                *self = Self::All;
            }
        }
    }

    fn is_empty(&self) -> bool {
        matches!(self, Self::Some(uris) if uris.is_empty())
    }

    fn contain(&self, uri: &str) -> bool {
        match self {
            Self::Some(uris) => uris.contains(uri),
            Self::All => true,
        }
    }
}

impl Quiet {
    fn note(&mut self, now: Instant) {
        self.0 = Some((self.0.map_or(now, |(first, _)| first), now));
    }

    fn due(self) -> Option<Instant> {
        self.0.map(|(first, last)| (last + QUIET).min(first + AT_MOST))
    }

    fn is_due(self, now: Instant) -> bool {
        self.due().is_some_and(|at| at <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_millis(50);

    #[test]
    fn changes_within_a_moment_are_one_and_never_wait_for_long() {
        let (mut pending, start) = (Pending::default(), Instant::now());
        assert_eq!(pending.next(), None);
        pending.note_everything(start);
        pending.note_everything(start + STEP);
        assert_eq!(pending.next(), Some(start + STEP + QUIET));
        assert_eq!(pending.take(start + QUIET), Due::default(), "it is not quiet yet");
        for step in 2..100 {
            pending.note_everything(start + STEP * step);
        }
        assert_eq!(pending.next(), Some(start + AT_MOST));
        assert!(pending.take(start + AT_MOST).everything);
        assert_eq!(pending.next(), None);
    }

    #[test]
    fn a_plugin_that_never_stops_is_asked_once_a_second_and_holds_nothing_up() {
        let (mut pending, start) = (Pending::default(), Instant::now());
        let (noisy, quiet): (Arc<str>, Arc<str>) = ("noisy".into(), "quiet".into());
        let (mut asked, mut heard, mut now) = (0, None, start);
        while now < start + Duration::from_secs(10) {
            pending.note_plugin(&noisy, Subject::Tools, now);
            if now == start + STEP {
                pending.note_plugin(&quiet, Subject::Prompts, now);
            }
            if pending.next().is_some_and(|at| at <= now) {
                let due = pending.take(now);
                asked += due.lists.iter().filter(|(plugin, _)| *plugin == noisy).count();
                if due.lists.contains(&(quiet.clone(), Kind::Prompts)) {
                    heard = Some(now);
                }
            }
            now += STEP;
        }
        assert_eq!(heard, Some(start + STEP + QUIET));
        assert!((9..=10).contains(&asked), "{asked} questions in ten seconds");
        pending.take(now + BETWEEN_QUESTIONS);
        pending.take(now + BETWEEN_QUESTIONS * 3);
        assert!(pending.plugins.is_empty(), "nobody is remembered who has nothing to say");
    }

    #[test]
    fn a_change_of_resources_asks_for_both_lists() {
        let (mut pending, now) = (Pending::default(), Instant::now());
        pending.note_plugin(&"p".into(), Subject::Resources, now);
        let due = pending.take(now + QUIET);
        assert_eq!(due.lists, [("p".into(), Kind::Resources), ("p".into(), Kind::ResourceTemplates)]);
        assert!(due.versions_of("any") && due.lists_of("any") && !due.everything);
    }

    #[test]
    fn what_could_not_be_had_is_looked_at_again_and_delays_nothing() {
        let (mut pending, now) = (Pending::default(), Instant::now());
        let (later, latest) = (now + BETWEEN_QUESTIONS * 5, now + BETWEEN_QUESTIONS * 9);
        pending.note_session(&"ss_1".into(), now);
        [latest, later].into_iter().for_each(|at| pending.look_again(at));
        assert_eq!(pending.next(), Some(now + QUIET));
        assert!(!pending.take(now + QUIET).everything);
        assert_eq!(pending.next(), Some(later));
        assert!(pending.take(later).everything && pending.next().is_none());
    }

    #[test]
    fn what_is_pending_is_bounded() {
        let (mut pending, now) = (Pending::default(), Instant::now());
        for number in 0..MAX_URIS * 2 {
            pending.note_plugin(&"p".into(), Subject::Resource(format!("test://{number}")), now);
        }
        for number in 0..MAX_SESSIONS * 2 {
            pending.note_session(&format!("ss_{number}").into(), now);
        }
        assert!(pending.sessions.is_empty());
        let due = pending.take(now + QUIET);
        assert!(due.everything && due.resources.get("p") == Some(&Uris::All));
        assert!(due.says("p", "test://any") && !due.says("q", "test://any"));
    }
}
