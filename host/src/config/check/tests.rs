//! What a configuration can say, and what is told about one that cannot.

use std::{collections::BTreeMap, time::Duration};

use super::*;
use crate::config::{KeySource, OnUserLimit, place::all};

fn with_environment(variables: &[(&str, &str)]) -> Sources {
    let environment: BTreeMap<_, _> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Sources { environment, ..Sources::default() }
}

fn good(text: &str) -> Config {
    checked(text, &[]).config
}

fn checked(text: &str, variables: &[(&str, &str)]) -> Checked {
    check(&with_environment(variables), Some(text.as_bytes())).unwrap_or_else(|faults| panic!("{faults}"))
}

fn faults(text: &str, variables: &[(&str, &str)]) -> Vec<String> {
    let faults = check(&with_environment(variables), Some(text.as_bytes())).expect_err("faults");
    faults.0.iter().map(ToString::to_string).collect()
}

/// Exactly one fault, which holds all of the texts.
fn one_fault(text: &str, parts: &[&str]) {
    let faults = faults(text, &[]);
    assert_eq!(faults.len(), 1, "{text}: {faults:#?}");
    for part in parts {
        assert!(faults[0].contains(part), "{part:?} is not in {:?}", faults[0]);
    }
}

fn origin_of(checked: &Checked, path: &str) -> String {
    checked.effective.iter().find(|effective| effective.path == path).unwrap().origin.to_string()
}

