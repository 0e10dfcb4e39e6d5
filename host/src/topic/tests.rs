//! Topics as the dispatcher uses them, with receivers that write down what they get.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use prometheus_client::metrics::gauge::Gauge;
use switchboard_protocol::MessageType;

use super::{
    NewPublication, Options, Position, PresenceEvent, Publication, Receiver, Subscription, TopicFault, Topics,
};
use crate::{
    auth::Principal,
    config::{
        Config, LiveConfig,
        topic_rule::{TopicRule, TopicRules},
    },
};

/// A client that notes frames as texts.
#[derive(Debug)]
struct Client {
    session: Arc<str>,
    principal: Mutex<Arc<Principal>>,
    got: Mutex<Vec<String>>,
    is_slow: AtomicBool,
}

impl Client {
    fn of(tenant: Option<&str>, session: &str, subject: &str) -> Arc<Self> {
        Arc::new(Self {
            session: session.into(),
            principal: Mutex::new(Arc::new(Principal::named(tenant, subject))),
            got: Mutex::default(),
            is_slow: AtomicBool::new(false),
        })
    }

    fn new(session: &str) -> Arc<Self> {
        Self::of(None, session, session)
    }

    /// What came in since the last time.
    fn got(&self) -> Vec<String> {
        std::mem::take(&mut self.got.lock().unwrap())
    }
}

impl Receiver for Arc<Client> {
    type Frame = String;

    fn connection_id(&self) -> Arc<str> {
        format!("ws_{}", self.session).into()
    }

    fn principal(&self) -> Arc<Principal> {
        self.principal.lock().unwrap().clone()
    }

    fn has_room(&self, _: &[String]) -> bool {
        !self.is_slow.load(Ordering::SeqCst)
    }

    fn push(&self, frame: &String) -> bool {
        self.got.lock().unwrap().push(frame.clone());
        true
    }

    fn publication(topic: &str, _: &str, publication: &Publication) -> String {
        format!("{topic} {}", publication.offset)
    }

    fn presence(event: &PresenceEvent<'_>) -> String {
        let who: Vec<_> = event.who.iter().map(|who| &*who.subject).collect();
        let sign = if event.joined { '+' } else { '-' };
        format!("{} {sign}{} of {}", event.topic, who.join("&"), event.members)
    }
}

struct World {
    topics: Topics<Arc<Client>>,
    config: LiveConfig,
}

fn world() -> World {
    let config = LiveConfig::new(Config::for_tests("data"));
    World { topics: Topics::new("run".into(), Gauge::default(), config.clone()), config }
}

impl World {
    fn change(&self, change: impl FnOnce(&mut Config)) {
        let mut config = (*self.config.load()).clone();
        change(&mut config);
        self.config.publish(config);
    }

    fn rule(&self, rules: &[&str]) {
        let list = rules.iter().map(|text| TopicRule::parse(text).unwrap()).collect();
        self.change(|config| config.topics.rules = Arc::new(TopicRules::new(list).unwrap()));
    }

    fn join(&self, client: &Arc<Client>, name: &str, options: &Options) -> Result<Subscription, TopicFault> {
        self.topics.subscribe(&client.session, client.clone(), name, options)
    }

    fn subscribe(&self, client: &Arc<Client>, name: &str) -> Result<Subscription, TopicFault> {
        self.join(client, name, &Options::default())
    }

    fn watch(&self, client: &Arc<Client>, name: &str) -> Subscription {
        self.join(client, name, &Options { since: None, presence: true }).unwrap()
    }

    fn since(&self, client: &Arc<Client>, name: &str, since: &Position) -> Subscription {
        self.join(client, name, &Options { since: Some(since.clone()), presence: false }).unwrap()
    }

    fn publish_by(&self, publisher: &Principal, name: &str) -> Result<Position, TopicFault> {
        let publication = NewPublication {
            name,
            message_type: MessageType::parse("m").unwrap(),
            payload: "{}".into(),
            timestamp: 1.0,
            exclude_session: Some("excluded"),
        };
        self.topics.publish(publisher, publication).map(|receipt| receipt.position)
    }

    fn publish(&self, name: &str) -> Position {
        self.publish_by(&Principal::named(None, "publisher"), name).unwrap()
    }
}

const AGES: Duration = Duration::from_secs(100_000);

