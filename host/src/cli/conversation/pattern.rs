//! What is expected against what came: a subset of its members, with wildcards.
//!
//! A wildcard is a text that begins with `$`, or an object whose only member is `$like`. A text that does begin
//! with `$` is written with two of them.

use serde_json::{Map, Value};

/// The member of the object that stands for texts of a form.
const LIKE: &str = "$like";

/// Somewhere in a message, something is not as expected.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Difference {
    /// A JSON Pointer (RFC 6901); empty for the whole.
    pub path: String,
    pub expected: String,
    /// As JSON; `None` if there is nothing.
    pub came: Option<String>,
}

/// A text that begins with `$`, as a pattern.
enum Wildcard<'a> {
    Any,
    /// A type of JSON, by the name that is shown to people.
    Type(&'static str),
    /// Not a wildcard, but a text with its first `$` doubled.
    Text(&'a str),
}

impl<'a> Wildcard<'a> {
    /// `None` if it is a text like any other.
    fn of(text: &'a str) -> Option<Result<Self, String>> {
        let word = text.strip_prefix('$')?;
        Some(match word {
            "any" => Ok(Self::Any),
            "string" => Ok(Self::Type("a string")),
            "number" => Ok(Self::Type("a number")),
            "boolean" => Ok(Self::Type("a boolean")),
            "array" => Ok(Self::Type("an array")),
            "object" => Ok(Self::Type("an object")),
            _ if word.starts_with('$') => Ok(Self::Text(word)),
            _ => Err(format!(
                "`{text}` is no wildcard: there are $any, $string, $number, $boolean, $array and $object; a text \
                 that begins with `$` is written `${text}`"
            )),
        })
    }
}

/// Whether a pattern can be understood; if not, why.
pub(super) fn check(pattern: &Value) -> Result<(), String> {
    match pattern {
        Value::String(text) => Wildcard::of(text).transpose().map(drop),
        Value::Array(items) => items.iter().try_for_each(check),
        Value::Object(members) => match members.get(LIKE) {
            Some(Value::String(_)) if members.len() == 1 => Ok(()),
            Some(_) => Err(format!("`{LIKE}` stands alone in its object, and is a text in which `*` is any text")),
            None => members.values().try_for_each(check),
        },
        _ => Ok(()),
    }
}

/// All that is not as expected. Members that are not mentioned do not matter, unless it is to be `exact`.
pub(crate) fn differences(expected: &Value, came: &Value, exact: bool) -> Vec<Difference> {
    let mut comparison = Comparison { exact, found: Vec::new() };
    comparison.compare("", expected, Some(came));
    comparison.found
}

struct Comparison {
    exact: bool,
    found: Vec<Difference>,
}

impl Comparison {
    fn compare(&mut self, path: &str, expected: &Value, came: Option<&Value>) {
        let Some(came) = came else { return self.add(path, in_words(expected), None) };
        match (expected, came) {
            (Value::String(text), _) => {
                if !text_fits(text, came) {
                    self.add(path, in_words(expected), Some(came));
                }
            }
            (Value::Object(members), _) if members.contains_key(LIKE) => {
                let form = members.get(LIKE).and_then(Value::as_str).unwrap_or_default();
                if !came.as_str().is_some_and(|text| like(form, text)) {
                    self.add(path, in_words(expected), Some(came));
                }
            }
            (Value::Object(expected), Value::Object(came)) => self.members(path, expected, came),
            (Value::Array(expected), Value::Array(came)) => self.items(path, expected, came),
            (Value::Number(one), Value::Number(other)) if one.as_f64() == other.as_f64() => {}
            _ if expected == came => {}
            _ => self.add(path, in_words(expected), Some(came)),
        }
    }

    fn members(&mut self, path: &str, expected: &Map<String, Value>, came: &Map<String, Value>) {
        for (name, value) in expected {
            self.compare(&format!("{path}/{}", escaped(name)), value, came.get(name));
        }
        if self.exact {
            for (name, value) in came.iter().filter(|(name, _)| !expected.contains_key(*name)) {
                self.add(&format!("{path}/{}", escaped(name)), "nothing".to_owned(), Some(value));
            }
        }
    }

    fn items(&mut self, path: &str, expected: &[Value], came: &[Value]) {
        for (index, value) in expected.iter().enumerate() {
            self.compare(&format!("{path}/{index}"), value, came.get(index));
        }
        for (index, value) in came.iter().enumerate().skip(expected.len()) {
            self.add(&format!("{path}/{index}"), "nothing".to_owned(), Some(value));
        }
    }

    fn add(&mut self, path: &str, expected: String, came: Option<&Value>) {
        self.found.push(Difference { path: path.to_owned(), expected, came: came.map(Value::to_string) });
    }
}

fn text_fits(pattern: &str, came: &Value) -> bool {
    match Wildcard::of(pattern) {
        None => came.as_str() == Some(pattern),
        Some(Ok(Wildcard::Any)) => true,
        Some(Ok(Wildcard::Type(name))) => name == type_of(came),
        Some(Ok(Wildcard::Text(text))) => came.as_str() == Some(text),
        Some(Err(_)) => false,
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Whether a text has a form in which `*` stands for any text.
fn like(form: &str, text: &str) -> bool {
    let Some((first, rest)) = form.split_once('*') else { return form == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    // What follows the last star has to be the end; what is between is taken where it is first found.
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = text.find(part) else { return false };
        text = &text[at + part.len()..];
    }
    text.ends_with(last)
}

/// An expectation, for people.
fn in_words(expected: &Value) -> String {
    match expected {
        Value::String(text) => match Wildcard::of(text) {
            Some(Ok(Wildcard::Any)) => "anything".to_owned(),
            Some(Ok(Wildcard::Type(name))) => name.to_owned(),
            Some(Ok(Wildcard::Text(text))) => Value::from(text).to_string(),
            _ => expected.to_string(),
        },
        Value::Object(members) => match members.get(LIKE) {
            Some(form) => format!("a text like {form}"),
            None => expected.to_string(),
        },
        _ => expected.to_string(),
    }
}

/// A name in a JSON Pointer.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(expected: Value, came: Value, exact: bool, found: &[(&str, &str, Option<&str>)]) {
        let all = differences(&expected, &came, exact);
        let all: Vec<_> = all.iter().map(|it| (&*it.path, &*it.expected, it.came.as_deref())).collect();
        assert_eq!(all, found, "{expected} against {came}");
    }

    #[test]
    fn what_is_not_mentioned_does_not_matter_unless_it_is_to_be_exact() {
        let came = json!({"a": 1, "b": {"c": [1, {"d": 2, "e": 3}]}});
        check(json!({"a": 1.0, "b": {"c": [1, {"d": 2}]}}), came.clone(), false, &[]);
        check(
            json!({"b": {"c": [1, {"d": 2}]}}),
            came,
            true,
            &[("/b/c/1/e", "nothing", Some("3")), ("/a", "nothing", Some("1"))],
        );
    }

    #[test]
    fn every_difference_has_its_path() {
        check(
            json!({"a": "x", "b~/": [1, 2], "c": {"d": null}}),
            json!({"a": "y", "b~/": [1], "c": {"d": 1}}),
            false,
            &[("/a", "\"x\"", Some("\"y\"")), ("/b~0~1/1", "2", None), ("/c/d", "null", Some("1"))],
        );
        check(json!([]), json!([7]), false, &[("/0", "nothing", Some("7"))]);
        check(json!({}), json!([]), false, &[("", "{}", Some("[]"))]);
    }

    #[test]
    fn wildcards_stand_for_types_and_for_forms_of_texts() {
        for (pattern, value) in [
            ("$any", json!(null)),
            ("$string", json!("")),
            ("$number", json!(1)),
            ("$boolean", json!(true)),
            ("$array", json!([])),
            ("$object", json!({})),
        ] {
            check(json!({"a": pattern}), json!({"a": value}), false, &[]);
        }
        check(json!("$number"), json!("1"), false, &[("", "a number", Some("\"1\""))]);
        check(json!({"a": "$any"}), json!({}), false, &[("/a", "anything", None)]);
        check(json!("$$any"), json!("$any"), false, &[]);
        check(json!({"$like": "room-*-b*"}), json!("room-7-bc"), false, &[]);
        check(
            json!({"$like": "room-*"}),
            json!("a room-7"),
            false,
            &[("", "a text like \"room-*\"", Some("\"a room-7\""))],
        );
    }

    #[test]
    fn a_form_with_stars_is_matched_whole() {
        for (form, text, fits) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("*", "", true),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("*b*", "abc", true),
            ("a*b*c", "axbxc", true),
            ("a*b*c", "axcxb", false),
            ("ä*", "äx", true),
        ] {
            assert_eq!(like(form, text), fits, "{form} {text}");
        }
    }

    #[test]
    fn a_wildcard_that_does_not_exist_is_told() {
        assert!(super::check(&json!({"a": ["$uuid"]})).unwrap_err().contains("`$$uuid`"));
        assert!(super::check(&json!({"$like": "a", "b": 1})).is_err());
        assert!(super::check(&json!({"a": ["$any", "$$uuid", {"$like": "x*"}]})).is_ok());
    }
}
