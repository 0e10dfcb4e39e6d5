//! The doors for fuzzing: whatever comes from outside as bytes, each by the way that it really takes.
//!
//! A door returns nothing and may not panic, whatever comes in. The unit tests here knock with bounded budgets and
//! fixed seeds; `fuzz/` knocks with libFuzzer, for as long as somebody likes.

use std::path::PathBuf;

use switchboard_protocol::{ClientMessage, MessageType, nests_deeper_than};

use crate::{
    config::{
        OriginPattern, check,
        item_rule::{ItemRule, ItemRules},
        raw::Sources,
        topic_rule::TopicRule,
        units,
    },
    plugin, topic, transport,
};

#[cfg(test)]
pub(crate) mod mutator;
#[cfg(test)]
pub(crate) mod tests;

/// As deep as clients may nest by default.
const MAX_DEPTH: u32 = 64;

/// A file in the plugin directory, up to where it would be compiled.
pub fn component(bytes: &[u8]) {
    plugin::fuzz::component(bytes);
}

/// What a plugin says about itself.
pub fn manifest(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    plugin::fuzz::manifest(text);
}

/// A schema of a plugin, a line feed, and a value of a client.
pub fn schema(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (schema, value) = text.split_once('\n').unwrap_or((text, "{}"));
    plugin::fuzz::schema(schema, value);
}

/// An object of a plugin, to which the host adds members.
pub fn object(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    plugin::fuzz::object(text);
}

/// A frame of a client.
pub fn message(bytes: &[u8]) {
    let Ok(message) = ClientMessage::parse(bytes, MAX_DEPTH) else { return };
    // What was accepted is handed on as text, so it has to be JSON, and no deeper than was allowed.
    let payload = message.payload_text();
    assert!(serde_json::from_str::<&serde_json::value::RawValue>(payload).is_ok());
    assert!(!nests_deeper_than(payload, MAX_DEPTH));
}

/// Headers of a request to `/mcp`, an empty line, and its body.
pub fn posted(bytes: &[u8]) {
    transport::mcp::fuzz::posted(bytes);
}

/// `switchboard.toml`.
pub fn settings(bytes: &[u8]) {
    let sources = Sources { file: Some(PathBuf::from("switchboard.toml")), ..Sources::default() };
    let _ = check::check(&sources, Some(bytes));
}

/// The small languages of settings and topics: a pattern, a line feed, and what is held against it.
pub fn patterns(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (pattern, subject) = text.split_once('\n').unwrap_or((text, ""));
    if let Ok(origin) = OriginPattern::parse(pattern) {
        origin.matches(subject);
    }
    if let Ok(topics) = topic::Pattern::parse(pattern) {
        topics.matches(subject);
    }
    let _ = TopicRule::parse(pattern);
    if let Ok(rules) = ItemRule::parse(pattern).and_then(|rule| ItemRules::new(vec![rule])) {
        rules.of_uri(subject);
        rules.of_name("plugin", subject);
    }
    let _ = MessageType::parse(pattern);
    let _ = (units::parse_duration(pattern), units::parse_size(pattern));
}