#[test]
fn a_publication_reaches_each_subscriber_once_and_offsets_rise() {
    let world = world();
    let (a, b, c, excluded) = (Client::new("a"), Client::new("b"), Client::new("c"), Client::new("excluded"));
    for (client, name) in
        [(&a, "room.1"), (&a, "room.*"), (&a, "**"), (&b, "room.*"), (&c, "room.2"), (&excluded, "room.1")]
    {
        world.subscribe(client, name).unwrap();
    }
    assert_eq!([world.publish("room.1").offset, world.publish("room.1").offset], [1, 2]);
    for (client, expected) in [(&a, 2), (&b, 2), (&c, 0), (&excluded, 0)] {
        assert_eq!(client.got().len(), expected, "{}", client.session);
    }
    assert_eq!(world.topics.history(&Principal::named(None, "a"), "room.1", 10).unwrap().len(), 2);
}

#[test]
fn tenants_and_users_do_not_see_one_another() {
    let world = world();
    let (a, b) = (Client::of(Some("acme"), "a", "alice"), Client::new("bob"));
    world.subscribe(&a, "room").unwrap();
    world.subscribe(&b, "**").unwrap();
    world.publish_by(&Principal::named(Some("other"), "x"), "room").unwrap();
    world.publish("user.carol.inbox");
    assert!(a.got().is_empty() && b.got().is_empty());
    world.publish("user.bob.inbox");
    assert_eq!(b.got(), ["user.bob.inbox 1"]);
    assert!(world.topics.history(&b.principal(), "user.carol.inbox", 1).is_err());
    assert!(world.topics.members(&Principal::named(Some("other"), "alice"), "room").unwrap().is_empty());
}

#[test]
fn a_session_has_so_many_subscriptions_and_doing_it_again_changes_nothing() {
    let world = world();
    world.change(|config| config.limits.max_subscriptions = 2);
    let a = Client::new("a");
    for name in ["one", "one", "*"] {
        world.subscribe(&a, name).unwrap();
    }
    assert!(matches!(world.subscribe(&a, "three"), Err(TopicFault::LimitExceeded(_))));
    assert!(world.topics.unsubscribe(None, "a", "one") && !world.topics.unsubscribe(None, "a", "one"));
    assert!(world.subscribe(&a, "three").is_ok());
    assert_eq!(world.topics.subscription_count(), 2);
}

#[test]
fn a_session_that_ends_leaves_nothing_behind() {
    let world = world();
    let a = Client::new("a");
    world.subscribe(&a, "one").unwrap();
    world.subscribe(&a, "one.*").unwrap();
    world.topics.forget_session("a");
    world.topics.forget_session("a");
    world.topics.reap(Instant::now() + AGES);
    assert_eq!(world.topics.sizes(), [0; 4]);
    assert_eq!(world.topics.subscription_count(), 0);
}

#[test]
fn a_forgotten_topic_comes_back_under_another_epoch() {
    let world = world();
    let first = world.publish("room");
    world.topics.reap(Instant::now());
    assert_eq!(world.publish("room").epoch, first.epoch, "its history is recent");
    world.topics.reap(Instant::now() + AGES);
    let second = world.publish("room");
    assert_eq!((first.offset, second.offset), (1, 1));
    assert_ne!(first.epoch, second.epoch);
}

#[test]
fn what_was_missed_is_replayed_whole_or_not_at_all() {
    let world = world();
    world.change(|config| config.limits.topic_history = 3);
    let positions: Vec<Position> = (0..5).map(|_| world.publish("room")).collect();
    let now = &positions[4];
    let other = Position { epoch: "other".into(), ..now.clone() };
    let ahead = Position { offset: 6, ..now.clone() };
    for (since, expected) in [
        (&positions[1], Some(3)),
        (&positions[3], Some(1)),
        (now, Some(0)),
        (&positions[0], None),
        (&other, None),
        (&ahead, None),
    ] {
        let client = Client::new("a");
        let answer = world.since(&client, "room", since);
        assert_eq!((answer.recovered, answer.replayed), (expected.is_some(), expected.unwrap_or(0)), "{since:?}");
        assert_eq!(&answer.position, now);
        let replayed: Vec<String> = (since.offset + 1..=5).map(|offset| format!("room {offset}")).collect();
        assert_eq!(client.got(), if expected.is_some() { replayed } else { vec![] });
        world.topics.forget_session("a");
    }
}

