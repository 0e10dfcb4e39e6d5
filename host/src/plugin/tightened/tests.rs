//! Guests that do not want to be built again, and what they keep.

use std::time::Duration;

use http::header::AUTHORIZATION;
use serde_json::json;
use switchboard_protocol::MessageType;

use super::super::{
    Route, Who,
    operation::{Deployment, Order},
    status::{LoadFailure, Stage},
    test_guest::TestGuest,
    test_host::{Host, section},
};
use crate::config::{Config, HostPattern, Isolation, PluginConfig, Secret, secret::SecretSource};

fn hosts(names: &[&str]) -> Vec<HostPattern> {
    names.iter().map(|name| HostPattern::parse(name).unwrap()).collect()
}

/// What a plugin has at first. Its self-test passes.
fn given(section: &mut PluginConfig) {
    section.limits = Config::for_tests("/nowhere").plugin_defaults.limits;
    section.isolation = Some(Isolation::Shared);
    section.limits.max_memory_bytes = 2 << 20;
    section.grants.hosts = hosts(&["a.example", "b.example"]);
    section.grants.tools = vec!["one".into(), "two".into()];
    section.grants.topics = vec!["a/**".into()];
    section.grants.send_to_others = true;
}

/// The same, and more memory, for which its self-test fails.
fn unfit(section: &mut PluginConfig) {
    given(section);
    section.limits.max_memory_bytes = 64 << 20;
}

type Change = fn(&mut PluginConfig);

