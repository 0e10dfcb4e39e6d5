//! Plugins whose instances belong to sessions, and which make trouble when they are to leave.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use switchboard_protocol::MessageType;

use super::super::{
    PluginVersion, detached,
    effects::{CallContext, test_session::TestSession},
    failure::CallFailure,
    instance::GuestMessage,
    instances::sessions::Slot,
    status::Stage,
    test_guest::{Handle, Handover, TestGuest},
    test_host::Host,
};
use crate::{
    config::{Config, Isolation},
    telemetry::metrics::{Plugin, PluginOutcome, PluginReason},
};

/// Longer than anything may take that does not wait for a guest that spins, and shorter than what does.
const PROMPT: Duration = Duration::from_millis(1_500);

fn guest(version: &str, message_type: &str, export: Handover, import: Handover) -> TestGuest {
    TestGuest::handling(version, &[message_type]).of_sessions(export, import)
}

/// A guest that spins does so for as long as a handover may take.
fn patient(config: &mut Config) {
    config.plugin_defaults.limits.cpu_time = Duration::from_secs(20);
}

fn serving(host: &Host, plugin: &str) -> Arc<PluginVersion> {
    host.plugins.registry().version(plugin).unwrap().clone()
}

fn of_session(session: &str, within: Duration) -> CallContext {
    let mut context = detached::context(Instant::now() + within);
    context.caller.session_id = session.into();
    context.caller.session = Arc::new(TestSession::default());
    context
}

fn place_of(version: &PluginVersion, session: &str) -> Arc<Slot> {
    version.shared.sessions.slot(&of_session(session, PROMPT).caller, &version.name).unwrap()
}

async fn ask(version: &Arc<PluginVersion>, session: &str) -> Result<(), CallFailure> {
    ask_within(version, session, Duration::from_secs(5)).await
}

async fn ask_within(version: &Arc<PluginVersion>, session: &str, within: Duration) -> Result<(), CallFailure> {
    ask_in(version, of_session(session, within)).await
}

async fn ask_in(version: &Arc<PluginVersion>, context: CallContext) -> Result<(), CallFailure> {
    let message = GuestMessage {
        message_type: MessageType::parse(&version.manifest.handles[0].pattern.to_string()).unwrap(),
        payload: "{}".into(),
        id: None,
        correlation_id: None,
        timestamp: 0.0,
    };
    version.handle(context, message).await.map(drop)
}

fn put_away(host: &Host, plugin: &str, reason: &'static str) -> u64 {
    let label = PluginReason { plugin: plugin.into(), reason };
    host.metrics.plugin_instances_put_away.get_or_create(&label).get()
}

fn handovers(host: &Host, plugin: &str, outcome: &'static str) -> u64 {
    host.metrics.plugin_handovers.get_or_create(&PluginOutcome { plugin: plugin.into(), outcome }).get()
}

fn kept(host: &Host, plugin: &str) -> i64 {
    host.metrics.plugin_instances_kept.get_or_create(&Plugin { plugin: plugin.into() }).get()
}

fn slots(version: &PluginVersion) -> usize {
    let mut count = 0;
    version.shared.sessions.look_at_those_that_wait(|_, _, _| count += 1);
    count
}

