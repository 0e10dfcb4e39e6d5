//! One look at what may have changed: each distinct view is asked once, and whoever sees something else than before
//! is to be told.
//!
//! Ten thousand sessions mostly see the same. What they see is asked for one of them, and compared for all.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    sync::Arc,
};

use futures_util::{StreamExt as _, future::BoxFuture, stream};

use super::{
    pending::Due,
    watchers::{Message, Seen, Watched, Watchers},
};
use crate::{plugin::offers::Subject, session::Session};

/// Questions at one time. One that a plugin holds up does not hold up the others, and few are ever answered by a plugin.
const QUESTIONS_AT_ONCE: usize = 16;

/// Where what sessions are offered can be learned.
pub(super) trait Offered: Sync {
    /// Sessions with the same view are offered the same.
    type View: Eq + Hash + Send;

    fn view(&self, session: &Session) -> Self::View;

    /// `None` if it cannot be said at the moment.
    fn ask<'a>(&'a self, session: &'a Arc<Session>, about: &'a Subject) -> BoxFuture<'a, Option<Seen>>;
}

/// What came of a look.
#[derive(Debug, Default)]
pub(super) struct Looked {
    pub told: Vec<Told>,
    /// Whether something could not be said.
    pub in_vain: bool,
}

/// A message that is due.
#[derive(Debug)]
pub(super) struct Told {
    pub session: Arc<Session>,
    /// Of the watch.
    pub number: u64,
    pub message: Arc<Message>,
}

/// What one view is asked about.
type Question = (usize, Subject);

impl Watchers {
    pub async fn look<O: Offered>(&self, offered: &O, due: &Due) -> Looked {
        let (views, questions) = self.questions(offered, due);
        let asked = questions.into_iter().map(|((view, about), session)| async move {
            let answer = offered.ask(&session, &about).await;
            ((view, about), answer)
        });
        let answers: HashMap<Question, Option<Seen>> =
            stream::iter(asked).buffer_unordered(QUESTIONS_AT_ONCE).collect().await;
        Looked { in_vain: answers.values().any(Option::is_none), told: self.compare(&views, &answers, due) }
    }

    /// Each session's view, by number, and what has to be asked for, with a session that it can be asked for.
    fn questions<O: Offered>(
        &self,
        offered: &O,
        due: &Due,
    ) -> (HashMap<Arc<str>, usize>, HashMap<Question, Arc<Session>>) {
        let mut numbers: HashMap<O::View, usize> = HashMap::new();
        let mut views = HashMap::new();
        let mut questions = HashMap::new();
        for (session_id, own) in self.lock().iter() {
            let wanted: HashSet<&Subject> =
                own.watches.iter().filter(|watch| concerns(due, session_id, watch)).map(|watch| &watch.of).collect();
            if wanted.is_empty() {
                continue;
            }
            let next = numbers.len();
            let view = *numbers.entry(offered.view(&own.session)).or_insert(next);
            views.insert(session_id.clone(), view);
            for about in wanted {
                questions.entry((view, about.clone())).or_insert_with(|| own.session.clone());
            }
        }
        (views, questions)
    }

    fn compare(
        &self,
        views: &HashMap<Arc<str>, usize>,
        answers: &HashMap<Question, Option<Seen>>,
        due: &Due,
    ) -> Vec<Told> {
        let mut told = Vec::new();
        let mut sessions = self.lock();
        for (session_id, view) in views {
            // It may have ended meanwhile; and who came meanwhile has seen what there is.
            let Some(own) = sessions.get_mut(session_id) else { continue };
            for watch in own.watches.iter_mut().filter(|watch| concerns(due, session_id, watch)) {
                let Some(Some(seen)) = answers.get(&(*view, watch.of.clone())) else { continue };
                if watch.seen != *seen || says_so(due, &watch.of, seen) {
                    watch.seen = seen.clone();
                    let (session, message) = (own.session.clone(), watch.message.clone());
                    told.push(Told { session, number: watch.number, message });
                }
            }
        }
        told
    }
}

fn concerns(due: &Due, session_id: &str, watch: &Watched) -> bool {
    match &watch.of {
        _ if watch.is_over() => false,
        Subject::Tools | Subject::Prompts | Subject::Resources => due.lists_of(session_id),
        Subject::Resource(uri) => due.versions_of(session_id) || due.mentions(uri),
    }
}

/// Whether the plugin that offers a resource says that it has changed. What others say of it is nothing.
fn says_so(due: &Due, about: &Subject, seen: &Seen) -> bool {
    match (about, seen) {
        (Subject::Resource(uri), Seen::Resource(Some(source))) => due.says(&source.plugin, uri),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
