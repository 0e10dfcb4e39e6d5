//! JSON objects by their members, each as the text that it came as: no keyword of a schema, and no digit of a number,
//! is touched on the way through.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::rpc::Fault;

pub(crate) type Members = BTreeMap<String, Box<RawValue>>;

/// A value by the names of its members. Without this, an array of the same values in order would do, too.
#[derive(Debug)]
pub(crate) struct Object<T>(pub T);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(reader)?;
        if !is_object(&text) {
            return Err(serde::de::Error::custom("an object was expected"));
        }
        serde_json::from_str(text.get()).map(Self).map_err(serde::de::Error::custom)
    }
}

/// What any object is, if nobody sent one.
pub(crate) const EMPTY: &str = "{}";

pub(crate) fn to_raw<T: Serialize + ?Sized>(value: &T) -> Result<Box<RawValue>, Fault> {
    serde_json::value::to_raw_value(value).map_err(Fault::internal)
}

/// The members of an object.
pub(crate) fn members(text: &str) -> Result<Members, Fault> {
    serde_json::from_str(text).map_err(Fault::internal)
}

pub(crate) fn is_object(value: &RawValue) -> bool {
    value.get().starts_with('{')
}

/// The string in a member, if it is one.
pub(crate) fn string(members: &Members, name: &str) -> Option<String> {
    serde_json::from_str(members.get(name)?.get()).ok()
}

/// The same text for the same value, however it is spaced.
pub(crate) fn compact(text: &str) -> String {
    let mut compact = String::with_capacity(text.len());
    let (mut in_string, mut escaped) = (false, false);
    for c in text.chars() {
        if !in_string && matches!(c, ' ' | '\t' | '\n' | '\r') {
            continue;
        }
        if c == '"' && !escaped {
            in_string = !in_string;
        }
        escaped = c == '\\' && !escaped;
        compact.push(c);
    }
    compact
}

#[cfg(test)]
mod tests {
    use super::compact;

    #[test]
    fn only_the_space_between_values_goes() {
        assert_eq!(compact("{ \"a b\" :\n[1 , \"\\\" c\\\\\" , 2]\t}"), "{\"a b\":[1,\"\\\" c\\\\\",2]}");
    }
}
