//! Ids of requests: which ones can be answered, and which are the same.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::value::RawValue;

/// Longer ids are known by their hash: the name of a request has at most 256 bytes. Two of them that meet in a hash
/// are taken for a duplicate, which harms nobody but the client that made them.
const LONGEST_KEPT: usize = 200;

/// Strings and whole numbers; a number with a fraction, or written as one, is not the same everywhere.
pub(super) fn check(id: &RawValue) -> Result<&RawValue, String> {
    let text = id.get();
    let is_string = text.starts_with('"');
    let is_integer = text.starts_with(|c: char| c == '-' || c.is_ascii_digit()) && !text.contains(['.', 'e', 'E']);
    if is_string || is_integer { Ok(id) } else { Err("`id` has to be a string or a whole number".to_owned()) }
}

/// The same for the same id, however the client escapes its characters; and another one for the number 1 than for the
/// string "1".
pub(crate) fn name_of(id: &RawValue) -> String {
    let (kind, id) = match serde_json::from_str::<String>(id.get()) {
        Ok(text) => ("text", text),
        Err(_) => ("number", id.get().to_owned()),
    };
    if id.len() <= LONGEST_KEPT {
        return format!("{kind} {id}");
    }
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    format!("{kind} hash {:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> String {
        name_of(&RawValue::from_string(text.to_owned()).unwrap())
    }

    #[test]
    fn the_same_id_has_the_same_name() {
        assert_eq!(name(r#""\u0061""#), name(r#""a""#));
        assert_ne!(name("1"), name(r#""1""#));
        assert_ne!(name(r#""number 1""#), name("1"));
        let long = format!("{:?}", "x".repeat(100_000));
        assert!(name(&long).len() < 256);
        assert_ne!(name(&long), name(&long.replacen('x', "y", 1)));
        assert_ne!(name("9007199254740993"), name("9007199254740992"));
    }
}
