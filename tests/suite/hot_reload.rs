//! From a file in the plugin directory to traffic: load, replace, break, remove, switch off, configure,
//! while sockets stay open.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Client, Http, Server, eventually, guest};

/// Asks until the answer fits, on one socket that has to stay open.
async fn ask_until(client: &mut Client, message_type: &str, payload: Value, fits: impl Fn(&Value) -> bool) -> Value {
    eventually(&format!("an answer to {message_type} that fits"), async || {
        let answer = client.request(message_type, payload.clone()).await;
        fits(&answer).then_some(answer)
    })
    .await
}

fn version_of(answer: &Value) -> &str {
    answer["payload"]["version"].as_str().unwrap_or("(none)")
}

#[tokio::test]
async fn a_file_that_is_dropped_in_serves_and_a_replaced_one_answers_the_next_message() {
    let server = Server::builder().system().start().await;
    let mut client = Client::connect(&server, "alice").await;
    assert_eq!(client.request("echo", json!({})).await["payload"]["code"], "UNKNOWN_MESSAGE_TYPE");

    server.install("echo", &guest("echo-v1"));
    ask_until(&mut client, "echo", json!({}), |answer| version_of(answer) == "1.0.0").await;
    server.install("echo", &guest("echo-v2"));
    ask_until(&mut client, "echo", json!({}), |answer| version_of(answer) == "2.0.0").await;

    let status = server.plugin_status("echo").await;
    assert_eq!((&status["state"], &status["version"]), (&json!("serving"), &json!("2.0.0")), "{status}");
    std::fs::remove_file(server.plugin_file("echo")).expect("removed");
    ask_until(&mut client, "echo", json!({}), |answer| answer["payload"]["code"] == "UNKNOWN_MESSAGE_TYPE").await;
    assert_eq!(client.request("ping", json!({})).await["type"], "pong", "the socket was open all the time");
}

#[tokio::test]
async fn a_broken_or_unfit_file_leaves_the_serving_version_in_place_with_an_exact_reason() {
    let server = Server::builder().system().plugin("echo", guest("echo-v1")).start().await;
    let mut client = Client::connect(&server, "alice").await;
    let good = std::fs::read(guest("echo-v2")).expect("read");
    let unfit = |name: &str| std::fs::read(guest(name)).expect("read");
    for (what, bytes, reasons) in [
        ("text", b"not wasm at all, but long enough to be looked at".to_vec(), vec!["not WebAssembly"]),
        ("a core module", b"\0asm\x01\0\0\0".to_vec(), vec!["core module"]),
        ("a truncated component", good[..good.len() / 2].to_vec(), vec!["in the middle"]),
        ("a claim on a type of the host", unfit("reserved"), vec!["error"]),
        ("a claim on another's type", unfit("impostor"), vec!["ping", "system"]),
        ("a manifest that is wrong", unfit("bad-manifest"), vec!["manifest", "version"]),
        ("a manifest that is not JSON", unfit("no-manifest"), vec!["manifest", "not JSON"]),
        ("an import that nobody knows", unfit("stranger"), vec!["test:stranger/teleport"]),
    ] {
        server.install_bytes("echo", &bytes);
        let status = server
            .plugin_status_when("echo", |status| {
                let reason = status["last_error"]["reason"].as_str().unwrap_or_default().to_lowercase();
                reasons.iter().all(|word| reason.contains(&word.to_lowercase()))
            })
            .await;
        assert_eq!(status["version"], "1.0.0", "{what}: {status}");
        let answer = client.request("echo", json!({})).await;
        assert_eq!(version_of(&answer), "1.0.0", "{what}: the serving version goes on");
    }
    assert!(server.metric("switchboard_plugin_loads_total{plugin=\"echo\"").await >= 8.0);
    server.install_bytes("echo", &good);
    ask_until(&mut client, "echo", json!({}), |answer| version_of(answer) == "2.0.0").await;
}

#[tokio::test]
async fn an_import_that_is_not_granted_is_refused_by_name() {
    let server = Server::builder().system().config("[plugins.greedy.grants]\ninterfaces = [\"logging\"]").start().await;
    server.install("greedy", &guest("greedy"));
    let status = server.plugin_status_when("greedy", |status| status["state"] == "failed").await;
    let reason = status["last_error"]["reason"].as_str().expect("a reason");
    assert!(reason.contains("`topics`") && reason.contains("[plugins.greedy.grants]"), "{reason}");
}

