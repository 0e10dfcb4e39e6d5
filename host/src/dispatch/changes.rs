//! Whoever watches a list or a resource is told when it has changed, as they see it.
//!
//! One task looks, a moment after something may have changed: another set of versions serves, a plugin says that its
//! offer is another, the rules are, or a session's rights. Each distinct view is asked for once, mostly without a
//! call into a plugin, and only those are told who see something else than they saw last. A client that does not
//! read has one of several equal messages waiting.
//!
//! A resource counts as changed when the plugin that offers it says so, and when another version or another plugin
//! offers it, or nobody any more: what it holds may be different then, and nobody else could tell.

use std::{
    any::Any,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use futures_util::{FutureExt as _, future::BoxFuture};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use self::{
    look::{Offered, Told},
    pending::{Due, Pending},
    saved::SavedWatch,
    watchers::{Message, Seen, Source, Watcher, Watchers},
};
use super::{Dispatcher, context, deliver};
use crate::{
    auth::Principal,
    dispatch::deliver::Deliver,
    plugin::{
        Registry,
        effects::{CallContext, Transport},
        offers::{CatalogueError, ChangeError, Kind, Offers as _, Span, Subject, Watch},
    },
    session::{Frame, Session, Volatile},
};

mod look;
mod pending;
pub(super) mod saved;
mod watchers;

/// For a list that plugins have to be asked for. Longer than any of them is allowed for it by default, so that one that
/// hangs fails by itself, and the rest of the list is there.
const TIME_TO_LIST: Duration = Duration::from_secs(60);

/// At least, until something that could not be had is looked at again.
const RETRY: Duration = Duration::from_secs(1);

/// What is watched, and what may have changed.
#[derive(Default)]
pub(super) struct Changes {
    watchers: Watchers,
    pending: Mutex<Pending>,
    noted: Notify,
    /// Looks that have begun.
    looks: AtomicU64,
}

impl Changes {
    fn note(&self, what: impl FnOnce(&mut Pending, Instant)) {
        what(&mut self.pending(), Instant::now());
        self.noted.notify_one();
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a session watches, to be saved with it.
    pub fn export(&self, session_id: &str) -> Vec<SavedWatch> {
        self.watchers.export(session_id)
    }

    /// Of a session that another process has left.
    pub fn restore(&self, session: &Arc<Session>, saved: Vec<SavedWatch>) {
        self.watchers.restore(session, saved);
        self.note(Pending::note_everything);
    }

    /// Nothing that the session watches is left.
    pub fn session_ended(&self, session_id: &str) {
        self.watchers.forget_session(session_id);
    }
}

impl Dispatcher {
    /// Takes over a newer token of the same user, who may see something else by it.
    pub fn renew(&self, session: &Session, principal: Arc<Principal>) {
        let before = session.principal();
        session.renew(principal);
        if before.scopes != session.principal().scopes {
            self.deliver.changes.note(|pending, now| pending.note_session(&session.id, now));
        }
    }

    /// Tells those who watch, until `stop`.
    pub async fn tell_changes(&self, stop: CancellationToken) {
        let changes = &self.deliver.changes;
        let (mut versions, mut config) = (self.plugins.changes(), self.config.subscribe());
        loop {
            let next = changes.pending().next();
            let due = async {
                match next {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                Ok(()) = versions.changed() => changes.note(Pending::note_everything),
                Ok(()) = config.changed() => changes.note(Pending::note_everything),
                () = changes.noted.notified() => {}
                () = due => {
                    let due = changes.pending().take(Instant::now());
                    if stop.run_until_cancelled(self.deliver.tell(due)).await.is_none() {
                        return;
                    }
                }
            }
        }
    }
}

impl Deliver {
    pub(super) async fn begin_watch(&self, context: &CallContext, watch: Watch) -> Result<(), ChangeError> {
        let session = self.sessions.by_id(&context.caller.session_id).ok_or_else(ended)?;
        let request = watcher(context, watch.during)?;
        let looks = self.changes.looks.load(SeqCst);
        let registry = self.plugins.registry();
        let seen = self.seen(&registry, context, &watch.of).await.map_err(|fault| refusal(&watch.of, fault))?;
        if seen == Seen::Resource(None) {
            return Err(refusal(&watch.of, CatalogueError::Unknown(String::new())));
        }
        let correlation_id = request.as_ref().and_then(|request| request.correlation_id.clone());
        let message = Message { message_type: watch.message_type, payload: watch.payload, correlation_id };
        self.changes.watchers.watch(&session, watch.of, request, message, seen)?;
        if self.changes.looks.load(SeqCst) != looks {
            // What was seen is older than what they looked at, and the watch was not there yet.
            self.changes.note(|pending, now| pending.note_session(&session.id, now));
        }
        self.look_again(self.toolbox.lists_in_vain());
        // It may have ended before the watch was there to be forgotten.
        if self.sessions.by_id(&session.id).is_none() {
            self.changes.session_ended(&session.id);
            return Err(ended());
        }
        Ok(())
    }

    pub(super) fn end_watch(&self, context: &CallContext, of: &Subject, during: Span) -> bool {
        let session_id = &context.caller.session_id;
        watcher(context, during).is_ok_and(|request| self.changes.watchers.unwatch(session_id, of, request.as_ref()))
    }

    /// A plugin's own offer is another.
    pub(super) fn offer_changed(&self, plugin: &Arc<str>, what: Subject) {
        self.changes.note(|pending, now| pending.note_plugin(plugin, what, now));
    }

    /// Looks at what is due, and tells those who see something else.
    async fn tell(&self, due: Due) {
        self.changes.looks.fetch_add(1, SeqCst);
        for (plugin, kind) in &due.lists {
            self.toolbox.forget_listing(plugin, *kind);
        }
        let registry = self.plugins.registry();
        let looked = self.changes.watchers.look(&Current { deliver: self, registry: &registry }, &due).await;
        if !looked.told.is_empty() {
            tracing::debug!(watches = looked.told.len(), "telling that what is offered has changed");
        }
        looked.told.into_iter().for_each(|told| self.send_told(&told));
        let in_vain = looked.in_vain.then(Instant::now);
        self.look_again(in_vain.or_else(|| self.toolbox.lists_in_vain()));
    }

    /// What is missing from a list, because a plugin could not say what it offers, may be there then.
    fn look_again(&self, at: Option<Instant>) {
        if let Some(at) = at.filter(|_| !self.changes.watchers.lock().is_empty()) {
            self.changes.note(|pending, now| pending.look_again(at.max(now + RETRY)));
        }
    }

    fn send_told(&self, Told { session, number, message }: &Told) {
        let Message { message_type, payload, correlation_id } = &**message;
        let Ok(bytes) = deliver::encode(message_type, payload, correlation_id.as_deref()) else { return };
        if session.can_hold(bytes.len()) {
            // If the client is gone, there is nobody to tell.
            let frame = Frame { bytes, volatile: Some(Volatile::Watch(*number)) };
            let _ = session.push_to(correlation_id.as_deref(), frame);
        }
    }

    /// What a caller sees of a subject now.
    async fn seen(&self, registry: &Registry, context: &CallContext, of: &Subject) -> Result<Seen, CatalogueError> {
        let list = async |kind| Ok(self.list(context, kind).await?.generation);
        Ok(match of {
            Subject::Tools => Seen::List(list(Kind::Tools).await?),
            Subject::Prompts => Seen::List(list(Kind::Prompts).await?),
            Subject::Resources => {
                let (resources, templates) = (list(Kind::Resources).await?, list(Kind::ResourceTemplates).await?);
                Seen::List(format!("{resources} {templates}").into())
            }
            Subject::Resource(uri) => {
                let version = self.toolbox.offers_resource(registry, context, uri).await?;
                Seen::Resource(version.map(|version| {
                    let kept: Weak<dyn Any + Send + Sync> = Arc::downgrade(&version) as _;
                    Source { plugin: version.name.clone(), version: kept }
                }))
            }
        })
    }
}

/// What is offered by one set of versions.
struct Current<'a> {
    deliver: &'a Deliver,
    registry: &'a Registry,
}

/// The versions that serve a session, which the registry holds while their addresses are compared; and the scopes that
/// its user has, by which lists are filtered.
#[derive(PartialEq, Eq, Hash)]
struct View {
    versions: Vec<usize>,
    scopes: Vec<String>,
}

impl Offered for Current<'_> {
    type View = View;

    fn view(&self, session: &Session) -> View {
        let principal = session.principal();
        let who = crate::plugin::Who::new(&principal, &session.id);
        let versions = self.registry.versions_for(who).map(|version| Arc::as_ptr(version).addr()).collect();
        View { versions, scopes: principal.scopes.clone() }
    }

    fn ask<'a>(&'a self, session: &'a Arc<Session>, about: &'a Subject) -> BoxFuture<'a, Option<Seen>> {
        async move {
            let effects = self.deliver.as_effects()?;
            let caller = context::caller(session, Transport::Internal);
            let context = CallContext::new(caller, Instant::now() + TIME_TO_LIST, effects);
            let seen = self.deliver.seen(self.registry, &context, about).await;
            if let Err(problem) = &seen {
                tracing::warn!(%problem, session_id = %session.id, "cannot say whether what is offered has changed");
            }
            seen.ok()
        }
        .boxed()
    }
}

/// The request that a call belongs to, if that is what the watch ends with.
fn watcher(context: &CallContext, during: Span) -> Result<Option<Watcher>, ChangeError> {
    match during {
        Span::Session => Ok(None),
        Span::Request => match &context.request {
            Some(request) => {
                Ok(Some(Watcher { correlation_id: context.correlation_id.clone(), ended: request.ended() }))
            }
            None => Err(ChangeError::Other("the call belongs to no request that could watch".into())),
        },
    }
}

fn ended() -> ChangeError {
    ChangeError::Other("the caller's session has ended".into())
}

fn refusal(of: &Subject, fault: CatalogueError) -> ChangeError {
    match (fault, of) {
        (CatalogueError::Unknown(_) | CatalogueError::Forbidden { .. }, Subject::Resource(uri)) => {
            ChangeError::Unknown(format!("the caller is offered no resource {uri:?}"))
        }
        (fault, _) => ChangeError::Other(fault.to_string()),
    }
}
