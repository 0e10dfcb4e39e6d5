//! The command line: what people and scripts type.

use serde_json::{Value, json};

use crate::harness::{
    Client, Ended, Server, authors_target, eventually, guest, run_switchboard, run_switchboard_in, token,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connect_sends_lines_and_prints_what_comes_in() {
    let server = Server::start().await;
    let jwt = token("alice");
    let run = |arguments: &[&str], input: &str| -> Ended {
        let mut all = vec!["connect", server.url(), "--token", &jwt];
        all.extend(arguments);
        run_switchboard_in(&std::env::temp_dir(), &all, input)
    };
    let input = "ping\n{\"type\":\"system\",\"payload\":{\"action\":\"whoami\"},\"id\":\"7\"}\n";
    let json_lines = tokio::task::block_in_place(|| run(&["--json"], input));
    assert!(json_lines.success, "{json_lines:?}");
    let frames: Vec<Value> =
        json_lines.stdout.lines().map(|line| serde_json::from_str(line).expect("one JSON object a line")).collect();
    let found = |wanted: &str| frames.iter().any(|frame| frame["type"] == wanted);
    assert!(found("connection_established") && found("pong"), "{frames:?}");
    assert!(frames.iter().any(|frame| frame["correlation_id"] == "7"), "{frames:?}");

    let readable = tokio::task::block_in_place(|| run(&[], "ping\n"));
    assert!(readable.success && readable.stdout.contains("pong"), "{readable:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connect_explains_a_refusal() {
    let server = Server::start().await;
    let refused = run_switchboard(&["connect", server.url(), "--token", "nonsense"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("JWT_FORMAT_INVALID") && !refused.stderr.contains("panicked"), "{refused:?}");
    let nobody = run_switchboard(&["connect", "ws://127.0.0.1:1/ws", "--token", "x.y.z"]);
    assert_eq!(nobody.code, Some(1), "{nobody:?}");
    assert!(nobody.stderr.contains("127.0.0.1:1"), "{nobody:?}");
}

#[test]
fn config_check_reports_all_faults_at_once_with_their_lines() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("switchboard.toml");
    std::fs::write(&file, "[heartbeat]\ninterval = \"soon\"\n\n[limits]\nmax_conections = 5\nmax_json_depth = 0\n")
        .expect("written");
    let path = file.to_str().expect("UTF-8");
    let bad = run_switchboard(&["config", "check", "--config", path]);
    assert_eq!(bad.code, Some(1), "{bad:?}");
    let said = format!("{}{}", bad.stdout, bad.stderr);
    for words in [["2", "interval"], ["5", "max_connections"], ["6", "max_json_depth"]] {
        assert!(said.lines().any(|line| words.iter().all(|word| line.contains(word))), "{words:?} in\n{said}");
    }
    std::fs::write(&file, "[heartbeat]\ninterval = \"26s\"\n").expect("written");
    let good = run_switchboard(&["config", "check", "--config", path]);
    assert!(good.success, "{good:?}");
    let shown = run_switchboard(&["config", "show", "--config", path]);
    let line = shown.stdout.lines().find(|line| line.contains("heartbeat.interval")).expect("the setting is shown");
    assert!(line.contains("26s") && line.contains("switchboard.toml"), "with its origin: {line}");
    let json = run_switchboard(&["config", "show", "--config", path, "--json"]);
    let _: Value = serde_json::from_str(&json.stdout).expect("JSON");
}

#[test]
fn config_check_tells_what_is_wrong_with_a_rate_and_shows_the_right_form() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("switchboard.toml");
    let path = file.to_str().expect("UTF-8");
    let rates =
        "[limits]\nuser_messages_per_second = 0\nmessage_type_rates = [\n  \"ping = 10/m\",\n  \"search 5/s\",\n]\n";
    std::fs::write(&file, rates).expect("written");
    let bad = run_switchboard(&["config", "check", "--config", path]);
    assert_eq!(bad.code, Some(1), "{bad:?}");
    let said = format!("{}{}", bad.stdout, bad.stderr);
    for words in [
        ["toml:2:", "user_messages_per_second", "from 1 to 1000000"],
        ["toml:4:", "the unit \"m\"", "user_message = 5/s burst 20"],
        ["toml:5:", "no `=`", "user_message = 5/s burst 20"],
    ] {
        assert!(said.lines().any(|line| words.iter().all(|word| line.contains(word))), "{words:?} in\n{said}");
    }
    std::fs::write(&file, "[limits]\nmessage_type_rates = [\"user_message = 10/min burst 3\"]\n").expect("written");
    let good = run_switchboard(&["config", "check", "--config", path]);
    assert!(good.success, "{good:?}");
    let shown = run_switchboard(&["config", "show", "--config", path]);
    assert!(shown.stdout.contains("user_message = 10/min burst 3"), "{shown:?}");
}

#[test]
fn a_start_that_cannot_work_says_why() {
    let folder = tempfile::tempdir().expect("a folder");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let data_dir = folder.path().join("data");
    let data_dir = data_dir.to_str().expect("UTF-8");
    let serve = |arguments: &[&str]| {
        let mut all = vec!["serve", "--data-dir", data_dir];
        all.extend(arguments);
        run_switchboard_in(folder.path(), &all, "")
    };
    let port = serve(&["--listen", &address, "--admin-listen", "127.0.0.1:0"]);
    assert_eq!(port.code, Some(1), "{port:?}");
    assert!(port.stderr.contains(&address), "{port:?}");
    let missing = serve(&["--config", "no-such-file.toml"]);
    assert_eq!(missing.code, Some(1), "{missing:?}");
    assert!(missing.stderr.contains("no-such-file.toml"), "{missing:?}");
    let help = run_switchboard(&["--help"]);
    for command in ["serve", "token", "connect", "config", "plugin"] {
        assert!(help.stdout.contains(command), "{}", help.stdout);
    }
}

#[test]
fn plugin_check_says_of_each_component_what_the_host_would() {
    let good = run_switchboard(&["plugin", "check", guest("echo-v1").to_str().expect("UTF-8")]);
    assert!(good.success, "{good:?}");
    assert!(good.stdout.contains("1.0.0") && good.stdout.contains("echo"), "{good:?}");
    for (name, mentions) in [("reserved", "error"), ("bad-manifest", "manifest")] {
        let bad = run_switchboard(&["plugin", "check", guest(name).to_str().expect("UTF-8")]);
        assert_eq!(bad.code, Some(1), "{bad:?}");
        assert!(format!("{}{}", bad.stdout, bad.stderr).contains(mentions), "{bad:?}");
    }
}

/// The whole loop of an author: a new folder, its tests, a component, and the next message answered by
/// it on a socket that was open before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_plugin_passes_its_test_builds_and_loads_when_it_is_dropped_in() {
    let folder = tempfile::tempdir().expect("a folder");
    // Building takes longer than a client may be silent by default.
    let server = Server::builder().system().config("[heartbeat]\ngrace = \"1h\"").start().await;
    let mut client = Client::connect(&server, "alice").await;
    let step = |arguments: &[&str]| {
        let ended = run_switchboard_in(folder.path(), arguments, "");
        assert!(ended.success, "{arguments:?}: {ended:?}");
        ended
    };
    step(&["plugin", "new", "greeter"]);
    let tested = std::process::Command::new("cargo")
        .args(["test", "--quiet"])
        .current_dir(folder.path().join("greeter"))
        .env("CARGO_TARGET_DIR", authors_target())
        .output()
        .expect("cargo runs");
    assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stderr));
    let toolchain = std::env::var("SWITCHBOARD_TEST_TOOLCHAIN").unwrap_or_else(|_| "auto-with-debian".to_owned());
    let built = step(&["plugin", "build", "greeter", "--toolchain", &toolchain, "--json"]);
    let report: Value = built.stdout.lines().find_map(|line| serde_json::from_str(line).ok()).expect("a JSON line");
    let component = report["component"].as_str().or_else(|| report["path"].as_str()).expect("the component's path");
    server.install("greeter", &folder.path().join(component));
    let types: Vec<String> = eventually("the new plugin to serve", async || {
        let status = server.plugin_status("greeter").await;
        let types = status["types"].as_array()?.iter().filter_map(|name| Some(name.as_str()?.to_owned())).collect();
        (status["state"] == "serving").then_some(types)
    })
    .await;
    let answer = client.request(&types[0], json!({ "name": "Ada" })).await;
    assert_ne!(answer["type"], "error", "{answer}");
    assert!(answer.to_string().contains("Ada"), "{answer}");
}
