//! Messages without a socket: what becomes of their exchanges, their calls and what they leave open.

use std::time::{Duration, SystemTime};

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{exchanges::Posted, *};
use crate::{
    admission::Admission,
    auth::{Principal, revocation::Revocations},
    plugin::{
        GuestMessage,
        effects::{Delivery, Effects as _, Emission, Target, Transport},
        request::{Request as _, RequestError},
        test_guest::{Handle, TestGuest},
        test_host::Host,
    },
    session::{Connection, detached::Detached, exchange::End, state::State},
};

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

struct Running {
    host: Host,
    dispatcher: Arc<Dispatcher>,
    admission: Arc<Admission>,
    stop: CancellationToken,
}

impl Running {
    /// With `silent`, which says nothing, and `spin`, which computes for ever.
    async fn start() -> Self {
        let spin = TestGuest::handling("1.0.0", &["spin"]).with_handle(Handle::Spin);
        let files = [("silent", TestGuest::handling("1.0.0", &["silent"])), ("spin", spin)];
        let host = Host::start(&files, |config| {
            config.limits.max_in_flight = 2;
            config.plugin_defaults.limits.deadline = Duration::from_secs(60);
            config.plugin_defaults.limits.cpu_time = Duration::from_secs(60);
        })
        .await;
        let (config, metrics) = (host.config.clone(), host.metrics.clone());
        let data_dir = config.load().server.data_dir.clone();
        let revocations = Revocations::open(&data_dir, metrics.clone()).unwrap();
        let stop = CancellationToken::new();
        let auth =
            Authenticator::start(config.clone(), metrics.clone(), revocations, &host.tasks, stop.clone()).unwrap();
        let dispatcher = Dispatcher::new(Parts {
            config: config.clone(),
            metrics: metrics.clone(),
            auth,
            plugins: host.plugins.clone(),
            sessions: Arc::new(Sessions::new(Arc::new(Detached::new(usize::MAX)))),
            toolbox: Toolbox::new(config.clone(), metrics.clone(), host.tasks.clone()),
            connections: host.tasks.clone(),
            tasks: host.tasks.clone(),
        });
        let admission = Admission::new(config, metrics);
        Self { host, dispatcher, admission, stop }
    }

    fn post(&self, message_type: &str) -> (exchanges::SinglePost, Posted) {
        let post = self.dispatcher.single_post("http_1".into(), alice(), "k".into());
        let posted = self.send(&post.session, message_type, "k");
        (post, posted)
    }

    fn send(&self, session: &Arc<Session>, message_type: &str, key: &str) -> Posted {
        let frame = format!("{{\"type\":{message_type:?},\"id\":{key:?},\"payload\":{{}}}}");
        let mut rate = self.admission.message_rate(&session.principal());
        self.dispatcher.handle_post(session, session.principal(), &mut rate, frame.as_bytes())
    }

    /// A message of this session in the hands of its handler.
    fn handling(&self, session: &Arc<Session>, key: &str) -> (Handling, Request) {
        let frame = format!("{{\"type\":\"silent\",\"id\":{key:?},\"payload\":{{}}}}");
        let message = ClientMessage::parse(frame.as_bytes(), 8).unwrap();
        let principal = session.principal();
        let registry = self.host.plugins.registry();
        let version =
            route::find(&registry, &message, &Who::new(&principal, &session.id)).ok().unwrap().version.clone();
        let request = Request::new(&message, version, principal, Instant::now());
        (self.dispatcher.take_in(session, &message, &request).unwrap(), request)
    }

    fn sessions(&self) -> usize {
        self.dispatcher.deliver.sessions.len()
    }

    fn calls(&self) -> i64 {
        let plugin = crate::telemetry::metrics::Plugin { plugin: "spin".into() };
        self.host.metrics.plugin_calls_in_flight.get_or_create(&plugin).get()
    }

    async fn end(self) {
        self.stop.cancel();
        self.host.stop().await;
    }
}

fn alice() -> Principal {
    let in_an_hour = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap() + Duration::from_secs(3_600);
    Principal { expires_at: in_an_hour.as_secs(), ..Principal::named(None, "alice") }
}

fn answer(text: &str) -> GuestMessage {
    let message_type = switchboard_protocol::MessageType::parse("silent").unwrap();
    GuestMessage { message_type, payload: text.into(), id: None, correlation_id: None, timestamp: 0.0 }
}

