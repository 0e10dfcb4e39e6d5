//! Deployments, canaries and rollbacks with real components: the whole way, without a socket.

use std::{
    fs,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use switchboard_protocol::MessageType;
use tempfile::TempDir;

use super::{
    super::{
        PluginVersion, detached,
        instance::GuestMessage,
        operation::{Deployment, Done, OperationError, Order, Role},
        status::{Stage, State},
        test_guest::{Handle, TestGuest},
        test_host::{Host, section},
    },
    share::Who,
    verdict::{ByHealth, Verdict, Verdicts},
};
use crate::{
    auth::Principal,
    config::{CanaryConfig, Config},
};

mod files;

const USERS: usize = 200;

fn guest(version: &str) -> TestGuest {
    TestGuest::handling(version, &["ping"])
}

fn order() -> Order {
    Order { by: "ops".into(), why: "a test".into() }
}

impl Host {
    async fn put(&self, guest: &TestGuest, percent: Option<u32>) -> Result<Done, OperationError> {
        let deployment = Deployment { plugin: "a".into(), component: guest.build(), canary_percent: percent };
        self.plugins.deploy(deployment, order()).await
    }

    async fn back(&self, to: Option<&str>) -> Result<Done, OperationError> {
        self.plugins.rollback("a", to.map(str::to_owned), order()).await
    }

    async fn again(self) -> Self {
        self.again_with(|_| {}).await
    }

    async fn again_with(self, change: impl FnOnce(&mut Config)) -> Self {
        Self::resume(self.stop().await, Arc::new(ByHealth), &[], change).await
    }

    /// How many of some users get a version.
    fn users_of(&self, message_type: &str, route: &str) -> usize {
        let gets = |i: &usize| {
            let subject = format!("user-{i}");
            let who = Who { tenant: None, subject: &subject, session_id: "any" };
            self.route_of(message_type, &who) == route
        };
        (0..USERS).filter(gets).count()
    }

    fn roles(&self) -> String {
        let role = |role| match role {
            Role::Active => "active",
            Role::Canary => "canary",
            Role::Kept => "kept",
        };
        let versions = self.plugins.versions("a").unwrap();
        versions.iter().map(|v| format!("{} {}", v.version, role(v.role))).collect::<Vec<_>>().join(", ")
    }

    /// Waits until the host has given everybody 1.0.0 again. An event comes a little before the snapshot.
    async fn gone_back(&self) {
        let look = || (self.told(1), self.users_of("ping", "a 1.0.0"));
        self.until(look, |(told, users)| told == &["rollback done by host"] && *users == USERS, "a rollback").await;
    }

    /// The newest events, the newest first, in a few words.
    fn told(&self, count: usize) -> Vec<String> {
        let events = self.plugins.audit().into_iter().take(count);
        events.map(|e| format!("{} {} by {}", e.operation, e.outcome, e.by)).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_can_be_deployed_without_a_file_and_is_there_after_a_restart() {
    let host = Host::start(&[], |_| {}).await;
    let done = host.put(&guest("1.0.0"), None).await.unwrap();
    assert_eq!((done.version.as_str(), done.role, host.route("ping").as_str()), ("1.0.0", Role::Active, "a 1.0.0"));
    host.put(&guest("2.0.0"), None).await.unwrap();
    assert_eq!(host.route("ping"), "a 2.0.0", "it serves when the answer comes");
    assert_eq!(host.plugins.component("a", "1.0.0").await.unwrap(), guest("1.0.0").build());
    let host = host.again().await;
    assert_eq!((host.route("ping").as_str(), host.roles().as_str()), ("a 2.0.0", "2.0.0 active, 1.0.0 kept"));
    assert_eq!(host.status("a").unwrap().source, "");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_rolled_back_stays_so_until_the_file_is_another_one() {
    let host = Host::start(&[("a", guest("1.0.0"))], |_| {}).await;
    host.deploy("a", &guest("2.0.0").build());
    host.routed("ping", "a 2.0.0").await;
    let done = host.back(None).await.unwrap();
    assert_eq!((done.version.as_str(), host.route("ping").as_str()), ("1.0.0", "a 1.0.0"));
    assert_eq!(host.roles(), "2.0.0 kept, 1.0.0 active");
    assert!(matches!(host.back(None).await, Err(OperationError::NotNow(_))), "there is nothing before it");
    let host = host.again().await;
    assert_eq!(host.route("ping"), "a 1.0.0", "the file still holds 2.0.0");
    let host = host.again().await;
    assert_eq!(host.back(Some("2.0.0")).await.unwrap().version, "2.0.0");
    host.back(None).await.unwrap();
    host.deploy("a", &guest("3.0.0").build());
    host.routed("ping", "a 3.0.0").await;
    let folder = host.stop().await;
    fs::write(folder.path().join("plugins/a.wasm"), guest("4.0.0").build()).unwrap();
    let host = Host::resume(folder, Arc::new(ByHealth), &[], |_| {}).await;
    assert_eq!(host.route("ping"), "a 4.0.0");
    assert_eq!(host.back(None).await.unwrap().version, "3.0.0");
    assert_eq!(host.back(None).await.unwrap().version, "1.0.0");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_gets_its_share_of_users_goes_on_after_a_restart_and_is_promoted() {
    let host = Host::start(&[("a", guest("1.0.0"))], |_| {}).await;
    let canary = TestGuest::handling("2.0.0", &["ping", "pong"]);
    let done = host.put(&canary, Some(30)).await.unwrap();
    assert_eq!(done.role, Role::Canary);
    let some = host.users_of("ping", "a 2.0.0");
    assert!((30..=90).contains(&some), "{some} of {USERS}");
    assert_eq!(host.users_of("pong", "a 2.0.0"), some, "a type that only the canary has is for its users");
    assert_eq!(host.users_of("pong", r#"unknown, near ["ping"]"#), USERS - some);
    let status = host.status("a").unwrap();
    assert_eq!((status.version.as_deref(), status.canary.map(|canary| canary.percent)), (Some("1.0.0"), Some(30)));
    let host = host.again().await;
    assert_eq!(host.users_of("ping", "a 2.0.0"), some);
    host.put(&canary, Some(60)).await.unwrap();
    assert!(host.users_of("ping", "a 2.0.0") > some);
    host.plugins.promote("a", order()).await.unwrap();
    assert_eq!((host.users_of("ping", "a 2.0.0"), host.roles().as_str()), (USERS, "2.0.0 active, 1.0.0 kept"));
    assert!(matches!(host.plugins.promote("a", order()).await, Err(OperationError::NotNow(_))));
    host.back(None).await.unwrap();
    assert_eq!(host.users_of("ping", "a 1.0.0"), USERS);
    assert_eq!(host.told(3), ["rollback done by ops", "promote refused by ops", "promote done by ops"]);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_of_a_canary_keep_the_types_that_it_has_given_up_and_meet_it_however_it_names_the_others() {
    let with = |version: &str, handles: serde_json::Value| {
        TestGuest::new(&serde_json::json!({"name": "a", "version": version, "handles": handles}).to_string())
    };
    let active = with("1.0.0", serde_json::json!([{"type": "chat.say"}, {"prefix": "chat."}, {"type": "old"}]));
    let host = Host::start(&[("a", active)], |_| {}).await;
    let canary = with("2.0.0", serde_json::json!([{"prefix": "chat."}, {"type": "chat.sing"}]));
    host.put(&canary, Some(40)).await.unwrap();
    let some = host.users_of("chat.x", "a 2.0.0");
    assert!(some > 0 && some < USERS);
    for message_type in ["chat.say", "chat.sing", "chat.x"] {
        let found = (host.users_of(message_type, "a 2.0.0"), host.users_of(message_type, "a 1.0.0"));
        assert_eq!(found, (some, USERS - some), "{message_type}");
    }
    assert_eq!(host.users_of("old", "a 1.0.0"), USERS);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_config_makes_a_canary_of_a_file_and_its_predecessor_ends_that() {
    let files = [("a", guest("1.0.0"))];
    let host = Host::start(&files, section("a", |section| section.canary.percent = 20)).await;
    assert_eq!(host.users_of("ping", "a 1.0.0"), USERS, "there is nothing beside it");
    host.deploy("a", &guest("2.0.0").build());
    host.until(|| host.status("a").unwrap().canary, |canary| canary.as_ref().is_some_and(|c| c.serving), "a canary")
        .await;
    let some = host.users_of("ping", "a 2.0.0");
    assert!(some > 0 && host.users_of("ping", "a 1.0.0") == USERS - some);
    let host = host.again_with(section("a", |section| section.canary.percent = 20)).await;
    assert_eq!(host.users_of("ping", "a 2.0.0"), some, "the file is the one of before");
    // Another generation of both, and nobody changes sides.
    host.reconfigure(section("a", |section| section.limits.max_emissions = 3));
    let limit = || host.plugins.registry().version("a").unwrap().limits.max_emissions;
    host.until(limit, |&limit| limit == 3, "the new limit").await;
    assert_eq!(host.users_of("ping", "a 2.0.0"), some);
    host.deploy("a", &guest("1.0.0").build());
    host.until(|| host.status("a").unwrap().canary, Option::is_none, "no canary").await;
    assert_eq!(host.users_of("ping", "a 1.0.0"), USERS);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_unfit_changes_nothing_and_says_why() {
    let host = Host::start(&[("a", guest("1.0.0")), ("b", TestGuest::handling("1.0.0", &["pong"]))], |_| {}).await;
    let unfit = |stage: Stage| move |error: OperationError| matches!(error, OperationError::Unfit(failure) if failure.stage == stage);
    for percent in [None, Some(10)] {
        let broken = guest("2.0.0").with_self_test(Err("out of tune"));
        assert!(host.put(&broken, percent).await.is_err_and(unfit(Stage::SelfTest)));
        let claiming = TestGuest::handling("2.0.0", &["ping", "pong"]);
        assert!(host.put(&claiming, percent).await.is_err_and(unfit(Stage::Claims)));
    }
    let bytes = Deployment { plugin: "a".into(), component: b"x".to_vec(), canary_percent: None };
    assert!(host.plugins.deploy(bytes, order()).await.is_err_and(unfit(Stage::Validate)));
    let status = host.status("a").unwrap();
    assert_eq!(
        (host.route("ping").as_str(), status.last_error, host.roles().as_str()),
        ("a 1.0.0", None, "1.0.0 active")
    );
    let odd = Deployment { plugin: "../a".into(), component: guest("2.0.0").build(), canary_percent: None };
    assert!(matches!(host.plugins.deploy(odd, order()).await, Err(OperationError::Invalid(_))));
    assert!(matches!(host.plugins.promote("c", order()).await, Err(OperationError::UnknownPlugin(_))));
    assert!(matches!(host.back(Some("9.9.9")).await, Err(OperationError::UnknownVersion { .. })));
    assert_eq!(host.told(3)[2], "deploy unfit by ops");
    let text = host.metrics.render();
    assert!(
        text.contains(r#"switchboard_plugin_rollouts_total{plugin="a",operation="deploy",outcome="unfit"} 4"#),
        "{text}"
    );
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_can_be_pinned_to_any_version_until_it_ends() {
    let host = Host::start(&[("a", TestGuest::handling("1.0.0", &["ping", "old"]))], |_| {}).await;
    host.put(&guest("2.0.0"), None).await.unwrap();
    host.put(&guest("3.0.0"), None).await.unwrap();
    let pinned = Who { tenant: None, subject: "anybody", session_id: "s-1" };
    host.plugins.pin("a", "s-1", "1.0.0", order()).await.unwrap();
    assert_eq!((host.route_of("ping", &pinned).as_str(), host.route("ping").as_str()), ("a 1.0.0", "a 3.0.0"));
    assert_eq!(host.route_of("old", &pinned), "a 1.0.0", "with all of its types");
    host.put(&guest("4.0.0"), None).await.unwrap();
    host.plugins.pin("a", "s-2", "4.0.0", order()).await.unwrap();
    host.put(&guest("5.0.0"), None).await.unwrap();
    let other = Who { session_id: "s-2", ..pinned };
    assert_eq!(host.route_of("ping", &other), "a 4.0.0", "also when that is replaced");
    host.plugins.unpin("a", "s-2", order()).await.unwrap();
    assert_eq!(host.route_of("ping", &other), "a 5.0.0");
    assert!(host.plugins.unpin("a", "s-2", order()).await.is_err());
    let version = host.plugins.registry().versions_for(pinned).next().unwrap().clone();
    host.plugins.forget_session("s-1");
    host.until(|| host.route_of("ping", &pinned), |route| route == "a 5.0.0", "no pin").await;
    host.until(|| version.in_flight.is_closed(), |&closed| closed, "the version to be retired").await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operators_switch_survives_a_restart_and_the_configs_is_stronger() {
    let host = Host::start(&[("a", guest("1.0.0"))], section("a", |section| section.required = true)).await;
    host.plugins.set_enabled("a", false, order()).await.unwrap();
    assert_eq!((host.route("ping").as_str(), host.status("a").unwrap().state), ("a is disabled", State::Disabled));
    assert_eq!(host.plugins.readiness(), Ok(()));
    let host = host.again().await;
    assert_eq!(host.route("ping"), "a is disabled");
    let done = host.put(&guest("2.0.0"), Some(10)).await.unwrap();
    assert_eq!((done.role, host.route("ping").as_str()), (Role::Active, "a is disabled"), "ready for later");
    let done = host.plugins.set_enabled("a", true, order()).await.unwrap();
    assert_eq!((done.version.as_str(), host.route("ping").as_str()), ("2.0.0", "a 2.0.0"));
    host.reconfigure(section("a", |section| section.enabled = false));
    host.routed("ping", "a is disabled").await;
    let refused = host.plugins.set_enabled("a", true, order()).await.unwrap_err();
    assert!(refused.to_string().contains("[plugins.a]"), "{refused}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_that_cannot_be_switched_on_stays_off() {
    let host = Host::start(&[("a", guest("1.0.0").with_clock())], |_| {}).await;
    host.plugins.set_enabled("a", false, order()).await.unwrap();
    host.reconfigure(section("a", |section| section.grants.interfaces.clear()));
    let error = host.plugins.set_enabled("a", true, order()).await.unwrap_err();
    assert!(matches!(error, OperationError::Unfit(failure) if failure.stage == Stage::Grants));
    assert_eq!(host.route("ping"), "a is disabled");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_file_at_the_start_does_not_replace_what_was_active() {
    let host = Host::start(&[("a", guest("1.0.0"))], |_| {}).await;
    let folder = host.stop().await;
    let path = |folder: &TempDir| folder.path().join("plugins/a.wasm");
    for broken in [guest("2.0.0").with_self_test(Err("out of tune")).build(), b"broken".to_vec()] {
        fs::write(path(&folder), broken).unwrap();
    }
    let host = Host::resume(folder, Arc::new(ByHealth), &[], |_| {}).await;
    host.failed("a", Stage::Validate, "").await;
    host.routed("ping", "a 1.0.0").await;
    let folder = host.stop().await;
    fs::write(path(&folder), guest("2.0.0").with_self_test(Err("out of tune")).build()).unwrap();
    let host = Host::resume(folder, Arc::new(ByHealth), &[], |_| {}).await;
    assert_eq!(host.route("ping"), "a 1.0.0");
    host.failed("a", Stage::SelfTest, "out of tune").await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stored_version_that_is_damaged_gives_way_to_the_file() {
    let host = Host::start(&[("a", guest("1.0.0"))], |_| {}).await;
    host.deploy("a", &guest("2.0.0").build());
    host.routed("ping", "a 2.0.0").await;
    let done = host.back(None).await.unwrap();
    let folder = host.stop().await;
    fs::write(folder.path().join(format!("versions/{}.wasm", done.digest)), "damaged").unwrap();
    let host = Host::resume(folder, Arc::new(ByHealth), &[], |_| {}).await;
    assert_eq!(host.route("ping"), "a 2.0.0");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_stored_is_refused_unless_it_is_a_file() {
    let host = Host::start(&[("a", guest("1.0.0"))], |_| {}).await;
    let folder = host.path("..").canonicalize().unwrap();
    fs::rename(folder.join("lineages"), folder.join("away")).unwrap();
    assert!(matches!(host.put(&guest("2.0.0"), None).await, Err(OperationError::NotStored(_))));
    assert!(matches!(host.plugins.set_enabled("a", false, order()).await, Err(OperationError::NotStored(_))));
    assert_eq!((host.route("ping").as_str(), host.roles().as_str()), ("a 1.0.0", "1.0.0 active"));
    host.deploy("a", &guest("3.0.0").build());
    host.routed("ping", "a 3.0.0").await;
    fs::rename(folder.join("away"), folder.join("lineages")).unwrap();
    let host = host.again().await;
    assert_eq!(host.route("ping"), "a 3.0.0");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_file_takes_its_versions_out_of_service_for_good() {
    let host = Host::start(&[("a", guest("1.0.0"))], |_| {}).await;
    host.put(&guest("2.0.0"), None).await.unwrap();
    fs::remove_file(host.path("a.wasm")).unwrap();
    host.routed("ping", "unknown").await;
    assert!(matches!(host.back(None).await, Err(OperationError::NotNow(_))));
    let host = host.again().await;
    assert!(host.route("ping").starts_with("unknown"));
    host.deploy("a", &guest("1.0.0").build());
    host.routed("ping", "a 1.0.0").await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_many_versions_are_kept_and_no_more() {
    let host = Host::start(&[("a", guest("0.0.0"))], section("a", |section| section.kept_versions = 2)).await;
    for minor in 1..=4 {
        host.put(&guest(&format!("0.{minor}.0")), None).await.unwrap();
    }
    assert_eq!(host.roles(), "0.4.0 active, 0.0.0 kept", "the file's own is one of them");
    let folder = host.stop().await;
    let host = Host::resume(folder, Arc::new(ByHealth), &[], |_| {}).await;
    let folder = host.stop().await;
    assert_eq!(fs::read_dir(folder.path().join("versions")).unwrap().count(), 2);
}

/// Says of versions what a test wants.
#[derive(Default)]
struct Told {
    failing: Mutex<Option<&'static str>>,
    verdict: Mutex<Option<Verdict>>,
}

impl Verdicts for Told {
    fn failing_since_swap(&self, version: &PluginVersion, _: Instant, _: Duration) -> Option<String> {
        self.failing
            .lock()
            .unwrap()
            .filter(|failing| **failing == *version.version)
            .map(|_| "its circuit opened".into())
    }

    fn compare(&self, _: &PluginVersion, _: &PluginVersion, _: &CanaryConfig, _: Instant) -> Verdict {
        self.verdict.lock().unwrap().clone().unwrap_or(Verdict::NotYet)
    }
}

async fn watched(told: &Arc<Told>, change: impl FnOnce(&mut Config)) -> Host {
    Host::resume(tempfile::tempdir().unwrap(), told.clone(), &[("a", guest("1.0.0"))], change).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_that_is_worse_is_taken_from_its_users_and_one_that_is_not_is_promoted() {
    let told = Arc::new(Told::default());
    let host = watched(&told, section("a", |section| section.canary.promote_after = Duration::from_millis(1))).await;
    host.put(&guest("2.0.0"), Some(50)).await.unwrap();
    *told.verdict.lock().unwrap() = Some(Verdict::Worse("half of its calls failed".into()));
    host.until(|| host.users_of("ping", "a 1.0.0"), |&users| users == USERS, "no canary").await;
    let event = &host.plugins.audit()[0];
    assert_eq!(
        (event.by.as_str(), event.operation, event.why.as_str()),
        ("host", "rollback", "half of its calls failed")
    );
    *told.verdict.lock().unwrap() = Some(Verdict::Keep);
    host.put(&guest("3.0.0"), Some(50)).await.unwrap();
    host.until(|| host.users_of("ping", "a 3.0.0"), |&users| users == USERS, "a promotion").await;
    assert_eq!(host.told(1), ["promote done by host"]);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_whose_circuit_opens_under_its_users_gives_way() {
    let host = Host::start(&[("a", guest("1.0.0"))], |config| {
        config.plugin_defaults.health.failures_to_open = 2;
        config.plugin_defaults.limits.cpu_time = Duration::from_millis(10);
    })
    .await;
    for percent in [None, Some(50)] {
        host.put(&guest("2.0.0").with_handle(Handle::Spin), percent).await.unwrap();
        let version = (0..USERS)
            .find_map(|i| {
                let subject = format!("user-{i}");
                let who = Who { tenant: None, subject: &subject, session_id: "any" };
                let version = host.plugins.registry().versions_for(who).next()?.clone();
                (&*version.version == "2.0.0").then_some(version)
            })
            .unwrap();
        for user in ["alice", "bob"] {
            let message = GuestMessage {
                message_type: MessageType::parse("ping").unwrap(),
                payload: "{}".into(),
                id: None,
                correlation_id: None,
                timestamp: 0.0,
            };
            let mut context = detached::context(Instant::now() + Duration::from_secs(2));
            context.caller.principal = Arc::new(Principal::named(None, user));
            version.handle(context, message).await.unwrap_err();
        }
        host.gone_back().await;
        assert_eq!(host.users_of("ping", "a 1.0.0"), USERS);
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_fails_right_after_it_took_over_gives_way_to_the_one_before_it() {
    let told = Arc::new(Told::default());
    let host = watched(&told, |_| {}).await;
    *told.failing.lock().unwrap() = Some("2.0.0");
    host.deploy("a", &guest("2.0.0").build());
    host.gone_back().await;
    assert_eq!((host.route("ping").as_str(), host.roles().as_str()), ("a 1.0.0", "2.0.0 kept, 1.0.0 active"));
    // Only once, and never the version that was gone back to.
    *told.failing.lock().unwrap() = Some("1.0.0");
    host.put(&guest("3.0.0"), Some(10)).await.unwrap();
    host.back(None).await.unwrap();
    assert_eq!(host.route("ping"), "a 1.0.0");
    host.stop().await;
}
