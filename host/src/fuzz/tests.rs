//! Each door, knocked at with a fixed number of cases that are the same each time: what once broke it breaks it
//! here again. `SWITCHBOARD_FUZZ_CASES` asks for more.

use std::time::{Duration, Instant};

use super::{manifest, message, mutator::Mutator, object, patterns, posted, schema, settings};

/// What a test run has time for.
const CASES: u64 = 3_000;

/// The environment variable with another number.
pub(crate) const MORE: &str = "SWITCHBOARD_FUZZ_CASES";

/// What takes so long is no slow machine.
pub(crate) const HANG: Duration = Duration::from_secs(20);

fn knock(door: fn(&[u8]), seeds: &[&str], words: &[&str]) {
    let seeds: Vec<Vec<u8>> = seeds.iter().map(|seed| seed.as_bytes().to_vec()).collect();
    let cases = std::env::var(MORE).map_or(CASES, |text| text.parse().expect("a number"));
    for seed in 0..cases {
        let case = Mutator::new(seed).case(&seeds, words, 5);
        let begun = Instant::now();
        // On its own, so that the case that breaks it can be told.
        let broken = std::panic::catch_unwind(|| door(&case)).is_err();
        let took = begun.elapsed();
        assert!(!broken && took < HANG, "case {seed} broke it or took {took:?}: {:?}", String::from_utf8_lossy(&case));
    }
}

#[test]
fn no_frame_of_a_client_breaks_the_parser() {
    knock(
        message,
        &[
            r#"{"type":"ping","payload":{"a":[1,{"b":"c\u00e9\ud83d\ude00"}],"n":1.5e300},"id":"1","correlation_id":"2","timestamp":1640995200.125}"#,
            r#"{"jsonrpc":"2.0","method":"tools/list","id":1}"#,
            r#"{"type":"ack","payload":{"seq":18446744073709551615}}"#,
        ],
        &[
            "\"type\":",
            "null",
            "{\"a\":",
            "[[[[[[[[",
            "\\u",
            "\\ud800",
            "1e999",
            "-0",
            "\u{feff}",
            "\"payload\":\"",
            "\0",
        ],
    );
}

#[test]
fn no_request_to_mcp_breaks_the_edge_or_is_handed_on_as_another() {
    knock(
        posted,
        &[
            "accept: application/json;q=0.5, text/*\ncontent-type: application/json\nmcp-protocol-version: 2026-07-28\nmcp-method: tools/call\nmcp-name: =?base64?YQ==?=\nmcp-param-a: 42.0\n\n{\"jsonrpc\":\"2.0\",\"id\":12345678901234567890123,\"method\":\"tools/call\",\"params\":{\"name\":\"a\",\"arguments\":{\"a\":{\"b\":42}},\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\"}}}",
            "mcp-session-id: x\n\n{\"jsonrpc\":\"2.0\",\"id\":null,\"result\":{\"a\":[1.10,{\"b\":\"c\\u00e9\"}]}}",
            "\n\n[{\"method\":\"m\"}]",
        ],
        &[
            "\"id\":",
            "\"method\":",
            "\"params\":{",
            "null",
            "[[[[[[[[",
            "\n\n",
            "=?base64?",
            "?=",
            "\\ud800",
            "1e999",
            " \t",
            "\u{feff}",
        ],
    );
}

#[test]
fn no_settings_break_the_check() {
    knock(
        settings,
        &[
            include_str!("../../../docs/configuration.md"),
            "[server]\nlisten = \"127.0.0.1:0\"\n[limits]\nmax_message_bytes = \"256KiB\"\nmessage_type_rates = [\"a = 5/s burst 20\"]\n",
            "[auth]\nkeys = [\"generated\", \"file:/tmp/x\", \"env:X\"]\nalgorithms = [\"HS256\"]\n[origins.production]\nallow = [\"https://*.example.com:*\"]\n",
            "[topics]\nrules = [\"allow publish announcements.** if scope announce\", \"deny subscribe a.{sub}.{claim.x}\"]\n[type_owners]\nping = \"system\"\n",
            "[plugins.a]\nenabled = false\nsettings = { a = [1, 2.5, 1979-05-27T07:32:00Z] }\n[plugins.a.limits]\ndeadline = \"5s\"\ncpu_time = \"1h\"\n[plugins.a.grants]\ninterfaces = [\"state\"]\ntopics = [\"a.*\"]\n",
        ],
        &[
            "[plugins.",
            "[[",
            "\"99999999999999999999h\"",
            "\"-1s\"",
            "= nan",
            "{sub}",
            "**",
            "]\n[",
            "'''",
            "\"0.0.0.0:99999\"",
            "16777216TiB",
        ],
    );
}