async fn next(exchange: &crate::session::exchange::Exchange) -> Value {
    let next = tokio::time::timeout(PATIENCE, exchange.next()).await.expect("something in time");
    serde_json::from_slice(&next.expect("a message")).unwrap()
}

#[tokio::test]
async fn an_exchange_ends_with_its_answer_its_error_or_its_silence() {
    let running = Running::start().await;
    let (post, posted) = running.post("silent");
    assert_eq!((posted, post.exchange.next().await), (Posted::TakenIn, None));
    assert_eq!(post.exchange.ended(), Some(End::Silent));
    drop(post);

    let (post, posted) = running.post("nobody");
    assert_eq!(posted, Posted::Unserved);
    assert_eq!(next(&post.exchange).await["payload"]["code"], "UNKNOWN_MESSAGE_TYPE");
    assert_eq!((post.exchange.next().await, post.exchange.ended()), (None, Some(End::Answered)));
    drop(post);

    let session = running.dispatcher.session_for_posts("http_2".into(), alice());
    let exchange = running.dispatcher.open_exchange(&session, "k".into());
    let (mut handling, request) = running.handling(&session, "k");
    let work = handling.start();
    // Whatever a plugin puts there, the answer is the request's.
    let answer = GuestMessage { correlation_id: Some("other".into()), ..answer("{\"n\":1}") };
    assert_eq!(handling.end(&work, &request, Some(Ok(Some(answer)))), "answered");
    assert_eq!(next(&exchange).await["payload"]["n"], 1);
    assert_eq!(exchange.ended(), Some(End::Answered));
    running.dispatcher.end_session(&session, "closed");
    assert_eq!(running.sessions(), 0);
    running.end().await;
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_call_and_all_that_was_its_session() {
    let running = Running::start().await;
    let (post, posted) = running.post("spin");
    assert_eq!(posted, Posted::TakenIn);
    running.host.until(|| running.calls(), |calls| *calls == 1, "a call").await;
    assert!(running.dispatcher.deliver.sessions.of_user(None, "alice").is_empty(), "nobody else reaches it");
    let session = post.session.clone();
    assert!(!session.is_over());
    drop(post);
    running.host.until(|| running.calls(), |calls| *calls == 0, "no call").await;
    running.host.until(|| session.is_over(), |over| *over, "an end that calls of its hear of").await;
    assert_eq!(running.sessions(), 0);
    running.end().await;
}

#[tokio::test]
async fn a_session_takes_in_so_many_posts_and_says_so_to_the_next() {
    let running = Running::start().await;
    let session = running.dispatcher.session_for_posts("http_1".into(), alice());
    let [one, two, three] = ["1", "2", "3"].map(|key| running.dispatcher.open_exchange(&session, key.into()));
    assert_eq!(["1", "2"].map(|key| running.send(&session, "spin", key)), [Posted::TakenIn, Posted::TakenIn]);
    assert_eq!(running.send(&session, "silent", "3"), Posted::TooFast);
    assert_eq!(next(&three).await["payload"]["code"], "TOO_MANY_IN_FLIGHT");
    assert_eq!((three.next().await, three.ended()), (None, Some(End::Answered)));
    running.dispatcher.end_session(&session, "closed");
    assert_eq!([one.ended(), two.ended()], [Some(End::SessionEnded); 2]);
    running.host.until(|| running.calls(), |calls| *calls == 0, "no call").await;
    running.end().await;
}

#[tokio::test]
async fn the_host_answers_what_is_open_when_the_token_expires_or_it_stops() {
    let running = Running::start().await;
    for stops in [false, true] {
        let principal = if stops { alice() } else { Principal { expires_at: 1, ..alice() } };
        let session = running.dispatcher.session_for_posts("http_1".into(), principal);
        let exchange = running.dispatcher.open_exchange(&session, "k".into());
        let (mut handling, request) = running.handling(&session, "k");
        let work = handling.start();
        work.0.begin("a").unwrap();
        work.0.leave_open(0, "{\"late\":true}".into()).unwrap();
        assert_eq!(handling.end(&work, &request, Some(Ok(None))), "left_open");
        assert!(!exchange.is_ended());
        if stops {
            running.dispatcher.finish_requests(&session);
        }
        let answer = next(&exchange).await;
        assert_eq!((&answer["type"], &answer["payload"]["late"]), (&"silent".into(), &true.into()));
        assert_eq!((exchange.next().await, exchange.ended()), (None, Some(End::Answered)));
        running.dispatcher.end_session(&session, "closed");
    }
    running.end().await;
}

#[tokio::test]
async fn what_is_sent_for_a_request_that_was_called_off_gets_nowhere() {
    let running = Running::start().await;
    let posts = running.dispatcher.session_for_posts("http_1".into(), alice());
    let exchange = running.dispatcher.open_exchange(&posts, "k".into());
    call_off(&running, &posts);
    assert_eq!(next(&exchange).await["type"], "silent", "what was sent before");
    assert_eq!((exchange.next().await, exchange.ended()), (None, Some(End::Cancelled)));

    let connection = Arc::new(Connection::new("ws_1".into(), State::Open));
    let attachment = running.dispatcher.new_session(&connection, alice(), true);
    running.dispatcher.open(&attachment.session);
    call_off(&running, &attachment.session);
    let mut written = std::collections::VecDeque::new();
    attachment.take(&mut written).unwrap();
    let numbered = written.iter().filter(|frame| frame.seq.is_some()).count();
    assert_eq!(numbered, 1, "what was sent before");
    running.end().await;
}

fn call_off(running: &Running, session: &Arc<Session>) {
    let (mut handling, request) = running.handling(session, "k");
    let work = handling.start();
    let caller = context::caller(session, Transport::Internal);
    let send = || {
        let message_type = switchboard_protocol::MessageType::parse("silent").unwrap();
        let (to, delivery, correlation_id) = (Target::Caller, Delivery::Kept, Some("k".into()));
        work.0.send(&caller, Emission { to, message_type, payload: "{}".into(), delivery, correlation_id })
    };
    assert_eq!(send(), Ok(1));
    let ended = work.0.ended();
    work.0.begin("a").unwrap();
    assert!(work.0.cancel("a") && ended.is_cancelled());
    assert!(send().is_err());
    assert!(matches!(work.0.begin("b"), Err(RequestError::LimitExceeded(_))), "it has had its name");
    assert_eq!(handling.end(&work, &request, Some(Ok(Some(answer("{}"))))), "cancelled");
    assert!(work.0.ended().is_cancelled() && !work.0.cancel("a"), "the call has ended");
}

#[tokio::test]
async fn a_call_that_is_dropped_ends_both_its_message_and_the_one_that_it_went_on_with() {
    let running = Running::start().await;
    let session = running.dispatcher.session_for_posts("http_1".into(), alice());
    let [one, two] = ["1", "2"].map(|key| running.dispatcher.open_exchange(&session, key.into()));
    let (mut handling, request) = running.handling(&session, "1");
    let work = handling.start();
    work.0.begin("a").unwrap();
    work.0.leave_open(0, "{}".into()).unwrap();
    handling.end(&work, &request, Some(Ok(None)));

    let (mut handling, _) = running.handling(&session, "2");
    let work = handling.start();
    assert_eq!(work.0.resume("a"), Ok(Some("1".into())));
    assert!(matches!(work.0.resume("b"), Err(RequestError::LimitExceeded(_))), "one at a time");
    drop((work, handling));
    for exchange in [one, two] {
        assert_eq!(next(&exchange).await["payload"]["code"], "MESSAGE_INTERRUPTED");
        assert_eq!(exchange.ended(), Some(End::Answered));
    }
    assert!(!session.requests.cancel("a"), "its name is free");
    running.end().await;
}

#[tokio::test]
async fn a_message_acts_with_the_token_that_it_came_with() {
    let running = Running::start().await;
    let session = running.dispatcher.session_for_posts("http_1".into(), alice());
    let (mut handling, request) = running.handling(&session, "k");
    session.renew(Arc::new(Principal { scopes: vec!["admin".into()], ..alice() }));
    let work = handling.start();
    let context = context::of_message(&running.host.config.load(), &session, &request, work.0.clone());
    assert!(context.caller.principal.scopes.is_empty(), "another request brought another token");
    drop((handling, work));
    running.dispatcher.end_session(&session, "closed");
    running.end().await;
}