#[test]
fn the_defaults_have_no_faults_and_each_is_accounted_for_once() {
    let checked = check(&Sources::default(), None).unwrap();
    assert_eq!(checked.digest, None);
    assert_eq!(checked.config.server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(checked.config.auth.keys, [KeySource::Generated]);
    assert_eq!(checked.config.limits.on_user_limit, OnUserLimit::EvictOldest);
    assert_eq!(checked.config.heartbeat.interval, Duration::from_secs(25));
    assert_eq!(checked.config.plugin_defaults.limits.max_memory_bytes, 64 << 20);
    let mut shown: Vec<_> = checked.effective.iter().map(|effective| effective.path.clone()).collect();
    shown.sort();
    let mut known: Vec<_> = all().filter(|(_, setting)| !setting.default.is_empty()).map(|(path, _)| path).collect();
    known.sort();
    assert_eq!(shown, known);
}

#[test]
fn flags_win_over_the_environment_that_over_the_file_and_that_over_defaults() {
    let text = "[server]\nlisten = \"127.0.0.1:1\"\nadmin_listen = \"127.0.0.1:2\"\nplugin_dir = \"/file\"\n";
    let mut sources = with_environment(&[
        ("SWITCHBOARD_SERVER_LISTEN", "127.0.0.1:3"),
        ("SWITCHBOARD_SERVER_ADMIN_LISTEN", "127.0.0.1:4"),
    ]);
    sources.listen = Some("127.0.0.1:5".parse().unwrap());
    let checked = check(&sources, Some(text.as_bytes())).unwrap();
    let server = &checked.config.server;
    assert_eq!(server.listen.port(), 5);
    assert_eq!(server.admin_listen.port(), 4);
    assert_eq!(server.plugin_dir.to_str(), Some("/file"));
    assert_eq!(server.data_dir.to_str(), Some(".switchboard"));
    assert_eq!(origin_of(&checked, "server.listen"), "flag --listen");
    assert_eq!(origin_of(&checked, "server.admin_listen"), "environment SWITCHBOARD_SERVER_ADMIN_LISTEN");
    assert_eq!(origin_of(&checked, "server.plugin_dir"), "switchboard.toml:4:14");
    assert_eq!(origin_of(&checked, "server.data_dir"), "default");
}

#[test]
fn every_kind_of_setting_can_come_from_the_environment() {
    let config = checked(
        "[plugins.my-plugin]\n",
        &[
            ("SWITCHBOARD_AUTH_ISSUERS", "https://a.example, https://b.example"),
            ("SWITCHBOARD_AUTH_AUDIENCES", r#"["one,two", "three"]"#),
            ("SWITCHBOARD_AUTH_TOKEN_IN_QUERY", "true"),
            ("SWITCHBOARD_LIMITS_MAX_MESSAGE_BYTES", "64KiB"),
            ("SWITCHBOARD_LIMITS_MAX_FRAME_BYTES", "65536"),
            ("SWITCHBOARD_HEARTBEAT_INTERVAL", "1s"),
            ("SWITCHBOARD_PLUGIN_DEFAULTS_LIMITS_DEADLINE", "2s"),
            ("SWITCHBOARD_PLUGINS_AGENT_SETTINGS", r#"{"model": {"name": "small"}}"#),
            ("SWITCHBOARD_PLUGINS_MY_PLUGIN_LIMITS_MAX_WAIT", "3s"),
        ],
    )
    .config;
    assert_eq!(config.auth.issuers, ["https://a.example", "https://b.example"]);
    assert_eq!(config.auth.audiences, ["one,two", "three"]);
    assert!(config.auth.token_in_query);
    assert_eq!(config.limits.max_message_bytes, 65_536);
    assert_eq!(config.limits.max_frame_bytes, 65_536);
    assert_eq!(config.heartbeat.interval, Duration::from_secs(1));
    assert_eq!(config.plugin("agent").settings["model"]["name"], "small");
    assert_eq!(config.plugin("agent").limits.deadline, Duration::from_secs(2));
    assert_eq!(config.plugin("my-plugin").limits.max_wait, Duration::from_secs(3));
    assert_eq!(config.plugins.len(), 2);
}

#[test]
fn a_variable_that_names_no_setting_is_a_warning_only_if_one_was_likely_meant() {
    let warnings = checked(
        "",
        &[
            ("SWITCHBOARD_HEARTBEAT_INTERVALL", "1s"),
            ("SWITCHBOARD_LIMITS_COLOUR", "red"),
            ("SWITCHBOARD_CONFIG", "switchboard.toml"),
            ("SWITCHBOARD_SERVICE_HOST", "10.0.0.1"),
            ("SWITCHBOARD_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ],
    )
    .warnings;
    assert_eq!(warnings.len(), 2, "{warnings:#?}");
    assert!(warnings[0].contains("did you mean SWITCHBOARD_HEARTBEAT_INTERVAL?"), "{}", warnings[0]);
    assert!(warnings[1].contains("SWITCHBOARD_LIMITS_COLOUR names no setting"), "{}", warnings[1]);
}

#[test]
fn all_faults_of_all_sources_are_told_at_once_with_their_places() {
    let text = r#"lisen = 1

[server]
listen = "localhost"
[heartbeat]
  intervall = "1s"
interval = 25

[origins]
allow = [
  "https://ok.example",
  "example.com",
  7,
]
[plugins.Agent]
enabled = true
[plugins.agent.limits]
deadline = "soon"
max_memory_bytes = "9TiB"
[limits]
max_in_flight = true
"#;
    let found = faults(text, &[("SWITCHBOARD_LIMITS_TOPIC_HISTORY", "-1")]);
    let expected = [
        "switchboard.toml:1:1: lisen: no such setting",
        "switchboard.toml:4:10: server.listen: is \"localhost\"",
        "switchboard.toml:6:3: heartbeat.intervall: no such setting; did you mean `interval`?",
        "switchboard.toml:7:12: heartbeat.interval: is 25",
        "switchboard.toml:12:3: origins.allow: \"example.com\" has no scheme",
        "switchboard.toml:13:3: origins.allow: holds an integer",
        "switchboard.toml:15:10: plugins.Agent: the name of the plugin holds 'A'",
        "switchboard.toml:18:12: plugins.agent.limits.deadline: is \"soon\"",
        "switchboard.toml:19:20: plugins.agent.limits.max_memory_bytes: is \"9TiB\"",
        "switchboard.toml:21:17: limits.max_in_flight: is a boolean",
        "environment SWITCHBOARD_LIMITS_TOPIC_HISTORY: limits.topic_history: is -1",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found:?} should start with {expected:?}");
    }
    assert!(found[3].contains("a duration from 100ms to 10m"), "{}", found[3]);
}

#[test]
fn every_fault_of_syntax_is_told_with_its_line_and_no_line_is_quoted() {
    let found = faults("[auth\nkeys = [\"env:A\"]\n[limits]\nmax_in_flight = = 's3cret'\n", &[]);
    assert!(found.len() >= 2, "{found:#?}");
    assert!(found[0].starts_with("switchboard.toml:1:") && found[0].contains("not TOML"), "{found:#?}");
    assert!(found.iter().any(|fault| fault.starts_with("switchboard.toml:4:")), "{found:#?}");
    assert!(!found.iter().any(|fault| fault.contains("s3cret")), "{found:#?}");
    assert!(faults("[limits]\nmax_in_flight = 1\nmax_in_flight = 2\n", &[])[0].starts_with("switchboard.toml:3:"));
}

#[test]
fn an_unknown_name_is_met_by_the_nearest_one_or_by_its_own_section() {
    for (text, help) in [
        ("[limits]\nmax_conections = 1\n", "did you mean `max_connections`?"),
        ("[limit]\n", "did you mean `limits`?"),
        ("[plugin.echo]\n", "did you mean `plugins`?"),
        ("[plugins.echo.limit]\n", "did you mean `limits`?"),
        ("[plugins.echo]\nenable = true\n", "did you mean `enabled`?"),
        ("listen = \"127.0.0.1:1\"\n", "`listen` belongs into [server]"),
        ("[plugins.echo]\ndeadline = \"1s\"\n", "`deadline` belongs into [plugin_defaults.limits]"),
        ("[logging]\ncolour = true\n", "known here: filter, format"),
        ("\"server.listen\" = 1\n", "no such setting"),
        ("[origins.test]\n", "known here: allow, allow_missing, development, environment, production, staging"),
    ] {
        one_fault(text, &[help]);
    }
}

#[test]
fn a_value_in_the_place_of_a_section_is_refused() {
    one_fault("limits = 3\n", &["limits: is an integer, and is to be a section"]);
    one_fault("[plugins]\necho = true\n", &["plugins.echo: is a boolean", "[plugins.echo]"]);
}

#[test]
fn each_bound_is_held_at_both_ends() {
    for (section, name, low, high) in [
        ("limits", "max_connections", "0", "10000001"),
        ("limits", "max_json_depth", "1", "101"),
        ("limits", "max_message_bytes", "\"1023B\"", "\"65MiB\""),
        ("limits", "handshake_burst", "0", "1000001"),
        ("limits", "max_plugin_calls", "0", "2731"),
        ("heartbeat", "interval", "\"99ms\"", "\"11m\""),
        ("auth", "ticket_lifetime", "\"999ms\"", "\"601s\""),
        ("auth", "key_refresh", "\"999ms\"", "\"25h\""),
        ("plugin_defaults.limits", "max_memory_bytes", "65535", "\"5GiB\""),
        ("plugin_defaults.limits", "deadline", "\"0s\"", "\"61m\""),
        ("plugin_defaults.limits", "max_call_depth", "-1", "9"),
        ("plugin_defaults.limits", "max_table_elements", "-1", "100001"),
    ] {
        for value in [low, high] {
            one_fault(&format!("[{section}]\n{name} = {value}\n"), &[&format!(":2:{}:", name.len() + 4), "allowed: "]);
        }
    }
}

#[test]
fn bounds_between_settings_are_told_at_the_one_that_was_written() {
    one_fault("[heartbeat]\ngrace = \"25s\"\n", &[":2:9:", "heartbeat.grace is 25s and heartbeat.interval is 25s"]);
    one_fault("[heartbeat]\ninterval = \"2m\"\n", &[":2:12:", "longer than the interval"]);
    one_fault("[limits]\nmax_message_bytes = \"2MiB\"\n", &[":2:21:", "limits.max_frame_bytes is 1048576"]);
    one_fault("[limits]\nmax_frame_bytes = 1024\n", &[":2:19:", "raise the one or lower the other"]);
    one_fault("[server]\nlisten = \"127.0.0.1:9090\"\n", &[":2:10:", "give each its own port"]);
    let both = faults("[heartbeat]\ngrace = \"1s\"\n[limits]\nmax_in_flight = 0\n", &[]);
    assert_eq!(both.len(), 2, "{both:#?}");
    good("[server]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\n");
    good("[heartbeat]\ninterval = \"100ms\"\ngrace = \"200ms\"\n");
}

#[test]
fn a_plugin_takes_from_the_defaults_what_its_section_leaves_out() {
    let text = r#"
        [plugin_defaults]
        required = true
        settings = { a = 1 }
        [plugin_defaults.limits]
        deadline = "2s"
        [plugin_defaults.grants]
        tools = []
        [plugins.echo]
        enabled = false
        [plugins.echo.limits]
        max_wait = "0s"
        [plugins.chat.settings]
        rooms = ["a", { deep = 1.5 }]
    "#;
    let checked = checked(text, &[]);
    let config = &checked.config;
    let echo = config.plugin("echo");
    assert!(!echo.enabled && echo.required);
    assert_eq!((echo.limits.deadline, echo.limits.max_wait), (Duration::from_secs(2), Duration::ZERO));
    assert!(echo.grants.tools.is_empty());
    assert_eq!(serde_json::to_value(&*echo.settings).unwrap(), serde_json::json!({ "a": 1 }));
    let chat = serde_json::to_value(&*config.plugin("chat").settings).unwrap();
    assert_eq!(chat, serde_json::json!({ "rooms": ["a", { "deep": 1.5 }] }));
    assert_eq!(config.plugin("unheard-of"), &config.plugin_defaults);
    assert_eq!(origin_of(&checked, "plugins.echo.limits.deadline"), "switchboard.toml:6:20");
    assert_eq!(origin_of(&checked, "plugins.echo.limits.cpu_time"), "default");
}

#[test]
fn a_faulty_default_of_all_plugins_is_told_once() {
    one_fault(
        "[plugin_defaults.limits]\ndeadline = 5\n[plugins.a]\n[plugins.b]\n",
        &["switchboard.toml:2:12: plugin_defaults.limits.deadline: is 5"],
    );
}

#[test]
fn an_unknown_isolation_names_those_that_there_are() {
    one_fault(
        "[plugins.a]\nisolation = \"none\"\n",
        &[
            ":2:13:",
            "plugins.a.isolation: is \"none\"",
            "allowed: \"requested\" or \"message\" or \"session\" or \"shared\"",
        ],
    );
    for word in ["requested", "message", "session", "shared"] {
        good(&format!("[plugins.a]\nisolation = \"{word}\"\n"));
    }
}

#[test]
fn settings_of_plugins_are_json_and_never_quoted() {
    one_fault("[plugins.a]\nsettings = \"s3cret\"\n", &["plugins.a.settings: is a string; allowed: a table"]);
    one_fault("[plugins.a.settings]\nsince = 2020-01-01\n", &[":2:9:", "holds a date or time, which JSON cannot"]);
    one_fault("[plugins.a.settings]\nratio = nan\n", &[":2:9:", "holds a float, which JSON cannot"]);
    let told = faults("[plugins.a]\nsettings = \"s3cret\"\n", &[("SWITCHBOARD_PLUGINS_B_SETTINGS", "{s3cret")]);
    assert!(told.len() == 2 && !told.concat().contains("s3cret"), "{told:#?}");
}

#[test]
fn grants_are_names_of_the_contract() {
    one_fault("[plugins.a.grants]\ninterfaces = [\"message\"]\n", &["holds \"message\"; did you mean \"messages\"?"]);
    one_fault("[plugins.a.grants]\ninterfaces = [\"sockets\"]\n", &["allowed: interfaces: messages, topics, "]);
    one_fault("[plugins.a.grants]\ntools = [\"a b\"]\n", &["holds \"a b\"", "names of tools"]);
    one_fault("[plugins.a.grants]\ntopics = [\"\"]\n", &["1 to 256 bytes"]);
    good("[plugins.a.grants]\ninterfaces = []\ntools = [\"add\"]\ntopics = [\"chat.*\"]\n");
}

#[test]
fn keys_come_from_the_four_sources_and_a_relative_file_starts_from_the_settings_file() {
    let text = r#"
        [auth]
        keys = ["generated", "file:keys/a.pem", "file:///etc/b.pem", "env:JWT_KEY", "https://id.example/jwks.json", "http://127.0.0.1:1/jwks", "http://[::1]/jwks", "http://localhost/jwks"]
    "#;
    let sources = Sources { file: Some("/etc/switchboard/switchboard.toml".into()), ..Sources::default() };
    let config = check(&sources, Some(text.as_bytes())).unwrap().config;
    assert_eq!(config.auth.keys[1], KeySource::File("/etc/switchboard/keys/a.pem".into()));
    assert_eq!(config.auth.keys[2], KeySource::File("/etc/b.pem".into()));
    assert_eq!(config.auth.keys[3], KeySource::Environment("JWT_KEY".into()));
    assert_eq!(config.auth.keys[4], KeySource::JwksUrl("https://id.example/jwks.json".into()));
    assert_eq!(config.auth.keys.len(), 8);
}

#[test]
fn what_is_no_source_of_keys_is_refused_and_never_quoted() {
    for key in [
        "s3cret",
        "",
        "file:",
        "env:",
        "env:1s3cret",
        "http://s3cret.example/jwks",
        "http://localhost.s3cret.example/jwks",
        "https://user:s3cret@id.example/jwks",
        "ftp://s3cret.example",
        "-----BEGIN s3cret-----",
    ] {
        let found = faults(&format!("[auth]\nkeys = [\"generated\", {key:?}]\n"), &[]);
        assert_eq!(found.len(), 1, "{key}: {found:#?}");
        assert!(found[0].starts_with("switchboard.toml:2:22: auth.keys: holds "), "{}", found[0]);
        assert!(!found[0].contains("s3cret"), "{}", found[0]);
    }
    one_fault("[auth]\nkeys = \"s3cret\"\n", &["auth.keys: is a string"]);
    one_fault("[auth]\nkeys = []\n", &["auth.keys: is empty"]);
}

#[test]
fn algorithms_are_those_that_can_be_verified() {
    one_fault("[auth]\nalgorithms = [\"RS265\"]\n", &["holds \"RS265\"; did you mean \"RS256\"?"]);
    one_fault("[auth]\nalgorithms = [\"none\"]\n", &["holds \"none\"", "HS256"]);
    one_fault("[auth]\nalgorithms = []\n", &["auth.algorithms: is empty"]);
    let every = super::super::setting::ALGORITHMS.join("\", \"");
    assert_eq!(good(&format!("[auth]\nalgorithms = [\"{every}\"]\n")).auth.algorithms.len(), 12);
}

#[test]
fn development_allows_pages_of_this_machine_and_production_none_until_they_are_named() {
    let allows = |config: &Config, origin: &str| config.origins.allow.iter().any(|pattern| pattern.matches(origin));
    let development = good("");
    assert!(allows(&development, "http://localhost:5173") && allows(&development, "http://127.0.0.1:3000"));
    assert!(!allows(&development, "https://app.example.com") && development.origins.allow_missing);
    for environment in ["staging", "production"] {
        let config = good(&format!("[origins]\nenvironment = \"{environment}\"\n"));
        assert!(config.origins.allow.is_empty() && config.origins.allow_missing, "{environment}");
    }
}

#[test]
fn the_environments_own_origins_come_before_those_of_all() {
    let text = r#"
        [origins]
        environment = "staging"
        allow = ["https://all.example"]
        [origins.production]
        allow = ["https://production.example"]
        allow_missing = false
    "#;
    let staging = checked(text, &[]);
    assert_eq!(staging.config.origins.allow[0].to_string(), "https://all.example");
    assert!(staging.config.origins.allow_missing);
    let production = checked(text, &[("SWITCHBOARD_ORIGINS_ENVIRONMENT", "production")]);
    assert_eq!(production.config.origins.allow[0].to_string(), "https://production.example");
    assert!(!production.config.origins.allow_missing);
    assert_eq!(origin_of(&production, "origins.allow"), "switchboard.toml:6:17");
}

#[test]
fn origins_of_an_environment_that_is_not_in_force_are_checked_as_well() {
    one_fault("[origins.production]\nallow = [\"https://*\"]\n", &["origins.production.allow: \"https://*\""]);
    one_fault("[origins]\nenvironment = \"prod\"\n", &["origins.environment: is \"prod\"", "\"production\""]);
}

#[test]
fn an_owner_of_a_type_is_a_plugin_and_the_type_one_that_plugins_can_have() {
    let config = good("[type_owners]\n\"chat.message\" = \"chat\"\nping = \"system\"\n");
    assert_eq!(config.type_owners["chat.message"], "chat");
    assert_eq!(config.type_owners["ping"], "system");
    one_fault("[type_owners]\nChat = \"chat\"\n", &["is not a message type: it holds 'C'"]);
    one_fault("[type_owners]\nerror = \"chat\"\n", &["belongs to the host"]);
    one_fault("[type_owners]\nping = 1\n", &["is an integer", "the name of a plugin"]);
    one_fault("[type_owners]\nping = \"Chat\"\n", &["the name of the plugin holds 'C'"]);
}

#[test]
fn a_filter_has_to_be_one() {
    good("[logging]\nfilter = \"info,switchboard::auth=debug\"\n");
    one_fault(
        "[logging]\nfilter = \"info,switchboard=loud\"\n",
        &["logging.filter: is \"info,switchboard=loud\"", "a filter such as"],
    );
    one_fault("[logging]\nformat = \"xml\"\n", &["allowed: \"text\" or \"json\""]);
}

#[test]
fn a_file_that_was_named_has_to_be_there_and_the_default_one_need_not() {
    let folder = tempfile::tempdir().unwrap();
    let missing = Sources { file: Some(folder.path().join("none.toml")), ..Sources::default() };
    let told = load(&missing).unwrap_err().to_string();
    assert!(told.contains("none.toml: cannot be read") && told.contains("name a file that is there"), "{told}");
    assert!(load(&Sources { file: Some(folder.path().into()), ..Sources::default() }).is_err());
    let binary = folder.path().join("binary.toml");
    std::fs::write(&binary, b"a = 1\nb = \xff\n").unwrap();
    let told = load(&Sources { file: Some(binary), ..Sources::default() }).unwrap_err().to_string();
    assert!(told.contains("is not UTF-8 in line 2"), "{told}");
}

#[test]
fn paths_in_the_file_start_from_its_folder_and_others_from_the_working_directory() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("switchboard.toml");
    std::fs::write(&file, "[server]\nplugin_dir = \"components\"\n").unwrap();
    let mut sources = with_environment(&[("SWITCHBOARD_SERVER_DATA_DIR", "data")]);
    sources.file = Some(file);
    let checked = load(&sources).unwrap();
    assert_eq!(checked.config.server.plugin_dir, folder.path().join("components"));
    assert_eq!(checked.config.server.data_dir.to_str(), Some("data"));
    assert!(checked.digest.is_some());
}

#[test]
fn rates_of_types_are_read_and_each_fault_is_told_at_its_place() {
    let limits = good("[limits]\nmessage_type_rates = [\"user_message = 5/s burst 20\", \"search = 10/min\"]\n").limits;
    let shown: Vec<_> = limits.message_type_rates.iter().map(|(name, rate)| format!("{name} = {rate}")).collect();
    assert_eq!(shown, ["search = 10/min burst 10", "user_message = 5/s burst 20"]);
    assert_eq!(limits.connection_rate().to_string(), "500/s burst 1000");
    assert_eq!(limits.user_rate().to_string(), "1000/s burst 2000");
    let text = "[limits]\nmessage_type_rates = [\n  \"ping = 5/m\",\n  \"pong = 1/s\",\n  \"search 5/s\",\n  7,\n]\n";
    let told = faults(text, &[]);
    assert_eq!(told.len(), 3, "{told:#?}");
    for (fault, parts) in told.iter().zip([
        ["toml:3:3: limits.message_type_rates: \"ping = 5/m\" has the unit \"m\"", "\"user_message = 5/s burst 20\""],
        ["toml:5:3: limits.message_type_rates: \"search 5/s\" has no `=`", "\"user_message = 5/s burst 20\""],
        ["toml:6:3: limits.message_type_rates: holds an integer", "`TYPE = N/s`"],
    ]) {
        assert!(parts.iter().all(|part| fault.contains(part)), "{parts:?} in {fault}");
    }
    one_fault(
        "[limits]\nmessage_type_rates = [\"a = 1/s\", \"a = 2/s\"]\n",
        &["toml:2:34: limits.message_type_rates: gives \"a\" a second rate", "keep one"],
    );
    one_fault("[limits]\nmessage_type_rates = \"a = 1/s\"\n", &["is a string", "a list of rates"]);
    let from_environment = [("SWITCHBOARD_LIMITS_MESSAGE_TYPE_RATES", "a = 1/s burst 3, b = 2/h")];
    assert_eq!(checked("", &from_environment).config.limits.message_type_rates.len(), 2);
}

#[test]
fn no_rate_of_messages_is_zero() {
    for name in
        ["connection_messages_per_second", "connection_message_burst", "user_messages_per_second", "user_message_burst"]
    {
        one_fault(&format!("[limits]\n{name} = 0\n"), &[name, "is 0", "from 1 to 1000000"]);
        good(&format!("[limits]\n{name} = 1000000\n"));
    }
}