fn guest(types: &[&str]) -> TestGuest {
    TestGuest::handling("1.0.0", types).that_fails_with_more_memory()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_that_fails_when_it_is_built_again_does_not_keep_what_was_taken_from_it() {
    let host = Host::start(&[("a", guest(&["ping"]))], section("a", given)).await;
    let taken: [(&str, Change); 9] = [
        ("the host `b.example`", |section| section.grants.hosts = hosts(&["a.example"])),
        ("the tool `two`", |section| section.grants.tools = vec!["one".into()]),
        ("the topics `a/**`", |section| section.grants.topics = vec!["a/b".into()]),
        ("`send_to_others`", |section| section.grants.send_to_others = false),
        ("some of `max_emissions`", |section| section.limits.max_emissions -= 1),
        ("some of `deadline`", |section| section.limits.deadline -= Duration::from_millis(1)),
        ("some of `max_outbound_requests`", |section| section.limits.max_outbound_requests = 0),
        ("`shared` isolation", |section| section.isolation = Some(Isolation::Session)),
        ("the tool `one`, the tool `two`", |section| section.grants.tools = vec!["three".into()]),
    ];
    for (words, take) in taken {
        assert_eq!(host.route("ping"), "a 1.0.0");
        host.reconfigure(section("a", |section| {
            unfit(section);
            take(section);
        }));
        host.routed("ping", "what served is out of service").await;
        host.failed("a", Stage::SelfTest, &format!("the config has taken {words} from it")).await;
        let event = &host.plugins.audit()[0];
        assert_eq!((event.operation, event.outcome, event.by.as_str()), ("reload", "unfit", "config"));
        host.reconfigure(section("a", given));
        host.routed("ping", "a 1.0.0").await;
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_that_is_to_have_more_goes_on_with_what_it_has() {
    let host = Host::start(&[("a", guest(&["ping"]))], section("a", given)).await;
    host.reconfigure(section("a", |section| {
        unfit(section);
        section.grants.hosts = hosts(&["*.example", "c.test"]);
        section.grants.tools = vec!["*".into()];
        section.grants.topics = vec!["**".into()];
        section.limits.max_emissions += 1;
    }));
    host.failed("a", Stage::SelfTest, "there is too much memory").await;
    assert_eq!(host.route("ping"), "a 1.0.0");
    assert!(!host.status("a").unwrap().last_error.unwrap().reason.contains("out of service"));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_does_a_canary_nor_a_version_that_a_session_was_pinned_to() {
    let host = Host::start(&[("a", guest(&["ping"]))], section("a", given)).await;
    let deploy = |guest: TestGuest, percent| {
        let order = Order { by: "ops".into(), why: String::new() };
        let component = guest.build();
        host.plugins.deploy(Deployment { plugin: "a".into(), component, canary_percent: percent }, order)
    };
    deploy(TestGuest::handling("2.0.0", &["ping"]), None).await.unwrap();
    host.plugins.pin("a", "s-1", "1.0.0", Order { by: "ops".into(), why: String::new() }).await.unwrap();
    deploy(TestGuest::handling("3.0.0", &["ping"]).that_fails_with_more_memory(), Some(99)).await.unwrap();
    let who = |session_id| Who { tenant: None, subject: "alice", session_id };
    let routes = || (host.route_of("ping", &who("s-1")), host.route_of("ping", &who("s-2")));
    assert_eq!(routes(), ("a 1.0.0".to_owned(), "a 3.0.0".to_owned()));
    host.reconfigure(section("a", |section| {
        unfit(section);
        section.grants.hosts.clear();
    }));
    let active = ("a 2.0.0".to_owned(), "a 2.0.0".to_owned());
    host.until(routes, |routes| *routes == active, "the active one alone").await;
    let problem = || host.status("a").unwrap().canary.and_then(|canary| canary.last_error);
    let tells = |problem: &Option<LoadFailure>| {
        problem.as_ref().is_some_and(|problem| problem.reason.contains("the host `b.example` from it"))
    };
    host.until(problem, tells, "why").await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_that_refuses_its_own_export_keeps_nothing_by_that() {
    let manifest =
        |version: &str| json!({"name": "a", "version": version, "isolation": "session", "handles": [{"type": "ping"}]});
    let guest = |version: &str| TestGuest::new(&manifest(version).to_string()).that_imports_nothing();
    let host = Host::start(&[("a", guest("1.0.0"))], |_| {}).await;
    host.reconfigure(section("a", |section| section.limits.max_emissions = 3));
    let limit = || host.plugins.registry().version("a").unwrap().limits.max_emissions;
    host.until(limit, |limit| *limit == 3, "the new limit").await;
    host.deploy("a", &guest("2.0.0").build());
    host.failed("a", Stage::Handover, "it cannot import").await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_given_is_told_with_hosts_networks_and_the_names_of_secrets() {
    let host = Host::start(&[("a", TestGuest::handling("1.0.0", &["ping"]))], |_| {}).await;
    let newest = || host.plugins.audit().into_iter().next().map(|event| (event.why, event.grants.unwrap()));
    host.reconfigure(section("a", |section| {
        section.grants.hosts = hosts(&["a.example"]);
        section.grants.networks = vec![crate::config::Network::parse("10.0.0.0/8").unwrap()];
    }));
    let tells = |why: &'static str| move |event: &Option<_>| event.as_ref().is_some_and(|(told, _)| *told == why);
    host.until(newest, tells("the grants have changed"), "an event").await;
    let (_, granted) = newest().unwrap();
    assert_eq!((granted.hosts, granted.networks), (vec!["a.example".to_owned()], vec!["10.0.0.0/8".to_owned()]));
    let key = host.path("key");
    std::fs::write(&key, "s3cret").unwrap();
    host.reconfigure(section("a", |section| {
        let host = HostPattern::parse("a.example").unwrap();
        let secret = Secret { value: SecretSource::File(key), host, header: AUTHORIZATION, prefix: String::new() };
        section.secrets.insert("one".into(), secret);
    }));
    host.until(newest, tells("the secrets have changed"), "an event").await;
    assert_eq!(newest().unwrap().1.secrets, ["one, authorization to a.example"]);
    host.stop().await;
}

#[test]
fn another_value_of_a_secret_takes_nothing_away() {
    let config = Config::for_tests("/nowhere").plugin_defaults;
    let with = |value: &str, host: &str| {
        let mut config = config.clone();
        let host = HostPattern::parse(host).unwrap();
        let value = SecretSource::Environment(value.to_owned());
        let secret = Secret { value, host, header: AUTHORIZATION, prefix: String::new() };
        config.secrets.insert("one".into(), secret);
        config
    };
    let one = with("ONE", "a.example");
    assert_eq!(super::secrets(&one, &with("TWO", "a.example")), [""; 0]);
    assert_eq!(super::secrets(&one, &with("ONE", "b.example")), ["the secret `one`"]);
    assert_eq!(super::secrets(&one, &config), ["the secret `one`"]);
    assert_eq!(super::secrets(&config, &one), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_serves_follows_the_config_while_a_newer_file_stands_back_for_another_plugin() {
    let host = Host::start(
        &[("a", TestGuest::handling("1.0.0", &["ping"])), ("b", TestGuest::handling("1.0.0", &["other"]))],
        section("a", given),
    )
    .await;
    host.deploy("a", &TestGuest::handling("2.0.0", &["ping", "other"]).build());
    host.failed("a", Stage::Claims, "other").await;
    let mut lowered = 40;
    for _ in 0..2 {
        lowered -= 1;
        host.reconfigure(section("a", |section| {
            given(section);
            section.limits.max_emissions = lowered;
        }));
        let anybody = Who { tenant: None, subject: "anybody", session_id: "any" };
        let limit = || match host.plugins.registry().route(&MessageType::parse("ping").unwrap(), &anybody) {
            Route::Handler(handler) => handler.version.limits.max_emissions,
            _ => 0,
        };
        host.until(limit, |found| *found == lowered, "the lower limit").await;
        assert_eq!(host.route("ping"), "a 1.0.0");
    }
    host.stop().await;
}
