//! Components of other toolchains: what they do, and what is not there for them.
//!
//! `cargo xtask plugins --examples` builds them, and fetches the toolchains for that. Their machine code is in
//! the cache that all servers of the suite share, so that no test waits for a compiler.

use std::{collections::HashSet, ffi::OsString, path::Path, process::Command};

use serde_json::{Value, json};

use crate::harness::{
    Client, Server, ServerBuilder, compile_cache, eventually, example, language_tools, switchboard_binary,
};

/// The example, a message of its type with what is answered, and a word of what it prints.
struct Case {
    plugin: &'static str,
    message: (&'static str, Value),
    answer: (&'static str, Value),
    /// Its tool takes what its message takes.
    tool: &'static str,
    printed: &'static str,
}

fn cases() -> [Case; 3] {
    let described =
        json!({ "count": 3, "min": 1, "max": 3, "mean": 2.0, "median": 2, "stdev": 1.0, "quartiles": [1.5, 2.0, 2.5] });
    [
        Case {
            plugin: "template",
            message: (
                "render_template",
                json!({ "template": "Hello {{user.name}}", "values": { "user": { "name": "Ada" } } }),
            ),
            answer: ("template_rendered", json!({ "text": "Hello Ada", "missing": [] })),
            tool: "render_template",
            printed: "rendered 9 characters for alice",
        },
        Case {
            plugin: "describe",
            message: ("describe_numbers", json!({ "numbers": [1, 2, 3] })),
            answer: ("numbers_described", described),
            tool: "describe_numbers",
            printed: "alice sent 3 numbers",
        },
        Case {
            plugin: "checksum",
            message: ("checksum", json!({ "text": "123456789" })),
            answer: ("checksum_result", json!({ "crc32": "cbf43926", "bytes": 9 })),
            tool: "checksum",
            printed: "alice asked for {\\\"crc32",
        },
    ]
}

/// Interpreters need more than a second of CPU time where a test binary is built without optimisation.
fn with_examples() -> ServerBuilder {
    let builder = Server::builder()
        .shipped(&["system", "jsonrpc"])
        .config("[plugin_defaults.limits]\ncpu_time = \"20s\"\ndeadline = \"40s\"");
    cases().iter().fold(builder, |builder, case| builder.plugin(case.plugin, example(case.plugin)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plugins_in_javascript_python_and_c_answer_offer_tools_and_print_into_the_log() {
    let server = with_examples().start().await;
    let mut client = Client::connect(&server, "alice").await;
    for case in cases() {
        let (message_type, payload) = &case.message;
        let answer = client.request(message_type, payload.clone()).await;
        assert_eq!((&answer["type"], &answer["payload"]), (&json!(case.answer.0), &case.answer.1), "{answer}");

        let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": { "name": case.tool, "arguments": payload } });
        let called = client.request("jsonrpc", call).await;
        assert_eq!(called["payload"]["result"]["structuredContent"], case.answer.1, "{called}");

        let line = server.logged(&[case.printed]).await;
        let line: Value = serde_json::from_str(&line).expect("a line of JSON");
        let text = line.to_string();
        for mark in ["\"stdout\"", "switchboard::plugin::log", case.plugin, client.connection_id()] {
            assert!(text.contains(mark), "{mark} is not in {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plugins_in_javascript_and_python_offer_resources_and_prompts() {
    let server = with_examples().start().await;
    let mut client = Client::connect(&server, "alice").await;
    for (method, params, words) in [
        ("resources/list", json!({}), "template://guide"),
        ("resources/list", json!({}), "figure://median"),
        ("resources/read", json!({ "uri": "template://guide" }), "{{path}}"),
        ("resources/read", json!({ "uri": "figure://median" }), "The one in the middle"),
        ("prompts/list", json!({}), "write_template"),
        ("prompts/list", json!({}), "explain_numbers"),
        ("prompts/get", json!({ "name": "write_template", "arguments": { "purpose": "thanks" } }), "purpose: thanks"),
        ("prompts/get", json!({ "name": "explain_numbers", "arguments": { "numbers": "1, 2" } }), "about them: 1, 2"),
    ] {
        let call = json!({ "jsonrpc": "2.0", "id": words, "method": method, "params": params });
        let answer = client.request("jsonrpc", call).await;
        assert!(answer["payload"]["result"].to_string().contains(words), "{method}: {answer}");
    }
}

#[tokio::test]
async fn a_refusal_from_another_language_is_a_refusal() {
    let server = with_examples().config("[plugins.template.settings]\nstrict = true").start().await;
    let mut client = Client::connect(&server, "alice").await;
    for (message_type, payload, code, words) in [
        ("render_template", json!({ "template": "{{name}}", "values": {} }), "VALUE_MISSING", "no value for name"),
        ("describe_numbers", json!({ "numbers": [] }), "NO_NUMBERS", "nothing to describe"),
    ] {
        let error = client.request(message_type, payload).await;
        assert_eq!(error["payload"]["code"], code, "{error}");
        assert!(error["payload"]["error"].as_str().is_some_and(|text| text.contains(words)), "{error}");
    }
}

#[tokio::test]
async fn wasi_that_is_not_granted_is_refused_by_name_and_so_are_its_clocks() {
    let grants = |interfaces: &str| format!("[plugins.describe.grants]\ninterfaces = [{interfaces}]");
    let server = Server::builder().plugin("describe", example("describe")).config(&grants("\"logging\"")).launch();
    let refused = async |words: &str| {
        let wanted =
            |status: &Value| status["last_error"]["reason"].as_str().is_some_and(|reason| reason.contains(words));
        server.plugin_status_when("describe", wanted).await;
    };
    refused("it imports `wasi`, `clock`, `random`, which it is not granted").await;
    server.edit_config(|text| text.replace("\"logging\"", "\"logging\", \"wasi\", \"random\""));
    refused("it imports `clock`, which it is not granted").await;
    server.edit_config(|text| text.replace("\"random\"", "\"random\", \"clock\""));
    server.plugin_status_when("describe", |status| status["state"] == "serving").await;
}

fn probing() -> ServerBuilder {
    let limits = "[plugins.wasi-probe.limits]\ncpu_time = \"20s\"\ndeadline = \"40s\"";
    Server::builder().system().plugin("wasi-probe", example("wasi-probe")).config(limits)
}

#[tokio::test]
async fn there_are_no_files_no_sockets_no_names_and_no_environment() {
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = tcp.local_addr().expect("an address").port();
    let udp = std::net::UdpSocket::bind(("127.0.0.1", port)).expect("the same port");
    tcp.set_nonblocking(true).expect("it can be");
    udp.set_nonblocking(true).expect("it can be");
    let server = probing().environment("SWITCHBOARD_TEST_SECRET", "of the host").start().await;
    let mut client = Client::connect(&server, "mallory").await;
    let answer = client.request("probe_look", json!({ "port": port })).await;
    let found = &answer["payload"];
    for attempt in ["read", "write", "root", "here", "tcp", "listen", "udp", "dns"] {
        let result = found[attempt].as_str().unwrap_or_else(|| panic!("{attempt}: {answer}"));
        assert!(!result.starts_with("got "), "{attempt}: {result}");
    }
    assert!(tcp.accept().is_err(), "somebody connected");
    assert!(udp.recv(&mut [0; 16]).is_err(), "something arrived");
    assert!(!std::path::Path::new("/tmp/was-here").exists());
    assert!(!answer.to_string().contains("of the host") && !answer.to_string().contains("root:"), "{answer}");
    assert_eq!(found["arguments"], json!([]), "{answer}");
    assert_eq!(found["stdin"], "got ''", "{answer}");
    // What is granted is real: the time is that of the machine, and no two calls have the same random numbers.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs_f64();
    assert!((found["time"].as_f64().expect("a number") - now).abs() < 3_600.0, "{answer}");
    let mut seen = HashSet::new();
    for _ in 0..3 {
        let again = client.request("probe_look", json!({ "port": port })).await;
        assert!(seen.insert(again["payload"]["random"].to_string()), "{again}");
    }
}

#[tokio::test]
async fn what_is_printed_is_bounded_in_every_way_and_belongs_to_its_call() {
    let server = probing().config("max_log_lines = 10").start().await;
    let (mut alice, mut bob) = (Client::connect(&server, "alice").await, Client::connect(&server, "bob").await);
    let answer = alice.request("probe_speak", json!({})).await;
    assert_eq!(answer["type"], "probe_result", "{answer}");
    let printed = |id: &str| -> Vec<Value> {
        let of_call = |line: &String| line.contains("switchboard::plugin::log") && line.contains(id);
        server.log().iter().filter(|line| of_call(line)).map(|line| serde_json::from_str(line).expect("JSON")).collect()
    };
    let lines = eventually("what was printed", async || {
        let lines = printed(alice.connection_id());
        (lines.len() >= 5).then_some(lines)
    })
    .await;
    let messages: Vec<String> = lines.iter().map(message).collect();
    assert_eq!(&messages[..2], ["one", "two"]);
    assert!(messages[2].starts_with(" [31mforged  xxx") && messages[2].len() < 1_100, "{}", messages[2]);
    assert!(messages.contains(&"no end".to_owned()), "the last line, which has no end: {messages:?}");
    let error = lines.iter().find(|line| message(line) == "to stderr").expect("stderr is logged");
    assert!(error.to_string().contains("\"stderr\"") && error.to_string().contains("WARN"), "{error}");

    bob.request("probe_speak", json!({ "lines": 5_000 })).await;
    server.logged(&["more than `max_log_lines`", bob.connection_id()]).await;
    assert_eq!(printed(bob.connection_id()).len(), 10);
    assert!(server.metric("switchboard_plugin_log_lines_dropped_total{plugin=\"wasi-probe\"}").await > 4_000.0);
    assert_eq!(printed(alice.connection_id()).len(), lines.len(), "nothing of one call is in another's log");
}

/// Where the log's format puts the text.
fn message(line: &Value) -> String {
    let text = line["message"].as_str().or_else(|| line["fields"]["message"].as_str());
    text.unwrap_or_else(|| panic!("{line}")).to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sleepers_end_at_their_deadline_and_keep_nobody_waiting() {
    let limits = "[plugins.wasi-probe.limits]\ndeadline = \"2s\"\ncpu_time = \"20s\"\nmax_memory_bytes = \"64MiB\"";
    let server = Server::builder().system().plugin("wasi-probe", example("wasi-probe")).config(limits).start().await;
    let mut sleeper = Client::connect(&server, "mallory").await;
    let mut other = Client::connect(&server, "alice").await;
    // More than the host has threads for calls.
    let mut asked = Vec::new();
    for _ in 0..16 {
        asked.push(sleeper.send("probe_sleep", json!({ "seconds": 100_000 })).await);
    }
    for _ in 0..20 {
        assert_eq!(other.request("ping", json!({})).await["type"], "pong");
    }
    for id in &asked {
        assert_eq!(sleeper.answer_to(id).await["payload"]["code"], "PLUGIN_TIMEOUT");
    }
}

#[tokio::test]
async fn a_program_that_exits_fails_its_call_with_a_clear_text() {
    let server = probing().start().await;
    let mut client = Client::connect(&server, "mallory").await;
    for status in [0, 3] {
        let error = client.request("probe_leave", json!({ "status": status })).await;
        assert_eq!(error["payload"]["code"], "PLUGIN_CRASHED", "{error}");
        assert!(error["payload"]["error"].as_str().is_some_and(|text| text.contains("called `exit`")), "{error}");
    }
    assert_eq!(client.request("probe_speak", json!({})).await["type"], "probe_result", "the next call starts afresh");
}

/// Runs a program of an author's, with the toolchains on the PATH, and returns what it printed.
fn typed(folder: &Path, program: &Path, arguments: &[&str]) -> String {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = language_tools().into_iter().chain(std::env::split_paths(&path));
    let path: OsString = std::env::join_paths(places).expect("a PATH");
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).env("PATH", path).env("SWITCHBOARD_CACHE_DIR", compile_cache());
    let ended = command.output().unwrap_or_else(|fault| panic!("{} does not start: {fault}", program.display()));
    let printed = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(ended.status.success(), "{arguments:?}: {printed}{}", String::from_utf8_lossy(&ended.stderr));
    printed
}

/// The whole loop of an author, for each language that has a template: a new folder, its tests, a component, the
/// host's verdict, and an answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_plugin_in_another_language_passes_its_test_builds_and_answers() {
    let folder = tempfile::tempdir().expect("a folder");
    let switchboard = switchboard_binary();
    let limits = "[plugin_defaults.limits]\ncpu_time = \"20s\"\ndeadline = \"40s\"";
    let server = Server::builder().system().config(limits).start().await;
    for (language, test) in [("javascript", ["node", "--test"].as_slice()), ("python", &["python3", "-m", "unittest"])]
    {
        let name = format!("greeter-in-{language}");
        typed(folder.path(), &switchboard, &["plugin", "new", &name, "--language", language]);
        let plugin = folder.path().join(&name);
        typed(&plugin, Path::new(test[0]), &test[1..]);
        let built = typed(&plugin, &switchboard, &["plugin", "build"]);
        assert!(built.contains("KiB") && built.contains("wasi:cli"), "size and imports: {built}");
        let component = plugin.join("target/plugins").join(format!("{name}.wasm"));
        let checked = typed(&plugin, &switchboard, &["plugin", "check", component.to_str().expect("UTF-8")]);
        assert!(checked.contains("fits"), "{checked}");

        server.install(&name, &component);
        server.plugin_status_when(&name, |status| status["state"] == "serving").await;
        let mut client = Client::connect(&server, "alice").await;
        let answer = client.request(&name, json!({ "name": "Ada" })).await;
        assert_eq!(answer["payload"]["greeting"], "Hello, Ada!", "{answer}");
    }
}

#[test]
fn a_missing_toolchain_is_answered_with_the_command_that_gets_it() {
    let folder = tempfile::tempdir().expect("a folder");
    for (language, command) in [
        ("javascript", "npm install --save-dev @bytecodealliance/componentize-js@"),
        ("python", ".venv/bin/pip install componentize-py=="),
    ] {
        typed(folder.path(), &switchboard_binary(), &["plugin", "new", language, "--language", language]);
        let mut build = Command::new(switchboard_binary());
        let ended = build.args(["plugin", "build", language]).current_dir(folder.path()).env("PATH", "").output();
        let ended = ended.expect("the binary starts");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(!ended.status.success() && said.contains("is missing") && said.contains(command), "{said}");
    }
}
