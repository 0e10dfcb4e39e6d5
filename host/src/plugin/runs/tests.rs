//! The promises of runs, without a sandbox.

use std::{sync::Mutex as StdMutex, time::Duration};

use futures_util::{FutureExt as _, future::BoxFuture};
use serde_json::Value;
use tokio::time::timeout;

use super::{
    super::{
        effects::{test_session::TestSession, *},
        offers::Offers,
    },
    *,
};

const SOON: Duration = Duration::from_millis(50);

/// Records what is sent.
#[derive(Default)]
struct Recorder {
    events: StdMutex<Vec<(String, Value)>>,
    unreachable: bool,
}

impl Effects for Recorder {
    fn send(&self, _: &Caller, emission: Emission) -> Result<u32, Unreachable> {
        let payload = serde_json::from_str(&emission.payload).unwrap();
        self.events.lock().unwrap().push((emission.message_type.to_string(), payload));
        if self.unreachable { Err(Unreachable) } else { Ok(1) }
    }
    fn subscribe(&self, _: &Caller, _: &str, _: SubscribeOptions) -> Result<TopicSubscription, TopicError> {
        unreachable!()
    }
    fn unsubscribe(&self, _: &Caller, _: &str) -> Result<bool, TopicError> {
        unreachable!()
    }
    fn publish(
        &self,
        _: &Caller,
        _: &str,
        _: MessageType,
        _: String,
        _: bool,
    ) -> Result<(TopicPosition, u32), TopicError> {
        unreachable!()
    }
    fn members(&self, _: &Caller, _: &str) -> Result<Vec<TopicMember>, TopicError> {
        unreachable!()
    }
    fn history(&self, _: &Caller, _: &str, _: u32) -> Result<Vec<TopicPublication>, TopicError> {
        unreachable!()
    }
    fn list_tools<'a>(&'a self, _: &'a CallContext) -> BoxFuture<'a, Result<String, ToolError>> {
        std::future::pending().boxed()
    }
    fn call_tool<'a>(&'a self, _: &'a CallContext, _: &'a str, _: String) -> BoxFuture<'a, Result<String, ToolError>> {
        std::future::pending().boxed()
    }
    fn offers(&self) -> Option<&dyn Offers> {
        None
    }

    fn stats(&self) -> String {
        String::new()
    }
}

fn principal(subject: &str, tenant: Option<&str>) -> Principal {
    Principal::named(tenant, subject)
}

fn outlet(recorder: &Arc<Recorder>, subject: &str) -> RunOutlet {
    RunOutlet {
        effects: recorder.clone(),
        caller: Caller {
            connection_id: "ws_1".into(),
            session_id: "s_1".into(),
            session: Arc::new(TestSession::default()),
            principal: Arc::new(principal(subject, None)),
            transport: Transport::Websocket,
            through: None,
        },
        correlation_id: Some("c1".into()),
    }
}

struct Fixture {
    registry: Arc<RunRegistry>,
    recorder: Arc<Recorder>,
    budget: EmissionBudget,
}

impl Fixture {
    fn new() -> Self {
        Self { registry: Arc::default(), recorder: Arc::default(), budget: EmissionBudget::new(3, 1_000) }
    }

    async fn start(&self, subject: &str, thread: Option<&str>) -> (Arc<CallRun>, Result<RunIds, RunFault>) {
        let run = CallRun::new();
        let outlet = outlet(&self.recorder, subject);
        let ids = run.start(&self.registry, &"agent".into(), thread.map(Into::into), outlet).await;
        (run, ids)
    }

    fn terminal(&self) -> Value {
        let events = self.recorder.events.lock().unwrap();
        let mut terminal = events.iter().filter(|(kind, _)| kind == COMPLETED);
        let (_, payload) = terminal.next().expect("a terminal event");
        assert!(terminal.next().is_none(), "one terminal event");
        assert_eq!(events.last().unwrap().0, COMPLETED, "nothing follows it");
        payload.clone()
    }
}

fn cancelled_owner(subject: &str, tenant: Option<&str>) -> RunOwner {
    RunOwner::of(&principal(subject, tenant))
}