#[test]
fn a_client_that_cannot_take_the_replay_is_not_sent_it() {
    let world = world();
    let (first, client) = (world.publish("room"), Client::new("a"));
    world.publish("room");
    client.is_slow.store(true, Ordering::SeqCst);
    let answer = world.since(&client, "room", &first);
    assert_eq!((answer.recovered, answer.replayed, client.got().len()), (false, 0, 0));
}

#[test]
fn a_member_that_asks_again_is_not_told_twice() {
    let world = world();
    let (before, client) = (world.publish("room"), Client::new("a"));
    world.publish("room");
    let begun = world.subscribe(&client, "room").unwrap().position;
    let later = world.publish("room");
    assert_eq!(client.got(), ["room 3"]);
    for (since, recovered) in [(&begun, true), (&later, true), (&before, false)] {
        let answer = world.since(&client, "room", since);
        assert_eq!((answer.recovered, answer.replayed), (recovered, 0), "{since:?}");
    }
    assert!(client.got().is_empty());
}

#[test]
fn a_pattern_has_neither_position_nor_presence() {
    let (world, client) = (world(), Client::new("a"));
    let since = Some(Position { offset: 1, epoch: "run".into() });
    for options in [Options { since, presence: false }, Options { since: None, presence: true }] {
        assert!(matches!(world.join(&client, "room.*", &options), Err(TopicFault::Invalid(_))));
    }
    assert_eq!(world.topics.sizes(), [0; 4]);
}

#[test]
fn presence_tells_those_who_ask_of_others_and_never_of_themselves() {
    let world = world();
    let [a, b, c] = ["a", "b", "c"].map(Client::new);
    world.watch(&a, "room");
    world.subscribe(&b, "room").unwrap();
    assert_eq!((a.got(), b.got()), (vec!["room +b of 2".to_owned()], vec![]));
    world.watch(&c, "room");
    world.topics.forget_session("b");
    assert!(a.got().is_empty() && c.got().is_empty(), "they follow too quickly, and wait");
    world.topics.tell_presence(Instant::now());
    assert_eq!(a.got(), ["room +c of 2", "room -b of 2"]);
    assert_eq!(c.got(), ["room -b of 2"]);
    world.topics.unsubscribe(None, "c", "room");
    world.topics.tell_presence(Instant::now());
    assert_eq!((a.got(), c.got()), (vec!["room -c of 1".to_owned()], vec![]));
    let members = world.topics.members(&a.principal(), "room").unwrap();
    assert_eq!(members.iter().map(|who| &*who.connection_id).collect::<Vec<_>>(), ["ws_a"]);
}

#[test]
fn a_crowd_of_watchers_gets_few_messages_and_nobody_hears_of_itself() {
    let world = world();
    let crowd: Vec<_> = (0..300).map(|number| Client::new(&format!("s{number}"))).collect();
    crowd.iter().for_each(|client| drop(world.watch(client, "room")));
    world.topics.tell_presence(Instant::now());
    for client in &crowd {
        let got = client.got();
        assert!(got.len() <= 4, "{} messages", got.len());
        assert!(!got.iter().any(|text| text.split(['+', '&', ' ']).any(|name| *name == *client.session)));
    }
    let refused = (0..1000).map(|number| {
        let client = Client::new(&format!("more{number}"));
        world.join(&client, "room", &Options { since: None, presence: true })
    });
    assert_eq!(refused.filter(|joined| matches!(joined, Err(TopicFault::LimitExceeded(_)))).count(), 300);
}

#[test]
fn a_rule_holds_at_once_and_ends_subscriptions_that_it_forbids() {
    let world = world();
    let (by_name, by_pattern) = (Client::new("a"), Client::new("b"));
    world.subscribe(&by_name, "room.1").unwrap();
    world.subscribe(&by_pattern, "room.**").unwrap();
    world.rule(&["deny all room.1"]);
    assert!(matches!(world.publish_by(&by_name.principal(), "room.1"), Err(TopicFault::Forbidden(_))));
    world.rule(&["deny subscribe room.1"]);
    world.publish("room.1");
    world.publish("room.2");
    assert_eq!((by_name.got(), by_pattern.got()), (vec![], vec!["room.2 1".to_owned()]));
    let revoked = world.topics.enforce();
    let ended: Vec<_> = revoked.iter().map(|revoked| (&*revoked.subscriber.session_id, &*revoked.name)).collect();
    assert_eq!(ended, [("a", "room.1")]);
    assert!(revoked[0].reason.contains("deny subscribe room.1"), "{}", revoked[0].reason);
    assert!(world.topics.enforce().is_empty());
    world.rule(&[]);
    world.publish("room.1");
    assert_eq!((by_name.got(), by_pattern.got()), (vec![], vec!["room.1 2".to_owned()]));
}

