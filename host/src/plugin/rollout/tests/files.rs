//! Files that arrive, or go, while something else is decided.

use super::*;
use crate::plugin::engine::Place;

/// Lets nothing be loaded until it is dropped.
async fn no_loading(host: &Host) -> Vec<Place> {
    let version = host.plugins.registry().version("a").unwrap().clone();
    let mut places = Vec::new();
    while let Some(place) = version.sandbox.place_for_loading(Instant::now() + Duration::from_millis(20)).await {
        places.push(place);
    }
    places
}

async fn arrives(host: &Host, guest: &TestGuest) {
    let mut changes = host.plugins.changes();
    host.deploy("a", &guest.build());
    changes.changed().await.unwrap();
}

/// 2.0.0 serves, 1.0.0 can at once, and the file holds 3.0.0, which is on its way.
async fn on_its_way(told: &Arc<Told>) -> (Host, Vec<Place>) {
    let host = watched(told, |_| {}).await;
    host.deploy("a", &guest("2.0.0").build());
    host.routed("ping", "a 2.0.0").await;
    host.plugins.pin("a", "s-1", "1.0.0", order()).await.unwrap();
    let places = no_loading(&host).await;
    arrives(&host, &guest("3.0.0")).await;
    (host, places)
}

async fn rolled_back_by_the_host(told: &Arc<Told>) -> (Host, Vec<Place>) {
    let (host, places) = on_its_way(told).await;
    *told.failing.lock().unwrap() = Some("2.0.0");
    host.gone_back().await;
    assert_eq!(host.route("ping"), "a 1.0.0");
    (host, places)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_arrives_while_the_host_rolls_back_serves_when_it_is_ready() {
    let (host, places) = rolled_back_by_the_host(&Arc::default()).await;
    drop(places);
    host.routed("ping", "a 3.0.0").await;
    assert_eq!(host.roles(), "3.0.0 active, 2.0.0 kept, 1.0.0 kept");
    let host = host.again().await;
    assert_eq!(host.route("ping"), "a 3.0.0");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_was_on_its_way_when_the_host_rolled_back_serves_after_a_restart() {
    let (host, places) = rolled_back_by_the_host(&Arc::default()).await;
    let folder = host.stop().await;
    drop(places);
    let host = Host::resume(folder, Arc::new(ByHealth), &[], |_| {}).await;
    assert_eq!(host.route("ping"), "a 3.0.0");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_who_chooses_another_version_supersedes_a_file_and_that_is_told() {
    let (host, places) = on_its_way(&Arc::default()).await;
    host.back(None).await.unwrap();
    let path = host.path("a.wasm");
    assert_eq!(host.told(2), ["rollback done by ops".to_owned(), format!("deploy refused by {}", path.display())]);
    drop(places);
    host.put(&guest("4.0.0"), Some(10)).await.unwrap();
    host.back(None).await.unwrap();
    assert_eq!(
        (host.route("ping").as_str(), host.roles().as_str()),
        ("a 1.0.0", "4.0.0 kept, 2.0.0 kept, 1.0.0 active")
    );
    let host = host.again().await;
    assert_eq!(host.route("ping"), "a 1.0.0");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn that_a_file_was_superseded_stays_to_be_seen() {
    let (host, places) = on_its_way(&Arc::default()).await;
    host.back(None).await.unwrap();
    drop(places);
    let load = "switchboard_plugin_loads_total{plugin=\"a\",outcome=\"superseded\"} 1";
    host.until(|| host.metrics.render().contains(load), |ended| *ended, "the load to end").await;
    // What follows from it has been done before the next request.
    host.plugins.unpin("a", "s-1", order()).await.unwrap();
    let error = host.status("a").unwrap().last_error.unwrap();
    assert_eq!((error.stage, host.route("ping").as_str()), (Stage::Superseded, "a 1.0.0"));
    assert!(error.reason.contains("ops chose another version"), "{error}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_files_in_a_row_the_second_serves_and_the_first_never_does() {
    let host = Host::start(&[("a", guest("1.0.0"))], |_| {}).await;
    let places = no_loading(&host).await;
    arrives(&host, &guest("2.0.0")).await;
    arrives(&host, &guest("3.0.0")).await;
    drop(places);
    host.routed("ping", "a 3.0.0").await;
    host.until(|| host.roles(), |roles| roles == "3.0.0 active, 1.0.0 kept", "the versions").await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_deleted_while_the_host_is_down_has_gone_and_is_new_when_it_comes_back() {
    let other = TestGuest::handling("1.0.0", &["pong"]);
    let host = Host::start(&[("a", guest("1.0.0")), ("b", other)], |_| {}).await;
    host.deploy("a", &guest("2.0.0").build());
    host.routed("ping", "a 2.0.0").await;
    host.back(None).await.unwrap();
    let folder = host.stop().await;
    fs::remove_file(folder.path().join("plugins/a.wasm")).unwrap();
    let host = Host::resume(folder, Arc::new(ByHealth), &[], |_| {}).await;
    assert!(host.route("ping").starts_with("unknown"));
    let removed = format!("remove done by {}", host.path("a.wasm").display());
    host.until(|| host.told(1), |told| *told == [removed.clone()], "a removal").await;
    let host = host.again().await;
    host.deploy("a", &guest("2.0.0").build());
    host.routed("ping", "a 2.0.0").await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_no_file_is_removed_with_its_versions_and_what_has_one_is_not() {
    let host = Host::start(&[("b", TestGuest::handling("1.0.0", &["pong"]))], |_| {}).await;
    host.put(&guest("1.0.0"), None).await.unwrap();
    host.put(&guest("2.0.0"), Some(10)).await.unwrap();
    let done = host.plugins.remove("a", order()).await.unwrap();
    assert_eq!((done.version.as_str(), host.told(1)), ("1.0.0", vec!["remove done by ops".to_owned()]));
    assert!(host.route("ping").starts_with("unknown") && host.status("a").is_none());
    assert!(matches!(host.plugins.remove("a", order()).await, Err(OperationError::UnknownPlugin(_))));
    let refused = host.plugins.remove("b", order()).await.unwrap_err();
    assert!(refused.to_string().contains("b.wasm is in the plugin directory"), "{refused}");
    let folder = host.stop().await;
    assert_eq!(fs::read_dir(folder.path().join("versions")).unwrap().count(), 1);
    let host = Host::resume(folder, Arc::new(ByHealth), &[], |_| {}).await;
    assert!(host.status("a").is_none());
    host.put(&guest("1.0.0"), None).await.unwrap();
    assert_eq!((host.route("ping").as_str(), host.roles().as_str()), ("a 1.0.0", "1.0.0 active"));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_active_version_that_fails_gives_way_also_while_there_is_a_canary() {
    let told = Arc::new(Told::default());
    let host = watched(&told, |_| {}).await;
    host.put(&guest("2.0.0"), None).await.unwrap();
    host.put(&guest("3.0.0"), Some(50)).await.unwrap();
    *told.failing.lock().unwrap() = Some("2.0.0");
    host.gone_back().await;
    assert_eq!(
        (host.users_of("ping", "a 1.0.0"), host.roles().as_str()),
        (USERS, "3.0.0 kept, 2.0.0 kept, 1.0.0 active")
    );
    assert!(host.plugins.audit()[0].why.contains("the canary beside it ends with it"));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_retired_what_serves_under_the_same_label_stays_among_the_metrics() {
    let host = Host::start(&[("a", guest("1.0.0"))], |_| {}).await;
    let shows = |version: &str| {
        let sample = format!("switchboard_plugin_circuit{{plugin=\"a\",version=\"{version}\"}} 0");
        host.metrics.render().contains(&sample)
    };
    host.put(&guest("2.0.0"), Some(50)).await.unwrap();
    host.reconfigure(section("a", |section| section.limits.max_emissions = 3));
    let limits = || {
        let registry = host.plugins.registry();
        let of_user = |i: usize| {
            let subject = format!("user-{i}");
            let who = Who { tenant: None, subject: &subject, session_id: "any" };
            registry.versions_for(who).next().unwrap().limits.max_emissions
        };
        (0..USERS).map(of_user).collect::<Vec<_>>()
    };
    host.until(limits, |limits| limits.iter().all(|limit| *limit == 3), "the new limit").await;
    assert!(shows("1.0.0") && shows("2.0.0"), "built again");
    host.back(None).await.unwrap();
    assert!(shows("1.0.0") && !shows("2.0.0"));
    let namesake = TestGuest::handling("1.0.0", &["ping", "pong"]);
    host.put(&namesake, Some(50)).await.unwrap();
    host.back(None).await.unwrap();
    assert!(shows("1.0.0"), "the canary said the same of itself");
    host.stop().await;
}