/// Nothing is started ahead, however long a start takes on a busy machine.
fn nothing_ahead(config: &mut Config) {
    config.plugin_defaults.instances.warm = 0;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_that_refuses_to_hand_over_keeps_its_instances_when_another_version_is_tried() {
    let host = Host::start(&[("a", guest("1.0.0", "ping", Handover::Refuse, Handover::Agree))], nothing_ahead).await;
    let first = serving(&host, "a");
    for session in ["s1", "s2", "s3", "s4", "s5"] {
        ask(&first, session).await.unwrap();
    }
    first.can_take_over_from(&first).await.unwrap();
    assert_eq!((kept(&host, "a"), put_away(&host, "a", "failed")), (5, 0));
    host.deploy("a", &guest("2.0.0", "ping", Handover::Refuse, Handover::Agree).build());
    host.routed("ping", "a 2.0.0").await;
    assert_eq!(put_away(&host, "a", "failed"), 0);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_that_is_slow_to_hand_over_holds_a_load_up_once_and_loses_no_more_than_the_samples() {
    let files = [("a", guest("1.0.0", "ping", Handover::Spin, Handover::Agree))];
    let host = Host::start(&files, |config| (patient(config), nothing_ahead(config)).0).await;
    let version = serving(&host, "a");
    for session in ["s1", "s2", "s3", "s4", "s5", "s6"] {
        ask(&version, session).await.unwrap();
    }
    let begun = Instant::now();
    version.can_take_over_from(&version).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!((kept(&host, "a"), put_away(&host, "a", "failed")), (3, 3));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_whose_import_traps_does_not_serve() {
    let host = Host::start(&[("a", guest("1.0.0", "ping", Handover::Agree, Handover::Agree))], nothing_ahead).await;
    ask(&serving(&host, "a"), "s1").await.unwrap();
    host.deploy("a", &guest("2.0.0", "ping", Handover::Agree, Handover::Trap).build());
    host.failed("a", Stage::Handover, "cannot import").await;
    assert_eq!(host.route("ping"), "a 1.0.0");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobodys_answer_waits_for_what_an_instance_leaves_behind_that_gives_way() {
    let files = [
        ("slow", guest("1.0.0", "slow", Handover::Spin, Handover::Agree)),
        ("quick", guest("1.0.0", "quick", Handover::Agree, Handover::Agree)),
    ];
    let host = Host::start(&files, |config| {
        patient(config);
        nothing_ahead(config);
        config.limits.max_kept_instances = 4;
    })
    .await;
    let (slow, quick) = (serving(&host, "slow"), serving(&host, "quick"));
    for session in ["s1", "s2", "s3", "s4"] {
        ask(&slow, session).await.unwrap();
    }
    assert_eq!(kept(&host, "slow"), 4);
    let begun = Instant::now();
    for session in ["q1", "q2"] {
        ask(&quick, session).await.unwrap();
    }
    assert!(begun.elapsed() < PROMPT, "{:?}", begun.elapsed());
    assert_eq!((kept(&host, "slow"), kept(&host, "quick")), (2, 2));

    // However much it does, it pushes out none of those that hold no more than it does.
    for session in ["s5", "s6", "s7", "s8"] {
        ask(&slow, session).await.unwrap();
    }
    assert_eq!((kept(&host, "slow"), kept(&host, "quick")), (2, 2));
    assert!(begun.elapsed() < PROMPT, "{:?}", begun.elapsed());
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_gives_way_is_asked_what_it_leaves_behind_and_its_session_goes_on_with_that() {
    let host = Host::start(&[("a", guest("1.0.0", "ping", Handover::Agree, Handover::Agree))], |config| {
        nothing_ahead(config);
        config.limits.max_kept_instances = 1;
    })
    .await;
    let version = serving(&host, "a");
    for round in 0..3 {
        for session in ["s1", "s2"] {
            ask(&version, session).await.unwrap();
        }
        assert_eq!(handovers(&host, "a", "imported"), round * 2, "each after its first message");
    }
    assert_eq!(handovers(&host, "a", "no_room"), 0);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_any_room_a_session_goes_on_with_what_its_last_instance_left() {
    let host = Host::start(&[("a", guest("1.0.0", "ping", Handover::Agree, Handover::Agree))], |config| {
        config.limits.max_kept_instances = 0;
    })
    .await;
    let version = serving(&host, "a");
    for _ in 0..3 {
        ask(&version, "s1").await.unwrap();
    }
    assert_eq!(handovers(&host, "a", "imported"), 2);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_instances_left_behind_gives_way_to_others_the_oldest_first() {
    let host = Host::start(&[("a", guest("1.0.0", "ping", Handover::Agree, Handover::Agree))], |config| {
        nothing_ahead(config);
        // Of each session nothing but what is left behind, and that for three of them.
        config.limits.max_kept_instances = 0;
        config.limits.max_kept_instance_bytes = 3 * (64 << 10);
    })
    .await;
    let version = serving(&host, "a");
    let sessions = ["s1", "s2", "s3", "s4", "s5"];
    for session in sessions {
        ask(&version, session).await.unwrap();
        // One after the other, so that it is known which is the oldest.
        let behind = || place_of(&version, session);
        host.until(|| behind().try_lock().is_ok_and(|there| there.left_behind().is_some()), |there| *there, "it").await;
    }
    assert_eq!(handovers(&host, "a", "no_room"), 2);
    let left =
        |session: &str| place_of(&version, session).try_lock().is_ok_and(|occupant| occupant.left_behind().is_some());
    assert_eq!(sessions.map(left), [false, false, true, true, true]);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_of_a_session_that_has_ended_whatever_comes_late() {
    let host = Host::start(&[("a", guest("1.0.0", "ping", Handover::Agree, Handover::Agree))], nothing_ahead).await;
    let version = serving(&host, "a");
    for session in ["s1", "s2"] {
        ask(&version, session).await.unwrap();
    }
    assert_eq!((slots(&version), kept(&host, "a")), (2, 2));
    // Nobody says goodbye.
    drop(host.plugins.end_instances("s1"));
    assert_eq!((slots(&version), kept(&host, "a"), put_away(&host, "a", "session")), (1, 1, 1));
    // The goodbye does not get there.
    let last = host.plugins.end_instances("s2").of("a");
    assert_eq!(kept(&host, "a"), 1, "until then it stays");
    version.slots.close();
    assert!(version.on_disconnect(of_session("s2", PROMPT), "closed", last).await.is_err());
    assert_eq!((slots(&version), kept(&host, "a"), put_away(&host, "a", "session")), (0, 0, 2));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_call_of_a_session_that_has_ended_is_answered_and_leaves_nothing() {
    let host = Host::start(&[("a", guest("1.0.0", "ping", Handover::Agree, Handover::Agree))], nothing_ahead).await;
    let version = serving(&host, "a");
    let (mut late, session) = (of_session("s1", PROMPT), TestSession::default());
    session.end();
    late.caller.session = Arc::new(session);
    drop(host.plugins.end_instances("s1"));
    ask_in(&version, late).await.unwrap();
    assert_eq!((slots(&version), kept(&host, "a")), (0, 0));

    // This one ends in the middle of its call.
    let slot = place_of(&version, "s2");
    let held = slot.lock_owned().await;
    let waits = ask(&version, "s2");
    let ends = async {
        tokio::task::yield_now().await;
        drop(host.plugins.end_instances("s2"));
        drop(held);
    };
    tokio::join!(waits, ends).0.unwrap();
    assert_eq!((slots(&version), kept(&host, "a"), put_away(&host, "a", "session")), (0, 0, 1));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_that_is_slow_to_leave_holds_up_neither_others_nor_the_end() {
    let files = [
        ("slow", guest("1.0.0", "slow", Handover::Spin, Handover::Agree)),
        ("quick", guest("1.0.0", "quick", Handover::Agree, Handover::Agree)),
    ];
    let host = Host::start(&files, |config| {
        patient(config);
        nothing_ahead(config);
        config.plugin_defaults.instances.max_idle = Duration::from_millis(1);
    })
    .await;
    let (slow, quick) = (serving(&host, "slow"), serving(&host, "quick"));
    for number in 0..12 {
        ask(&slow, &format!("s{number}")).await.unwrap();
    }
    ask(&quick, "q").await.unwrap();
    let begun = Instant::now();
    host.until(|| put_away(&host, "quick", "idle"), |count| *count == 1, "the quick one to be put away").await;
    // All of the slow ones would take 24 seconds one after the other.
    host.until(|| put_away(&host, "slow", "idle"), |count| *count >= 4, "four beside each other").await;
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    let stopped = Instant::now();
    host.stop().await;
    assert!(stopped.elapsed() < PROMPT, "{:?}", stopped.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_instance_leaves_and_the_next_takes_over_is_not_on_the_account_of_the_message() {
    // Both use up all the CPU time that a call has.
    let busy = |version| {
        let guest = guest(version, "ping", Handover::Spin, Handover::Spin);
        guest.with_handle(Handle::Busy)
    };
    let host = Host::start(&[("a", busy("1.0.0"))], |config| {
        nothing_ahead(config);
        config.plugin_defaults.limits.cpu_time = Duration::from_millis(400);
        config.plugin_defaults.instances.max_calls = 1;
    })
    .await;
    let version = serving(&host, "a");
    assert_eq!(version.isolation, Isolation::Session);
    for message in 0..3 {
        ask(&version, "s1").await.unwrap_or_else(|failure| panic!("message {message}: {failure}"));
    }
    assert_eq!(handovers(&host, "a", "export_failed"), 2);
    host.stop().await;

    let files = [("a", guest("1.0.0", "ping", Handover::Agree, Handover::Spin).with_handle(Handle::Busy))];
    let host = Host::start(&files, |config| {
        nothing_ahead(config);
        config.plugin_defaults.limits.cpu_time = Duration::from_millis(400);
        config.plugin_defaults.instances.max_calls = 1;
    })
    .await;
    let version = serving(&host, "a");
    for message in 0..3 {
        ask(&version, "s1").await.unwrap_or_else(|failure| panic!("message {message}: {failure}"));
    }
    assert_eq!(handovers(&host, "a", "import_failed"), 2);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_takes_over_in_time_costs_two_messages_and_no_more() {
    let files = [("a", guest("1.0.0", "ping", Handover::Agree, Handover::Spin))];
    let host = Host::start(&files, |config| {
        patient(config);
        nothing_ahead(config);
        config.plugin_defaults.instances.max_calls = 1;
        config.plugin_defaults.health.failures_to_open = 0;
    })
    .await;
    let version = serving(&host, "a");
    ask(&version, "s1").await.unwrap();
    let slot = place_of(&version, "s1");
    for attempt in 0..2 {
        // Until it is left behind, this one could also be too short for that.
        while !slot.try_lock().is_ok_and(|there| there.left_behind().is_some_and(|parked| parked.attempts() > attempt))
        {
            let cut_short = ask_within(&version, "s1", Duration::from_millis(300)).await;
            assert!(matches!(cut_short, Err(CallFailure::TimedOut { .. })), "{cut_short:?}");
        }
    }
    let begun = Instant::now();
    ask(&version, "s1").await.unwrap();
    assert!(begun.elapsed() < PROMPT, "{:?}", begun.elapsed());
    assert_eq!(handovers(&host, "a", "import_failed"), 1);
    host.stop().await;
}
