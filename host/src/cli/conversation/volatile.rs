//! What is another value at the next time: ids, times, tokens and positions, replaced by wildcards.
//!
//! A value that the client itself has sent comes back the same, whatever it looks like, and stays.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// Members of the envelope that are the host's business.
const OF_THE_ENVELOPE: [&str; 6] = ["id", "timestamp", "seq", "epoch", "offset", "run_epoch"];

/// The shortest run of hex digits that is taken for an id: words that are made of them are shorter.
const SHORTEST_HEX: usize = 12;

/// Unix times of this century, in seconds and in milliseconds.
const SECONDS: std::ops::Range<f64> = 1.0e9..4.1e9;
const MILLISECONDS: std::ops::Range<f64> = 1.0e12..4.1e12;

/// What the client has sent so far: texts, wherever they stood.
#[derive(Debug, Default)]
pub(super) struct Sent(BTreeSet<String>);

impl Sent {
    pub fn note(&mut self, value: &Value) {
        match value {
            Value::String(text) => _ = self.0.insert(text.clone()),
            Value::Array(items) => items.iter().for_each(|item| self.note(item)),
            Value::Object(members) => members.values().for_each(|value| self.note(value)),
            _ => {}
        }
    }

    fn has(&self, text: &str) -> bool {
        self.0.contains(text)
    }
}

/// A message as it is to be expected.
pub(super) fn generalised(message: &Map<String, Value>, sent: &Sent) -> Value {
    let members = message.iter().filter(|(name, _)| !OF_THE_ENVELOPE.contains(&name.as_str()));
    Value::Object(members.map(|(name, value)| (name.clone(), member(name, value, sent))).collect())
}

fn member(name: &str, value: &Value, sent: &Sent) -> Value {
    match value {
        Value::String(text) if sent.has(text) => escaped(text),
        Value::String(_) if names_something_secret(name) || names_an_id(name) => "$string".into(),
        Value::Number(_) if names_a_time(name) => "$number".into(),
        Value::String(_) if names_a_time(name) => "$string".into(),
        _ => pattern(value, sent),
    }
}

fn pattern(value: &Value, sent: &Sent) -> Value {
    match value {
        Value::String(text) if !sent.has(text) && looks_volatile(text) => "$string".into(),
        Value::String(text) => escaped(text),
        Value::Number(number) if number.as_f64().is_some_and(is_a_time) => "$number".into(),
        Value::Array(items) => items.iter().map(|item| pattern(item, sent)).collect(),
        Value::Object(members) => {
            Value::Object(members.iter().map(|(name, value)| (name.clone(), member(name, value, sent))).collect())
        }
        _ => value.clone(),
    }
}

/// So that it is not taken for a wildcard.
fn escaped(text: &str) -> Value {
    if text.starts_with('$') { format!("${text}").into() } else { text.into() }
}

fn names_something_secret(name: &str) -> bool {
    name.ends_with("token") || name.ends_with("ticket") || name.ends_with("secret")
}

fn names_an_id(name: &str) -> bool {
    ["connection_id", "session_id", "run_id", "message_id", "epoch", "uuid"].contains(&name)
}

fn names_a_time(name: &str) -> bool {
    ["timestamp", "time", "offset", "seq", "uptime"].contains(&name)
        || ["_at", "_time", "_ms", "_ns", "_seconds"].iter().any(|ending| name.ends_with(ending))
}

fn is_a_time(number: f64) -> bool {
    SECONDS.contains(&number) || MILLISECONDS.contains(&number)
}

fn looks_volatile(text: &str) -> bool {
    is_hex_id(text) || is_uuid(text) || is_rfc3339(text) || is_jwt(text)
}

/// Hex digits, perhaps behind a short prefix: `ws_0123456789ab`.
fn is_hex_id(text: &str) -> bool {
    let digits = text.split_once('_').filter(|(prefix, _)| prefix.len() <= 8).map_or(text, |(_, digits)| digits);
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    digits.len() >= SHORTEST_HEX && digits.bytes().all(is_hex) && digits.bytes().any(|byte| byte.is_ascii_digit())
}

fn is_uuid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    lengths == [8, 4, 4, 4, 12] && parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// `2026-11-21T12:00:00` and what may follow.
fn is_rfc3339(text: &str) -> bool {
    let form = b"0000-00-00T00:00:00";
    text.len() >= form.len()
        && form.iter().zip(text.bytes()).all(|(form, byte)| match form {
            b'0' => byte.is_ascii_digit(),
            b'T' => byte == b'T' || byte == b't' || byte == b' ',
            other => byte == *other,
        })
}

fn is_jwt(text: &str) -> bool {
    let of_base64 =
        |part: &str| part.len() >= 8 && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    text.starts_with("eyJ") && text.split('.').count() == 3 && text.split('.').all(of_base64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ids_times_and_tokens_become_wildcards_and_what_was_sent_stays() {
        let mut sent = Sent::default();
        sent.note(&json!({"payload": {"mine": "0123456789abcdef"}, "id": "7"}));
        let message = json!({
            "type": "made", "id": "x", "seq": 4, "timestamp": 1.5, "correlation_id": "7",
            "payload": {
                "mine": "0123456789abcdef", "theirs": "fedcba9876543210", "connection_id": "ws_1", "n": 17, "word": "deadbeefcafe",
                "created_at": "yesterday", "when": 1_795_245_400.7, "items": [{"uuid": "x"}, "0b8c6f5e-3b1d-4c55-9f67-0123456789ab"],
                "resume_token": "abc", "price": "$5", "day": "2026-11-21T12:00:00Z",
            },
        });
        let expected = json!({
            "type": "made", "correlation_id": "7",
            "payload": {
                "mine": "0123456789abcdef", "theirs": "$string", "connection_id": "$string", "n": 17, "word": "deadbeefcafe",
                "created_at": "$string", "when": "$number", "items": [{"uuid": "$string"}, "$string"],
                "resume_token": "$string", "price": "$$5", "day": "$string",
            },
        });
        assert_eq!(generalised(message.as_object().unwrap(), &sent), expected);
    }
}
