//! Many watchers of few views: who is told, and how often is asked.

use std::{
    any::Any,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Instant,
};

use futures_util::FutureExt as _;
use switchboard_protocol::MessageType;

use super::*;
use crate::{
    dispatch::changes::{
        pending::{Pending, QUIET},
        watchers::Source,
    },
    session::test_session::session,
};

/// Users of a tenant see one list, and others another.
#[derive(Default)]
struct Fake {
    lists: Mutex<HashMap<Option<String>, &'static str>>,
    source: Mutex<Option<Source>>,
    asked: AtomicUsize,
}

impl Fake {
    fn show(&self, tenant: Option<&str>, generation: &'static str) {
        self.lists.lock().unwrap().insert(tenant.map(str::to_owned), generation);
    }

    fn offer(&self, plugin: &str, version: &Arc<dyn Any + Send + Sync>) {
        *self.source.lock().unwrap() = Some(Source { plugin: plugin.into(), version: Arc::downgrade(version) });
    }
}

impl Offered for Fake {
    type View = Option<String>;

    fn view(&self, session: &Session) -> Self::View {
        session.principal().tenant.clone()
    }

    fn ask<'a>(&'a self, session: &'a Arc<Session>, about: &'a Subject) -> BoxFuture<'a, Option<Seen>> {
        self.asked.fetch_add(1, Relaxed);
        let seen = match about {
            Subject::Resource(_) => Some(Seen::Resource(self.source.lock().unwrap().clone())),
            _ => self.lists.lock().unwrap().get(&self.view(session)).map(|list| Seen::List((*list).into())),
        };
        std::future::ready(seen).boxed()
    }
}

async fn watch(watchers: &Watchers, fake: &Fake, session: &Arc<Session>, of: Subject) {
    let seen = fake.ask(session, &of).await.unwrap();
    let message_type = MessageType::parse("jsonrpc").unwrap();
    let message = Message { message_type, payload: "{}".into(), correlation_id: None };
    watchers.watch(session, of, None, message, seen).unwrap();
}

fn everything() -> Due {
    Due { everything: true, ..Due::default() }
}

/// The ids of those who are told, in order.
async fn told(watchers: &Watchers, fake: &Fake, due: &Due) -> Vec<String> {
    let looked = watchers.look(fake, due).await;
    let mut ids: Vec<_> = looked.told.iter().map(|told| told.session.id.to_string()).collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn a_swap_is_one_question_for_each_view_however_many_watch() {
    const WATCHERS: usize = 10_000;
    let (watchers, fake) = (Watchers::default(), Fake::default());
    fake.show(None, "1");
    fake.show(Some("acme"), "1");
    for number in 0..WATCHERS {
        let tenant = (number % 2 == 0).then_some("acme");
        let session = session(&number.to_string(), tenant, &format!("user-{number}"));
        watch(&watchers, &fake, &session, Subject::Tools).await;
    }
    fake.show(Some("acme"), "2");
    fake.asked.store(0, Relaxed);
    assert_eq!(told(&watchers, &fake, &everything()).await.len(), WATCHERS / 2, "only those who see it");
    assert_eq!(fake.asked.load(Relaxed), 2, "one question for each view");
    assert_eq!(told(&watchers, &fake, &everything()).await.len(), 0, "they have been told");
}

#[tokio::test]
async fn what_cannot_be_said_now_is_neither_told_nor_forgotten() {
    let (watchers, fake) = (Watchers::default(), Fake::default());
    fake.show(None, "1");
    watch(&watchers, &fake, &session("1", None, "alice"), Subject::Prompts).await;
    fake.lists.lock().unwrap().clear();
    let looked = watchers.look(&fake, &everything()).await;
    assert!(looked.in_vain && looked.told.is_empty());
    fake.show(None, "2");
    assert_eq!(told(&watchers, &fake, &everything()).await, ["1"]);
}

#[tokio::test]
async fn other_rights_are_looked_at_for_their_session_alone() {
    let (watchers, fake) = (Watchers::default(), Fake::default());
    fake.show(None, "1");
    for id in ["1", "2"] {
        watch(&watchers, &fake, &session(id, None, id), Subject::Tools).await;
    }
    fake.show(None, "2");
    let due = Due { sessions: HashSet::from(["2".into()]), ..Due::default() };
    assert_eq!(told(&watchers, &fake, &due).await, ["2"]);
}

#[tokio::test]
async fn a_resource_has_changed_if_its_own_plugin_says_so_or_is_another_version() {
    let (watchers, fake) = (Watchers::default(), Fake::default());
    let versions: [Arc<dyn Any + Send + Sync>; 2] = [Arc::new(1), Arc::new(2)];
    fake.offer("p", &versions[0]);
    watch(&watchers, &fake, &session("1", None, "alice"), Subject::Resource("test://a".into())).await;
    let says = |plugin: &str, uri: &str| {
        let (mut pending, now) = (Pending::default(), Instant::now());
        pending.note_plugin(&plugin.into(), Subject::Resource(uri.into()), now);
        pending.take(now + QUIET)
    };
    assert_eq!(told(&watchers, &fake, &says("p", "test://a")).await, ["1"]);
    assert!(told(&watchers, &fake, &says("q", "test://a")).await.is_empty(), "it is not q's");
    assert!(told(&watchers, &fake, &says("p", "test://b")).await.is_empty());
    assert!(told(&watchers, &fake, &everything()).await.is_empty());
    fake.offer("p", &versions[1]);
    assert_eq!(told(&watchers, &fake, &everything()).await, ["1"]);
    *fake.source.lock().unwrap() = None;
    assert_eq!(told(&watchers, &fake, &everything()).await, ["1"]);
    assert!(told(&watchers, &fake, &everything()).await.is_empty());
}