#[test]
fn no_manifest_breaks_the_check() {
    knock(
        manifest,
        &[
            r#"{"name":"chat","version":"1.2.3-rc.1","description":"Rooms","isolation":"shared","tools":true,"handles":[{"type":"chat.say","schema":{"type":"object","properties":{"text":{"type":"string","pattern":"^a+$"}},"required":["text"]},"emits":["chat.said"],"ordering":"concurrent"},{"prefix":"chat."}],"settings":{"type":"object"},"lifecycle":["connect",{"topic":"chat.*"}]}"#,
            r##"{"name":"a","version":"0.1.0","handles":[{"type":"a","schema":{"$ref":"#/$defs/n","$defs":{"n":{"anyOf":[{"type":"null"},{"properties":{"c":{"$ref":"#/$defs/n"}}}]}}}}]}"##,
        ],
        &[
            "\"$ref\":\"#\"",
            "\"$ref\":\"#/$defs/n\"",
            "\"pattern\":\"(a|b)*\"",
            "\"error\"",
            "null",
            "[[[[",
            "\"allOf\":[",
            "\"unevaluatedProperties\":false",
            "\"type\":\"",
            "1e400",
        ],
    );
}

#[test]
fn no_schema_and_no_value_break_the_validator_or_keep_it_busy() {
    knock(
        schema,
        &[
            "{\"type\":\"object\",\"properties\":{\"a\":{\"items\":{\"type\":\"integer\"}}},\"required\":[\"a\"]}\n{\"a\":[1,2,\"x\"]}",
            "{\"$ref\":\"#/$defs/n\",\"$defs\":{\"n\":{\"allOf\":[{\"properties\":{\"c\":{\"$ref\":\"#/$defs/n\"}}}]}}}\n{\"c\":{\"c\":{\"c\":{\"c\":{}}}}}",
            "{\"oneOf\":[{\"const\":1},{\"enum\":[2,\"b\"]},{\"not\":{\"type\":\"string\"}}],\"if\":{\"minimum\":1},\"then\":{\"multipleOf\":0.1}}\n1e300",
            "{\"patternProperties\":{\"^a\":{\"format\":\"uri\"}},\"unevaluatedProperties\":{\"$ref\":\"#\"},\"dependentSchemas\":{\"a\":{}}}\n{\"ab\":\"x\",\"b\":{\"a\":1}}",
            "{\"prefixItems\":[{\"contains\":{\"type\":\"number\"}}],\"uniqueItems\":true,\"maxItems\":3}\n[[1],[1],2]",
        ],
        &[
            "{\"$ref\":\"#\"}",
            "\"allOf\":[{\"$ref\":\"#\"},{\"$ref\":\"#\"}]",
            "\"$id\":\"x\"",
            "\"$anchor\":\"x\"",
            "\"items\":",
            "\"contains\":",
            "true",
            "{",
            "[",
            "\"$schema\":\"http://json-schema.org/draft-04/schema#\",",
            "1e-300",
        ],
    );
}

#[test]
fn no_object_of_a_guest_loses_what_the_host_adds() {
    knock(
        object,
        &[
            r#"{"n":1.10,"big":12345678901234567890123,"seq":"mine","\u0061":1}"#,
            " { } ",
            r#"{"a":{"b":[1,2,{}]},"seq":{}}"#,
        ],
        &["\"seq\":", "\\u0073eq", "{}", "\"\":", "[[[[", "\\\"", "\u{2028}"],
    );
}

#[test]
fn no_pattern_breaks_what_it_is_held_against() {
    knock(
        patterns,
        &[
            "https://*.example.com:*\nhttps://a.example.com:8443",
            "chat.*.**\nchat.room.7.x",
            "allow publish a.{sub} if scope b",
            "1h30m",
            "256KiB",
            "ping",
        ],
        &["*", "**", "{", "}", "://", ":", ".", "..", "é", "99999999999999999999", "/"],
    );
}