#[tokio::test]
async fn events_are_stamped_in_order_and_end_with_the_terminal_one() {
    let mut f = Fixture::new();
    let (run, ids) = f.start("alice", Some("t1")).await;
    let ids = ids.unwrap();
    run.emit(&mut f.budget, "agent_started", r#"{"seq":99,"a":1.50}"#).unwrap();
    run.finish(&mut f.budget, RunStatus::Success, r#"{"status":"mine","text":"done"}"#).unwrap();
    assert_eq!(run.emit(&mut f.budget, "agent_thinking", "{}"), Err(RunFault::Ended));
    assert_eq!(run.finish(&mut f.budget, RunStatus::Error, "{}"), Err(RunFault::Ended));
    run.close(None);
    drop(RunEnd(run));
    let last = f.terminal();
    assert_eq!((&last["status"], &last["seq"], &last["text"]), (&json!("success"), &json!(2), &json!("done")));
    let events = f.recorder.events.lock().unwrap();
    let (kind, first) = &events[0];
    assert_eq!((kind.as_str(), &first["seq"], &first["a"]), ("agent_started", &json!(1), &json!(1.5)));
    assert_eq!((&first["run_id"], &first["thread_id"]), (&json!(&*ids.run_id), &json!("t1")));
    assert!(first["timestamp"].is_number());
}

#[tokio::test]
async fn a_run_that_the_guest_did_not_finish_is_finished_by_the_host_whatever_happened() {
    let trap = || CallFailure::Crashed { trap: "x".into(), backtrace: String::new() };
    for (failure, status, code) in [
        (None, "error", "RUN_UNFINISHED"),
        (Some(trap()), "error", "PLUGIN_CRASHED"),
        (
            Some(CallFailure::TimedOut { limit: SOON, setting: super::super::failure::TimeLimit::Deadline }),
            "timeout",
            "PLUGIN_TIMEOUT",
        ),
        (Some(CallFailure::Cancelled), "cancelled", "RUN_CANCELLED"),
        (Some(CallFailure::Interrupted), "error", "PLUGIN_UNAVAILABLE"),
    ] {
        let f = Fixture::new();
        let (run, _) = f.start("alice", None).await;
        let end = RunEnd(run.clone());
        run.close(failure.as_ref());
        drop(end);
        let last = f.terminal();
        assert_eq!((&last["status"], &last["error"]["code"]), (&json!(status), &json!(code)));
    }
}

#[tokio::test]
async fn a_call_that_is_dropped_ends_its_run_as_cancelled() {
    let f = Fixture::new();
    let (run, _) = f.start("alice", None).await;
    drop(RunEnd(run));
    assert_eq!(f.terminal()["status"], "cancelled");
}

#[tokio::test]
async fn a_call_without_a_run_sends_nothing() {
    let mut f = Fixture::new();
    let run = CallRun::new();
    assert_eq!(run.emit(&mut f.budget, "agent_started", "{}"), Err(RunFault::Unknown));
    run.close(None);
    drop(RunEnd(run));
    assert!(f.recorder.events.lock().unwrap().is_empty());
}

#[tokio::test]
async fn runs_of_one_thread_take_turns_and_those_of_others_do_not_wait() {
    let f = Fixture::new();
    let (first, _) = f.start("alice", Some("t1")).await;
    assert!(timeout(SOON, f.start("alice", Some("t1"))).await.is_err());
    assert!(timeout(SOON, f.start("alice", Some("t2"))).await.is_ok());
    assert!(timeout(SOON, f.start("bob", Some("t1"))).await.is_ok());
    let mut second = Box::pin(f.start("alice", Some("t1")));
    let mut third = Box::pin(f.start("alice", Some("t1")));
    assert!(second.as_mut().now_or_never().is_none());
    assert!(third.as_mut().now_or_never().is_none());
    first.close(None);
    assert!(third.as_mut().now_or_never().is_none(), "first come, first served");
    let (second, _) = timeout(SOON, second).await.unwrap();
    drop(RunEnd(second));
    assert!(timeout(SOON, third).await.is_ok());
}

#[tokio::test]
async fn threads_leave_nothing_behind() {
    let f = Fixture::new();
    let (run, _) = f.start("alice", Some("t1")).await;
    assert!(timeout(SOON, f.start("alice", Some("t1"))).await.is_err());
    run.close(None);
    drop(run);
    f.registry.purge();
    let inner = f.registry.lock();
    assert!(inner.runs.is_empty() && inner.threads.is_empty());
}

#[tokio::test]
async fn only_the_same_user_of_the_same_tenant_can_cancel_a_run() {
    let mut f = Fixture::new();
    let (run, ids) = f.start("alice", None).await;
    let id = ids.unwrap().run_id;
    for stranger in [cancelled_owner("bob", None), cancelled_owner("alice", Some("acme"))] {
        assert_eq!(f.registry.cancel(&stranger, &id), Err(RunFault::Unknown));
    }
    assert!(!run.is_cancelled());
    f.registry.cancel(&cancelled_owner("alice", None), &id).unwrap();
    assert!(run.is_cancelled());
    assert_eq!(run.emit(&mut f.budget, "agent_thinking", "{}"), Err(RunFault::Cancelled));
    timeout(CANCEL_GRACE * 4, run.overdue()).await.expect("interrupted after the grace");
    run.close(None);
    assert_eq!(f.terminal()["status"], "cancelled");
    assert_eq!(f.registry.cancel(&cancelled_owner("alice", None), &id), Err(RunFault::Unknown));
}

#[tokio::test]
async fn a_cancelled_run_can_be_finished_politely() {
    let mut f = Fixture::new();
    let (run, ids) = f.start("alice", None).await;
    f.registry.cancel(&cancelled_owner("alice", None), &ids.unwrap().run_id).unwrap();
    run.finish(&mut f.budget, RunStatus::Cancelled, r#"{"so_far":1}"#).unwrap();
    run.close(Some(&CallFailure::Cancelled));
    assert_eq!(f.terminal()["so_far"], 1);
}

#[tokio::test]
async fn events_are_limited_but_the_last_one_is_always_possible() {
    let mut f = Fixture::new();
    let (run, _) = f.start("alice", None).await;
    for _ in 0..3 {
        run.emit(&mut f.budget, "partial_result", "{}").unwrap();
    }
    assert!(matches!(run.emit(&mut f.budget, "partial_result", "{}"), Err(RunFault::LimitExceeded(_))));
    let big = format!("{{\"x\":\"{}\"}}", "y".repeat(2_000));
    assert!(matches!(run.finish(&mut f.budget, RunStatus::Success, &big), Err(RunFault::LimitExceeded(_))));
    run.finish(&mut f.budget, RunStatus::Success, "{}").unwrap();
    assert_eq!(f.terminal()["seq"], 4);
}

#[tokio::test]
async fn types_of_the_host_and_payloads_that_are_no_objects_are_refused() {
    let mut f = Fixture::new();
    let (run, _) = f.start("alice", None).await;
    for (kind, payload) in [("error", "{}"), (COMPLETED, "{}"), ("Bad", "{}"), ("ok", "[]"), ("ok", "")] {
        assert!(matches!(run.emit(&mut f.budget, kind, payload), Err(RunFault::Invalid(_))), "{kind} {payload}");
    }
    let again = run.start(&f.registry, &"agent".into(), None, outlet(&f.recorder, "alice")).await;
    assert!(matches!(again, Err(RunFault::Invalid(_))));
}

#[tokio::test]
async fn a_run_goes_on_when_nobody_listens_any_more() {
    let mut f = Fixture::new();
    f.recorder = Arc::new(Recorder { unreachable: true, ..Recorder::default() });
    let (run, _) = f.start("alice", None).await;
    run.emit(&mut f.budget, "agent_started", "{}").unwrap();
    run.finish(&mut f.budget, RunStatus::Success, "{}").unwrap();
}

#[test]
fn thread_ids_are_bounded_and_printable() {
    assert!(check_thread_id("t".into()).is_ok());
    for bad in [String::new(), "x".repeat(129), "a\nb".into()] {
        assert!(check_thread_id(bad).is_err());
    }
}