#[test]
fn a_newer_token_with_fewer_rights_ends_what_it_no_longer_allows() {
    let world = world();
    world.rule(&["allow all room if scope chat", "deny all room"]);
    let with = |scopes: &[&str]| {
        let scopes = scopes.iter().map(ToString::to_string).collect();
        Arc::new(Principal { scopes, ..Principal::named(None, "a") })
    };
    let client = Client::new("a");
    *client.principal.lock().unwrap() = with(&["chat"]);
    world.subscribe(&client, "room").unwrap();
    assert!(world.topics.enforce().is_empty());
    world.publish_by(&client.principal(), "room").unwrap();
    let publisher = client.principal();
    *client.principal.lock().unwrap() = with(&[]);
    world.publish_by(&publisher, "room").unwrap();
    assert_eq!(client.got(), ["room 1"], "the second is no longer shown");
    assert_eq!(world.topics.enforce().len(), 1);
    assert_eq!(world.topics.subscription_count(), 0);
}

#[test]
fn one_user_brings_so_many_topics_into_being_and_others_go_on() {
    let world = world();
    world.change(|config| config.topics.max_per_user = 2);
    let (alice, bob) = (Principal::named(None, "alice"), Principal::named(None, "bob"));
    for name in ["1", "2", "1"] {
        world.publish_by(&alice, name).unwrap();
    }
    assert!(matches!(world.publish_by(&alice, "3"), Err(TopicFault::LimitExceeded(_))));
    world.publish_by(&bob, "3").unwrap();
    world.publish_by(&alice, "3").unwrap();
    world.topics.reap(Instant::now() + AGES);
    world.publish_by(&alice, "4").unwrap();
}

#[test]
fn topics_and_subscriptions_go_on_after_a_restart() {
    let before = world();
    let client = Client::new("a");
    before.watch(&client, "room");
    before.subscribe(&client, "news.**").unwrap();
    let positions: Vec<Position> = (0..3).map(|_| before.publish("room")).collect();
    before.subscribe(&client, "quiet").unwrap();
    let saved = before.topics.export();
    let bytes = postcard::to_allocvec(&saved).unwrap();
    let mut subscriptions = before.topics.subscriptions_of("a");
    subscriptions.sort_by(|a, b| a.name.cmp(&b.name));

    let after = world();
    after.topics.restore(postcard::from_bytes(&bytes).unwrap(), 2.0);
    let returned = Client::new("a");
    for subscription in &subscriptions {
        let (name, presence) = (&subscription.name, subscription.presence);
        after.topics.resubscribe(&returned.session, returned.clone(), name, presence).unwrap();
    }
    let names: Vec<_> = subscriptions.iter().map(|saved| (saved.name.as_str(), saved.presence)).collect();
    assert_eq!(names, [("news.**", false), ("quiet", false), ("room", true)]);
    assert!(returned.got().is_empty(), "nothing is replayed");
    assert_eq!(after.topics.history_bytes(), 6);

    let newcomer = Client::new("b");
    let answer = after.since(&newcomer, "room", &positions[1]);
    assert_eq!((answer.recovered, answer.replayed), (true, 1));
    assert_eq!((newcomer.got(), returned.got()), (vec!["room 3".to_owned()], vec!["room +b of 2".to_owned()]));
    let next = after.publish("room");
    assert_eq!((next.offset, &next.epoch), (4, &positions[0].epoch));
    drop(after.topics.export());
}

#[test]
fn what_became_too_old_while_the_server_was_away_is_not_replayed() {
    let before = world();
    let first = before.publish("room");
    before.publish("room");
    let after = world();
    after.change(|config| config.topics.history_ttl = Duration::from_secs(5));
    // The publications are of the second 1.
    after.topics.restore(before.topics.export(), 60.0);
    let client = Client::new("a");
    let answer = after.since(&client, "room", &first);
    assert_eq!((answer.recovered, answer.position.offset), (false, 2));
    assert_eq!(after.topics.history_bytes(), 0);
}
