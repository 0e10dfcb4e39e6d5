//! JSON objects as text: checked, and given further members, without being taken apart.
//!
//! What a plugin wrote stays as it wrote it, because a tree of values would round its numbers and
//! forget its order. Only the outermost level is looked at.

use std::{borrow::Cow, fmt, fmt::Write as _};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;
use switchboard_protocol::nests_deeper_than;

/// The members of an object, in order, values as they were written.
#[derive(Debug)]
pub(crate) struct Members<'text>(pub Vec<(Cow<'text, str>, &'text RawValue)>);

/// As deep as `limits.max_json_depth` can be: what clients may not send, they are not sent either. With the
/// envelope around it, it stays below the 128 levels at which parsers such as serde_json's give up.
const MAX_LEVELS: u32 = 100;

/// Checks that the text is a JSON object, from its first character to its last, which nests no deeper than
/// clients can read.
pub(crate) fn check(text: &str) -> Result<(), String> {
    let value: &RawValue = serde_json::from_str(text).map_err(|fault| format!("it is not JSON: {fault}"))?;
    if !value.get().starts_with('{') {
        return Err("it is JSON, but not an object".into());
    }
    // The parser itself does not mind, because it keeps no values.
    if nests_deeper_than(text, MAX_LEVELS) { Err(format!("it has more than {MAX_LEVELS} levels")) } else { Ok(()) }
}

impl<'text> Members<'text> {
    pub fn parse(text: &'text str) -> Result<Self, String> {
        check(text)?;
        serde_json::from_str(text).map_err(|fault| format!("it is not JSON: {fault}"))
    }

    /// The value of a member; of the last one, if there are several of the name, as most parsers do.
    pub fn get(&self, name: &str) -> Option<&'text RawValue> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, value)| *value)
    }

    /// The value of a member that is a string.
    pub fn text(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.get(name)?.get()).ok()
    }

    /// The object again, with these members in front, in place of any of the same names.
    pub fn with(&self, members: &[(&str, serde_json::Value)]) -> String {
        let mut text = String::from("{");
        for (name, value) in members {
            push_member(&mut text, name, value);
        }
        for (name, value) in &self.0 {
            if !members.iter().any(|(stamped, _)| stamped == name) {
                push_member(&mut text, name, value.get());
            }
        }
        text.push('}');
        text
    }
}

fn push_member(text: &mut String, name: &str, value: impl fmt::Display) {
    if text.len() > 1 {
        text.push(',');
    }
    // Writing to a String cannot fail, and a JSON string is what `Value` displays as.
    let _ = write!(text, "{}:{value}", serde_json::Value::from(name));
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(Name(name)) = map.next_key()? {
                    members.push((name, map.next_value()?));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// Borrowed where it has no escapes.
#[derive(Deserialize)]
struct Name<'text>(#[serde(borrow)] Cow<'text, str>);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_whole_object_is_an_object() {
        for text in ["{}", " {\"a\": [1]} \n"] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
        for text in ["", "[]", "\"{}\"", "{", "{} {}", "{\"a\":}", "null", "\u{feff}{}"] {
            assert!(check(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_object_nests_no_deeper_than_clients_can_read() {
        let nested = |levels: u32| {
            let arrays = usize::try_from(levels - 1).unwrap();
            format!("{{\"a\":{}{}}}", "[".repeat(arrays), "]".repeat(arrays))
        };
        assert_eq!(check(&nested(MAX_LEVELS)), Ok(()));
        assert!(check(&nested(MAX_LEVELS + 1)).unwrap_err().contains("100 levels"));
        let brackets = "[\\\"".repeat(500);
        assert_eq!(check(&format!("{{\"a\":\"{brackets}\",\"b\":[[],[]]}}")), Ok(()));
    }

    #[test]
    fn members_are_added_and_the_rest_stays_as_it_was_written() {
        let object = Members::parse(r#"{"n":1.10,"big":12345678901234567890123,"seq":"mine","\u0061":1}"#).unwrap();
        assert_eq!(
            object.with(&[("seq", json!(3)), ("x", json!("y\"z"))]),
            r#"{"seq":3,"x":"y\"z","n":1.10,"big":12345678901234567890123,"a":1}"#
        );
        assert_eq!(Members::parse(" { } ").unwrap().with(&[]), "{}");
    }

    #[test]
    fn of_two_members_with_one_name_the_last_counts() {
        let object = Members::parse(r#"{"name":"a","name":"b","n":1}"#).unwrap();
        assert_eq!(object.text("name").as_deref(), Some("b"));
        assert_eq!(object.text("n"), None);
    }
}