#[tokio::test]
async fn a_copy_that_is_written_in_pieces_is_waited_for() {
    use std::io::Write;
    let server = Server::builder().system().plugin("echo", guest("echo-v1")).start().await;
    let mut client = Client::connect(&server, "alice").await;
    let bytes = std::fs::read(guest("echo-v2")).expect("read");
    // As `cp` does it: the file is truncated in place, then grows.
    let mut file = std::fs::File::create(server.plugin_file("echo")).expect("truncated");
    for piece in bytes.chunks(bytes.len() / 5 + 1) {
        file.write_all(piece).expect("written");
        file.sync_all().expect("synced");
        assert_eq!(client.request("ping", json!({})).await["type"], "pong");
        let answer = client.request("echo", json!({})).await;
        assert!(["1.0.0", "2.0.0"].contains(&version_of(&answer)), "never unanswered: {answer}");
        // The pace of a slow disk: what is tested is that no pace loses the serving version.
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    drop(file);
    ask_until(&mut client, "echo", json!({}), |answer| version_of(answer) == "2.0.0").await;
}

#[tokio::test]
async fn hidden_and_partial_files_are_ignored_and_symlinked_folders_work() {
    let server = Server::builder().system().start().await;
    let plugin_dir = server.plugin_file("x").parent().expect("the folder").to_owned();
    for name in [".echo.wasm", "echo.wasm.tmp", "echo.wasm.part", "echo.wasm~", "notes.txt"] {
        std::fs::copy(guest("echo-v1"), plugin_dir.join(name)).expect("copied");
    }
    // As Kubernetes mounts a ConfigMap: a link to a file in a folder that is itself a link, swapped whole.
    let versions = tempfile::tempdir().expect("a folder");
    for (version, component) in [("one", guest("echo-v1")), ("two", guest("echo-v2"))] {
        std::fs::create_dir(versions.path().join(version)).expect("a folder");
        std::fs::copy(component, versions.path().join(version).join("linked.wasm")).expect("copied");
    }
    let point_at = |version: &str| {
        let aside = versions.path().join("aside");
        std::os::unix::fs::symlink(versions.path().join(version), &aside).expect("linked");
        std::fs::rename(&aside, versions.path().join("data")).expect("renamed");
    };
    point_at("one");
    std::os::unix::fs::symlink(versions.path().join("data/linked.wasm"), plugin_dir.join("linked.wasm"))
        .expect("linked");
    let mut client = Client::connect(&server, "alice").await;
    ask_until(&mut client, "echo", json!({}), |answer| version_of(answer) == "1.0.0").await;
    let statuses = server.ask_admin("/plugins").await.json();
    let names: Vec<&Value> = statuses.as_array().expect("a list").iter().map(|status| &status["name"]).collect();
    assert_eq!(names, ["linked", "system"], "{statuses}");
    point_at("two");
    ask_until(&mut client, "echo", json!({}), |answer| version_of(answer) == "2.0.0").await;
}

#[tokio::test]
async fn a_plugin_is_switched_off_and_on_by_saving_the_config() {
    let server = Server::builder().shipped_plugins().config("[plugins.agent]\nenabled = true").start().await;
    let mut client = Client::connect(&server, "alice").await;
    server.edit_config(|text| text.replace("enabled = true", "enabled = false"));
    let answer = ask_until(&mut client, "agent_cancel", json!({ "run_id": "none" }), |answer| {
        answer["payload"]["code"] == "PLUGIN_DISABLED"
    })
    .await;
    assert!(answer["payload"]["error"].as_str().expect("a text").contains("agent"), "{answer}");
    server.edit_config(|text| text.replace("enabled = false", "enabled = true"));
    ask_until(&mut client, "agent_cancel", json!({ "run_id": "none" }), |answer| {
        answer["payload"]["code"] != "PLUGIN_DISABLED"
    })
    .await;
    assert_eq!(client.request("ping", json!({})).await["type"], "pong");
}

#[tokio::test]
async fn settings_change_live_and_those_that_do_not_fit_are_refused() {
    let server = Server::builder()
        .plugin("strict-settings", guest("strict-settings"))
        .config("[plugins.strict-settings.settings]\nlimit = 1")
        .start()
        .await;
    let mut client = Client::connect(&server, "alice").await;
    let limit_is =
        |wanted: u64| move |answer: &Value| answer["payload"].to_string().contains(&format!("\"limit\":{wanted}"));
    ask_until(&mut client, "strict_settings", json!({}), limit_is(1)).await;
    server.edit_config(|text| text.replace("limit = 1", "limit = 22"));
    ask_until(&mut client, "strict_settings", json!({}), limit_is(22)).await;

    server.edit_config(|text| text.replace("limit = 22", "limit = \"many\""));
    let status = server
        .plugin_status_when("strict-settings", |status| {
            status["last_error"]["reason"].as_str().is_some_and(|r| r.contains("limit"))
        })
        .await;
    assert_eq!(status["state"], "serving", "{status}");
    ask_until(&mut client, "strict_settings", json!({}), limit_is(22)).await;
}

#[tokio::test]
async fn a_config_that_does_not_check_is_refused_whole_and_the_running_one_stays() {
    let server = Server::builder().shipped_plugins().config("[plugins.agent]\nenabled = true").start().await;
    let mut client = Client::connect(&server, "alice").await;
    server.edit_config(|text| {
        text.replace("enabled = true", "enabled = false\nenabeld = true\n[heartbeat]\ninterval = \"soon\"")
    });
    server.logged(&["plugins.agent.enabeld", "did you mean"]).await;
    server.logged(&["heartbeat.interval", "soon"]).await;
    assert!(server.metric("switchboard_config_reloads_total{outcome=\"refused\"}").await >= 1.0);
    assert_ne!(client.request("agent_cancel", json!({ "run_id": "x" })).await["payload"]["code"], "PLUGIN_DISABLED");
}

#[tokio::test]
async fn the_host_is_ready_only_when_required_plugins_are() {
    let server = Server::builder().config("[plugins.echo]\nrequired = true").launch();
    eventually("the host to listen", async || (Http::get(&server.admin("/readyz")).await.status == 503).then_some(()))
        .await;
    assert!(Http::get(&server.admin("/readyz")).await.text.contains("echo"));
    server.install("echo", &guest("echo-v1"));
    eventually("the host to be ready", async || {
        Http::get(&server.admin("/readyz")).await.status.is_success().then_some(())
    })
    .await;
}

#[tokio::test]
async fn two_plugins_that_claim_a_type_need_a_word_from_the_operator() {
    let server = Server::builder().plugin("first", guest("echo-v1")).start().await;
    let mut client = Client::connect(&server, "alice").await;
    server.install("second", &guest("echo-v2"));
    let status = server.plugin_status_when("second", |status| status["state"] == "failed").await;
    let reason = status["last_error"]["reason"].as_str().expect("a reason");
    assert!(reason.contains("first") && reason.contains("type_owners"), "{reason}");
    assert_eq!(version_of(&client.request("echo", json!({})).await), "1.0.0");
    server.edit_config(|text| format!("{text}\n[type_owners]\necho = \"second\"\n"));
    ask_until(&mut client, "echo", json!({}), |answer| version_of(answer) == "2.0.0").await;
}

#[tokio::test]
async fn a_call_in_flight_finishes_on_the_version_it_started_with() {
    let server = Server::builder()
        .plugin("slow", guest("slow"))
        .config("[plugins.slow.limits]\ndeadline = \"30s\"\ncpu_time = \"30s\"")
        .start()
        .await;
    let mut client = Client::connect(&server, "alice").await;
    let id = client.send("slow", json!({ "ms": 2500 })).await;
    server.logged(&[client.connection_id(), "slow"]).await;
    server.install("slow", &guest("echo-v2"));
    ask_until(&mut client, "echo", json!({}), |answer| version_of(answer) == "2.0.0").await;
    assert!(client.unread_of("error").is_empty());
    assert_ne!(client.answer_to(&id).await["type"], "error", "the old version's call finished");
}
