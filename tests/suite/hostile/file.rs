//! Files that must not come to traffic, or not do what they hope for: one row of a table.

use serde_json::json;

use super::raw::Raw;
use crate::harness::guest;

/// One attack at load time.
#[derive(Debug, Clone, Copy)]
pub struct BadFile {
    /// What it is, as the page says it.
    pub is: &'static str,
    /// The stem of its file.
    pub plugin: &'static str,
    pub made: Made,
    /// In `[plugins.NAME]`.
    pub config: &'static str,
    /// The stage at which it fails; none for a file that is served, and whose hope is in vain.
    pub stage: Option<&'static str>,
    /// Words of the reason.
    pub reason: &'static str,
    /// The type that a caller tries, and the code or type of what it gets.
    pub asked: (&'static str, &'static str),
}

/// How its bytes are made.
#[derive(Debug, Clone, Copy)]
pub enum Made {
    Bytes(&'static [u8]),
    /// A crate of `tests/guests`.
    Crate(&'static str),
    /// A text of `tests/guests/raw`.
    Raw(&'static str),
    /// A plugin that does nothing, with this manifest.
    Manifest(fn() -> String),
    /// One for another version of the contract.
    Contract(&'static str),
    /// The first half of a good one.
    Half,
    /// A good one in whose midst a few bytes are others.
    Damaged,
}

impl BadFile {
    const fn new(
        plugin: &'static str,
        is: &'static str,
        made: Made,
        stage: &'static str,
        reason: &'static str,
    ) -> Self {
        let asked = (plugin, "UNKNOWN_MESSAGE_TYPE");
        Self { is, plugin, made, config: "", stage: Some(stage), reason, asked }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let good = || Raw::new("silent", self.plugin).build();
        match self.made {
            Made::Bytes(bytes) => bytes.to_vec(),
            Made::Crate(name) => std::fs::read(guest(name)).expect("the component is read"),
            Made::Raw(file) => Raw::new(file, self.plugin).build(),
            Made::Manifest(text) => Raw { manifest: Some(text()), ..Raw::new("silent", self.plugin) }.build(),
            Made::Contract(contract) => Raw { contract, ..Raw::new("silent", self.plugin) }.build(),
            Made::Half => good()[..good().len() / 2].to_vec(),
            Made::Damaged => {
                let mut bytes = good();
                let middle = bytes.len() / 2;
                bytes[middle..middle + 8].fill(0xff);
                bytes
            }
        }
    }
}

/// A manifest that is right but for one member.
fn but(member: serde_json::Value) -> String {
    let mut manifest = json!({ "name": "silent", "version": "1.0.0", "handles": [{ "type": "silent" }] });
    for (name, value) in member.as_object().expect("an object") {
        manifest[name] = value.clone();
    }
    manifest.to_string()
}

const fn file(plugin: &'static str, is: &'static str, bytes: &'static [u8], reason: &'static str) -> BadFile {
    BadFile::new(plugin, is, Made::Bytes(bytes), "validate", reason)
}

const fn raw(name: &'static str, is: &'static str, stage: &'static str, reason: &'static str) -> BadFile {
    BadFile::new(name, is, Made::Raw(name), stage, reason)
}

const fn lies(plugin: &'static str, is: &'static str, manifest: fn() -> String, reason: &'static str) -> BadFile {
    BadFile::new(plugin, is, Made::Manifest(manifest), "manifest", reason)
}

pub const FILES: &[BadFile] = &[
    file("not-wasm", "is not Wasm at all", b"#!/bin/sh\necho not a plugin\n", "it is not WebAssembly"),
    file("text", "is WebAssembly text", b"(component)", "it is WebAssembly text"),
    file("core-module", "is a core module", b"\0asm\x01\0\0\0", "core module"),
    BadFile::new("truncated", "is truncated", Made::Half, "validate", "in the middle"),
    BadFile::new("damaged", "is damaged", Made::Damaged, "validate", "damaged at byte"),
    raw("no-handler", "misses an export", "validate", "`switchboard:plugin/handler@0.1.0`"),
    BadFile::new(
        "newer",
        "was built for another version of the contract",
        Made::Contract("@0.2.0"),
        "validate",
        "0.2.0",
    ),
    BadFile::new("stranger", "imports what no host has", Made::Crate("stranger"), "validate", "test:stranger/teleport"),
    BadFile {
        config: "[plugins.greedy.grants]\ninterfaces = [\"logging\"]",
        asked: ("greedy", "PLUGIN_UNAVAILABLE"),
        ..BadFile::new("greedy", "imports what it was not granted", Made::Crate("greedy"), "grants", "`topics`")
    },
    raw("three-memories", "has more memories than any toolchain makes", "compile", "memor"),
    raw("table-at-start", "needs a table of a million functions", "compile", "table"),
    raw("memory-at-start", "needs four GiB of memory to begin with", "manifest", "memory"),
    raw("start-spins", "has a start that never ends", "manifest", "2000 ms"),
    raw("start-calls", "calls the host while it starts", "manifest", "crashed"),
    raw("manifest-spins", "never says who it is", "manifest", "2000 ms"),
    raw("manifest-traps", "crashes when it is asked who it is", "manifest", "unreachable"),
    raw("manifest-grows", "takes memory when it is asked who it is", "manifest", "memory"),
    raw("manifest-100-mb", "has a manifest of 100 MB", "manifest", "max_hostcall_bytes"),
    BadFile {
        asked: ("self-test-spins", "PLUGIN_UNAVAILABLE"),
        config: "[plugins.self-test-spins.limits]\ncpu_time = \"100ms\"",
        ..raw("self-test-spins", "has a self-test that never ends", "self_test", "100 ms")
    },
    lies("not-json", "has a manifest that is not JSON", || "name: not-json".to_owned(), "it is not JSON"),
    lies("no-name", "has a manifest of the wrong types", || but(json!({ "name": 7 })), "`name` must be a string"),
    lies("deep", "has a manifest of a hundred thousand levels", || "[".repeat(100_000), "recursion limit"),
    lies("long-name", "has a name of ten thousand characters", || but(json!({ "name": "n".repeat(10_000) })), "256"),
    lies(
        "many-types",
        "handles a thousand types",
        || but(json!({ "handles": (0..1_000).map(|n| json!({ "type": format!("t{n}") })).collect::<Vec<_>>() })),
        "1000 entries",
    ),
    lies(
        "twice",
        "claims a type twice",
        || but(json!({ "handles": [{ "type": "twice" }, { "type": "twice" }] })),
        "a second time",
    ),
    lies("reserved", "claims a type of the host", || but(json!({ "handles": [{ "type": "resumed" }] })), "`resumed`"),
    BadFile {
        stage: Some("claims"),
        asked: ("ping", "pong"),
        ..lies("impostor", "claims another's type", || but(json!({ "handles": [{ "type": "ping" }] })), "`system`")
    },
    lies(
        "schema-fetches",
        "has a schema that wants something fetched",
        || but(json!({ "settings": { "$ref": "http://127.0.0.1:1/schema" } })),
        "`settings` is not valid",
    ),
    lies(
        "schema-explodes",
        "has a schema with a pattern that explodes",
        || but(json!({ "settings": { "pattern": "(((a{1000}){1000}){1000})" } })),
        "`settings` is not valid",
    ),
    lies(
        "schema-circle",
        "has a schema that is itself",
        || but(json!({ "handles": [{ "type": "schema-circle", "schema": { "$ref": "#" } }] })),
        "circle",
    ),
    lies("schema-doubles", "has a schema that takes a billion steps", doubling, "steps"),
    lies("no-tools", "says that it has tools, and has none", || but(json!({ "tools": true })), "`tools`"),
    lies(
        "no-lifecycle",
        "wants to see every connection, and cannot",
        || but(json!({ "lifecycle": ["connect"] })),
        "`lifecycle`",
    ),
    BadFile {
        stage: None,
        asked: ("ping", "pong"),
        ..lies("namesake", "calls itself as another plugin", || but(json!({ "name": "system", "handles": [] })), "")
    },
];

/// Thirty schemas, each of which asks the next one twice.
fn doubling() -> String {
    let mut definitions = serde_json::Map::new();
    for number in 0..30 {
        let next = json!({ "$ref": format!("#/$defs/s{}", number + 1) });
        definitions.insert(format!("s{number}"), json!({ "allOf": [next, next] }));
    }
    definitions.insert("s30".to_owned(), json!({ "type": "object" }));
    let schema = json!({ "$ref": "#/$defs/s0", "$defs": definitions });
    but(json!({ "handles": [{ "type": "schema-doubles", "schema": schema }] }))
}
