//! Files in a directory, real components, and what serves: the whole way, without a socket.

use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::json;
use switchboard_protocol::MessageType;

use super::{
    check::check_file,
    detached,
    effects::test_session::GOES_ON,
    instance::GuestMessage,
    operation::{OperationError, Order},
    state::{Owner, Place, StateScope, StateUsage},
    status::{Stage, State},
    test_guest::{Handle, TestGuest},
    test_host::{Host, section},
};
use crate::config::{Config, PluginConfig};

fn handling(version: &str, types: &[&str]) -> TestGuest {
    TestGuest::handling(version, types)
}

fn settings(value: serde_json::Value) -> Arc<serde_json::Map<String, serde_json::Value>> {
    Arc::new(value.as_object().unwrap().clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_file_that_is_there_serves_when_the_start_returns() {
    let files = [("a", handling("1.0.0", &["ping"])), ("b", handling("2.0.0", &["pong"]).with_clock())];
    let host = Host::start(&files, |_| {}).await;
    assert_eq!((host.route("ping"), host.route("pong")), ("a 1.0.0".into(), "b 2.0.0".into()));
    assert_eq!(host.route("pinh"), r#"unknown, near ["ping", "pong"]"#);
    let status = host.status("b").unwrap();
    assert_eq!(
        (status.state, status.version.as_deref(), status.source.as_str()),
        (State::Serving, Some("2.0.0"), "b.wasm")
    );
    assert_eq!((status.types, status.last_error), (vec!["pong".to_owned()], None));
    host.stop().await;
}

/// An interface can get functions without a new version: see ADR 12.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_that_was_built_before_an_interface_grew_loads() {
    let before = |wit: String| {
        let smaller = wit.replace("monotonic-ns: func() -> u64;", "");
        assert_ne!(smaller, wit);
        smaller
    };
    let files = [("a", handling("1.0.0", &["ping"]).with_contract(before).with_clock())];
    let host = Host::start(&files, |_| {}).await;
    assert_eq!(host.route("ping"), "a 1.0.0");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_self_test_has_time_however_little_is_set_for_messages() {
    let short = Duration::from_nanos(1);
    let long = Duration::from_secs(20);
    for (deadline, cpu_time, stopped_by) in [(short, long, "1000 ms"), (long, short, "100 ms")] {
        let files = [("a", handling("1.0.0", &["ping"]).with_self_test_that_spins())];
        let host = Host::start(&files, |config| {
            config.plugin_defaults.limits.deadline = deadline;
            config.plugin_defaults.limits.cpu_time = cpu_time;
        })
        .await;
        let why = host.route("ping");
        assert!(why.contains(&format!("its self-test took longer than {stopped_by}")), "{why}");
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_renamed_into_place_takes_over_and_a_call_in_flight_stays_with_its_version() {
    let host = Host::start(&[("a", handling("1.0.0", &["ping"]).with_handle(Handle::Spin))], |config| {
        config.plugin_defaults.limits.deadline = Duration::from_secs(2);
        config.plugin_defaults.limits.cpu_time = Duration::from_millis(600);
    })
    .await;
    let old = host.plugins.registry().version("a").unwrap().clone();
    let called = old.clone();
    let call = tokio_util::task::TaskTracker::new().spawn(async move {
        let message = GuestMessage {
            message_type: MessageType::parse("ping").unwrap(),
            payload: "{}".into(),
            id: None,
            correlation_id: None,
            timestamp: 0.0,
        };
        called.handle(detached::context(Instant::now() + Duration::from_secs(2)), message).await
    });
    host.until(|| old.in_flight.len(), |&calls| calls == 1, "a call").await;
    host.deploy("a", &handling("1.1.0", &["ping", "ping2"]).build());
    host.routed("ping2", "a 1.1.0").await;
    assert_eq!((host.route("ping"), old.in_flight.len()), ("a 1.1.0".into(), 1));
    // It spins until its own CPU time is used up: it was not interrupted.
    assert_eq!(call.await.unwrap().unwrap_err().outcome(), "timed_out");
    assert!(!old.interrupted.is_cancelled());
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_wrong_with_a_file_the_serving_version_stays_and_the_reason_is_told() {
    let host = Host::start(&[("a", handling("1.0.0", &["ping"]))], |_| {}).await;
    let good = handling("1.0.0", &["ping"]);
    let whole = good.build();
    let unfit = [
        (b"".to_vec(), Stage::Validate, "empty"),
        (whole[..whole.len() / 2].to_vec(), Stage::Validate, "it ends after"),
        (good.clone().without_handler().build(), Stage::Validate, "plugin/handler@0.1.0"),
        (TestGuest::new("nonsense").build(), Stage::Manifest, "it is not JSON"),
        (handling("1.0", &[]).build(), Stage::Manifest, "`version` is not valid"),
        (good.clone().with_self_test(Err("out of tune")).build(), Stage::SelfTest, "out of tune"),
        (
            good.clone()
                .with_clock()
                .with_contract(|wit| wit.replace("now-ms: func() -> u64", "now-ms: func() -> s64"))
                .build(),
            Stage::Link,
            "now-ms",
        ),
    ];
    for (bytes, stage, words) in unfit {
        host.deploy("a", &bytes);
        host.failed("a", stage, words).await;
        assert_eq!(host.route("ping"), "a 1.0.0");
    }
    host.deploy("a", &whole);
    host.until(|| host.status("a").unwrap().last_error, Option::is_none, "no error").await;
    host.deploy("a", &handling("1.0.1", &["ping"]).with_self_test(Ok(())).build());
    host.routed("ping", "a 1.0.1").await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_in_place_neither_unloads_nor_breaks_anything() {
    let host = Host::start(&[("a", handling("1.0.0", &["ping"]))], |_| {}).await;
    let changes = host.plugins.changes();
    write_slowly(&host.path("a.wasm"), &handling("2.0.0", &["ping"]).build()).await;
    assert!(!changes.has_changed().unwrap(), "{:#?}", host.plugins.statuses());
    host.routed("ping", "a 2.0.0").await;
    assert_eq!(host.status("a").unwrap().last_error, None);
    write_slowly(&host.path("b.wasm"), &handling("1.0.0", &["pong"]).build()).await;
    host.routed("pong", "b 1.0.0").await;
    assert_eq!(host.status("b").unwrap().last_error, None);
    host.stop().await;
}

async fn write_slowly(path: &Path, bytes: &[u8]) {
    use std::io::Write as _;
    let mut file = fs::File::create(path).unwrap();
    for part in bytes.chunks(bytes.len().div_ceil(12)) {
        file.write_all(part).unwrap();
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_file_is_unloaded_and_one_that_comes_back_is_loaded() {
    let host = Host::start(&[("a", handling("1.0.0", &["ping"]))], |_| {}).await;
    fs::remove_file(host.path("a.wasm")).unwrap();
    host.routed("ping", "unknown").await;
    assert_eq!(host.status("a").unwrap().state, State::Removed);
    host.deploy("a", &handling("1.0.0", &["ping"]).build());
    host.routed("ping", "a 1.0.0").await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_is_switched_off_and_on_by_the_config() {
    let off = |section: &mut PluginConfig| section.enabled = false;
    let files = [("a", handling("1.0.0", &["ping"])), ("b", handling("1.0.0", &["pong"]))];
    let host = Host::start(&files, section("b", off)).await;
    assert_eq!((host.route("pong"), host.status("b").unwrap().state), ("b is disabled".into(), State::Disabled));
    host.reconfigure(section("a", off));
    host.routed("ping", "a is disabled").await;
    host.deploy("a", &handling("2.0.0", &["ping", "ping2"]).build());
    host.routed("ping2", "a is disabled").await;
    host.reconfigure(section("a", |section| section.enabled = true));
    host.routed("ping2", "a 2.0.0").await;
    host.reconfigure(section("b", |section| section.enabled = true));
    host.routed("pong", "b 1.0.0").await;
    host.reconfigure(section("b", off));
    host.routed("pong", "b is disabled").await;
    host.reconfigure(section("b", |section| section.enabled = true));
    host.routed("pong", "b 1.0.0").await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_the_plugin_refuses_keep_the_old_ones_but_not_the_old_limits() {
    let schema = json!({"properties": {"greeting": {"type": "string"}}, "additionalProperties": false});
    let manifest = json!({"name": "a", "version": "1.0.0", "handles": [{"type": "ping"}], "settings": schema});
    let host = Host::start(
        &[("a", TestGuest::new(&manifest.to_string()))],
        section("a", |section| section.settings = settings(json!({"greeting": "hello"}))),
    )
    .await;
    let serving = || host.plugins.registry().version("a").unwrap().clone();
    assert_eq!(&*serving().settings_json, r#"{"greeting":"hello"}"#);
    host.reconfigure(section("a", |section| section.settings = settings(json!({"greeting": "good day"}))));
    host.until(|| serving().settings_json.clone(), |text| text.contains("good day"), "new settings").await;
    host.reconfigure(section("a", |section| {
        section.settings = settings(json!({"greting": "typo"}));
        section.limits.max_emissions = 3;
    }));
    host.failed("a", Stage::Settings, "[plugins.a.settings]").await;
    host.until(|| serving().limits.max_emissions, |&limit| limit == 3, "the new limit").await;
    assert_eq!(&*serving().settings_json, r#"{"greeting":"good day"}"#);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_one_plugins_config_makes_a_new_generation_of_that_one_alone() {
    let host = Host::start(&[("a", handling("1.0.0", &["ping"])), ("b", handling("1.0.0", &["pong"]))], |_| {}).await;
    let version = |name: &str| host.plugins.registry().version(name).unwrap().clone();
    let (a, b) = (version("a"), version("b"));
    host.reconfigure(section("a", |section| section.limits.max_emissions = 3));
    host.until(|| version("a").limits.max_emissions, |&limit| limit == 3, "the new limit").await;
    assert!(!Arc::ptr_eq(&a, &version("a")) && Arc::ptr_eq(&b, &version("b")));
    let registry = host.plugins.registry();
    host.reconfigure(|config| config.heartbeat.interval = Duration::from_secs(7));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(Arc::ptr_eq(&host.plugins.registry(), &registry));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_has_to_be_granted_and_can_be_revoked() {
    let grant = |granted: bool| {
        section("a", move |section| {
            section.grants.interfaces.retain(|name| name != "clock");
            section.grants.interfaces.extend(granted.then(|| "clock".to_owned()));
        })
    };
    let host = Host::start(&[("a", handling("1.0.0", &["ping"]).with_clock())], grant(false)).await;
    assert!(host.route("ping").starts_with("a is unavailable: grants: it imports `clock`, which it is not granted"));
    host.reconfigure(grant(true));
    host.routed("ping", "a 1.0.0").await;
    host.reconfigure(grant(false));
    host.routed("ping", "a is unavailable").await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_that_claim_a_type_the_later_is_refused_until_the_type_is_free_or_owned() {
    let files = [("a", handling("1.0.0", &["ping"])), ("b", handling("1.0.0", &["ping", "pong"]))];
    let host = Host::start(&files, |_| {}).await;
    host.failed("b", Stage::Claims, "`ping` is already handled by the plugin `a`").await;
    assert_eq!(host.route("ping"), "a 1.0.0");
    assert!(host.route("pong").starts_with("b is unavailable"));
    host.reconfigure(|config| _ = config.type_owners.insert("ping".into(), "b".into()));
    host.routed("ping", "b 1.0.0").await;
    host.reconfigure(|config| _ = config.type_owners.insert("ping".into(), "a".into()));
    host.routed("ping", "a 1.0.0").await;
    assert_eq!(host.route("pong"), "b 1.0.0");
    fs::remove_file(host.path("a.wasm")).unwrap();
    host.routed("ping", "b 1.0.0").await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_type_that_becomes_free_goes_to_the_one_that_was_refused() {
    let files = [("a", handling("1.0.0", &["ping"])), ("b", handling("1.0.0", &["ping"]))];
    let host = Host::start(&files, |_| {}).await;
    assert_eq!(host.route("ping"), "a 1.0.0");
    fs::remove_file(host.path("a.wasm")).unwrap();
    host.routed("ping", "b 1.0.0").await;
    assert_eq!(host.status("b").unwrap().last_error, None);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_required_plugin_that_does_not_load_makes_the_host_unready() {
    let broken = handling("1.0.0", &["ping"]).with_self_test(Err("out of tune"));
    let host = Host::start(&[("a", broken)], section("a", |section| section.required = true)).await;
    let reason = host.plugins.readiness().unwrap_err();
    assert!(reason.contains("`a` is required") && reason.contains("out of tune"), "{reason}");
    assert!(host.route("ping").starts_with("a is unavailable: self_test"));
    host.deploy("a", &handling("1.0.1", &["ping"]).build());
    host.routed("ping", "a 1.0.1").await;
    assert_eq!(host.plugins.readiness(), Ok(()));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_many_replacements_good_and_broken_there_is_always_exactly_one_version() {
    let host = Host::start(&[("a", handling("0.0.0", &["ping"]))], |_| {}).await;
    for round in 1..=20 {
        host.deploy("a", b"broken");
        let version = format!("0.0.{round}");
        host.deploy("a", &handling(&version, &["ping"]).build());
        host.until(
            || host.route("ping"),
            |found| {
                assert!(found.starts_with("a 0.0."), "{found}");
                *found == format!("a {version}")
            },
            &version,
        )
        .await;
    }
    assert_eq!(host.plugins.registry().versions().count(), 1);
    host.stop().await;
}

#[tokio::test]
async fn a_file_can_be_checked_without_being_served() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::for_tests(folder.path());
    config.limits.max_plugin_calls = 4;
    let path = folder.path().join("a.wasm");
    fs::write(&path, handling("1.0.0", &["ping"]).with_clock().build()).unwrap();
    let checked = check_file(&config, &path).await.unwrap();
    assert_eq!((checked.plugin.as_str(), checked.version.as_str(), checked.imports), ("a", "1.0.0", vec!["clock"]));
    config.plugin_defaults.grants.interfaces.clear();
    assert!(check_file(&config, &path).await.unwrap_err().to_string().contains("`clock`, which it is not granted"));
}

#[tokio::test]
async fn operators_see_and_drop_what_a_plugin_remembers_whether_or_not_it_still_has_a_file() {
    let host = Host::start(&[("idle", handling("1.0.0", &["idle"]))], |_| ()).await;
    let (gone, owner) = (Arc::from("gone"), Owner::Plugin);
    let place = Place { plugin: &gone, owner: &owner, session: &GOES_ON, quota: 1_000, now: 0 };
    host.plugins.shared.state.set(place, "k", b"v", None).await.unwrap();
    let order = Order { by: "alice".into(), why: "it is gone".into() };
    assert_eq!(host.plugins.state_usage("idle").unwrap(), StateUsage::none("idle"));
    assert_eq!(host.plugins.state_usage("gone").unwrap().plugin_wide.entries, 1);
    let other_scope = host.plugins.forget_state("gone", Some(StateScope::User), &order).await.unwrap();
    assert_eq!((other_scope.entries, host.plugins.state_usage("gone").unwrap().plugin_wide.bytes), (0, 66));
    let forgotten = host.plugins.forget_state("gone", None, &order).await.unwrap();
    assert_eq!((forgotten.bytes, forgotten.entries), (66, 1));
    assert_eq!(host.plugins.state_usage("gone").unwrap(), StateUsage::none("gone"));
    assert!(matches!(host.plugins.state_usage("unheard-of"), Err(OperationError::UnknownPlugin(_))));
    let unknown = host.plugins.forget_state("unheard-of", None, &order).await;
    assert!(matches!(unknown, Err(OperationError::UnknownPlugin(_))));
    host.stop().await;
}
