//! `json_query`: parts of a JSON document, by JSON Pointer (RFC 6901) or JSONPath (RFC 9535).

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json_path::JsonPath;
use switchboard_sdk::Context;

use crate::offline::OfflineTool;

pub(crate) struct JsonQuery;

/// The parser of JSONPath calls itself for every bracket, and its stack has 64 KiB.
const MAX_NESTING: usize = 8;

/// So many names of members are enough to see which one was meant.
const MAX_NAMES: usize = 20;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    /// The JSON to look in: an object, an array, or a string that contains JSON.
    #[schemars(schema_with = "document_schema")]
    data: Value,
    /// A JSONPath such as `$.users[*].name` or `$..[?@.price < 10]`, or a JSON Pointer such as `/users/0/name`.
    #[schemars(length(max = 1000), example = &"$.users[*].name")]
    query: String,
}

fn document_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["object", "array", "string"] })
}

#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Answer {
    /// How many places match.
    count: usize,
    /// The places that match, in the order of the document.
    matches: Vec<Match>,
}

#[derive(Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(inline)]
struct Match {
    /// Where it stands, in the language of the query.
    path: String,
    /// What stands there.
    value: Value,
}

impl OfflineTool for JsonQuery {
    const NAME: &'static str = "json_query";
    const TITLE: &'static str = "Query JSON";
    const DESCRIPTION: &'static str = "Query JSON data: extract, select, filter or look up values in a JSON document with \
        a JSONPath (RFC 9535, begins with $) or a JSON Pointer (RFC 6901, begins with /). JSONPath has the functions \
        length, count and value, not match and search. Returns every match with its path.";

    type Arguments = Arguments;
    type Answer = Answer;

    fn call(_ctx: &Context, Arguments { data, query }: Arguments) -> Result<(String, Answer), String> {
        let data = match data {
            Value::String(text) => {
                serde_json::from_str(&text).map_err(|fault| format!("`data` is a string, but not JSON: {fault}"))?
            }
            data => data,
        };
        let matches = find(&data, query.trim())?;
        Ok((text(&query, &matches), Answer { count: matches.len(), matches }))
    }
}

/// One match is shown as it is, several as an array.
fn text(query: &str, matches: &[Match]) -> String {
    match matches {
        [] => format!("nothing matches {query}"),
        [only] => format!("{:#}", only.value),
        several => format!("{:#}", Value::Array(several.iter().map(|found| found.value.clone()).collect())),
    }
}

fn find(data: &Value, query: &str) -> Result<Vec<Match>, String> {
    match query.chars().next() {
        Some('$') => by_path(data, query),
        None | Some('/') => by_pointer(data, query).map(|found| vec![found]),
        Some(_) => Err(format!("{query:?} is no query: a JSONPath begins with `$`, a JSON Pointer with `/`")),
    }
}

fn by_path(data: &Value, query: &str) -> Result<Vec<Match>, String> {
    check_nesting(query)?;
    let path = JsonPath::parse(query).map_err(|fault| format!("{query:?} is no JSONPath: {fault}"))?;
    let found = path.query_located(data);
    Ok(found.iter().map(|node| Match { path: node.location().to_string(), value: node.node().clone() }).collect())
}

/// Brackets within names count too: simple, and nobody needs so many.
fn check_nesting(query: &str) -> Result<(), String> {
    let mut depth = 0_usize;
    for (at, c) in query.chars().enumerate() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_NESTING {
            return Err(format!("at position {}: brackets are nested deeper than {MAX_NESTING} levels", at + 1));
        }
    }
    Ok(())
}

/// Walks step by step, so that a fault can say how far it came and what it found there.
fn by_pointer(data: &Value, pointer: &str) -> Result<Match, String> {
    let mut value = data;
    let mut walked = String::new();
    for step in pointer.split('/').skip(1) {
        let name =
            unescaped(step).ok_or_else(|| format!("`{step}` in {pointer:?}: `~` has to be written ~0, `/` ~1"))?;
        value = step_into(value, &name)
            .ok_or_else(|| format!("{pointer:?} leads nowhere: {}", dead_end(value, &walked, &name)))?;
        walked = format!("{walked}/{step}");
    }
    Ok(Match { path: pointer.to_owned(), value: value.clone() })
}

/// None if a tilde stands for nothing.
fn unescaped(step: &str) -> Option<Cow<'_, str>> {
    if !step.contains('~') {
        return Some(step.into());
    }
    let whole = step.split('~').skip(1).all(|after| after.starts_with(['0', '1']));
    whole.then(|| step.replace("~1", "/").replace("~0", "~").into())
}

fn step_into<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    match value {
        Value::Object(members) => members.get(name),
        // RFC 6901 knows neither signs nor leading zeros.
        Value::Array(elements) if name == "0" || !name.starts_with(['0', '+']) => {
            elements.get(name.parse::<usize>().ok()?)
        }
        _ => None,
    }
}

fn dead_end(value: &Value, walked: &str, name: &str) -> String {
    let place = if walked.is_empty() { "the document".to_owned() } else { format!("`{walked}`") };
    match value {
        Value::Object(members) if members.is_empty() => format!("{place} is an empty object"),
        Value::Object(members) => {
            let names: Vec<&str> = members.keys().map(String::as_str).take(MAX_NAMES).collect();
            let more = if members.len() > MAX_NAMES { ", ..." } else { "" };
            format!("{place} has no member `{name}`; it has {}{more}", names.join(", "))
        }
        Value::Array(elements) => {
            format!("{place} is an array of {} elements, counted from 0, and has no `{name}`", elements.len())
        }
        _ => format!("{place} is neither an object nor an array and has no `{name}`"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn data() -> Value {
        json!({ "users": [{ "name": "Ada", "age": 36 }, { "name": "Alan", "age": 41 }], "a/b": { "~": 1 } })
    }

    #[track_caller]
    fn fails(query: &str, expected: &str) {
        assert_eq!(find(&data(), query).unwrap_err(), expected);
    }

    #[test]
    fn a_path_finds_all_places_and_names_them() {
        let found = find(&data(), "$.users[*].name").unwrap();
        assert_eq!(found[1], Match { path: "$['users'][1]['name']".into(), value: "Alan".into() });
        assert_eq!(text("", &found), "[\n  \"Ada\",\n  \"Alan\"\n]");
        assert_eq!(find(&data(), "$.users[?@.age > 40].name").unwrap()[0].value, "Alan");
        assert_eq!(find(&data(), "$.users[?length(@.name) == 3].age").unwrap()[0].value, 36);
        assert_eq!(text("$.nobody", &find(&data(), "$.nobody").unwrap()), "nothing matches $.nobody");
    }

    #[test]
    fn a_pointer_finds_one_place() {
        assert_eq!(find(&data(), "/users/1/name").unwrap()[0].value, "Alan");
        assert_eq!(find(&data(), "/a~1b/~0").unwrap()[0].value, 1);
        assert_eq!(find(&data(), "").unwrap()[0].value, data());
    }

    #[test]
    fn a_pointer_that_leads_nowhere_says_how_far_it_came() {
        fails("/users/0/nmae", "\"/users/0/nmae\" leads nowhere: `/users/0` has no member `nmae`; it has age, name");
        for index in ["2", "01", "+1", "-", "x"] {
            let fault = find(&data(), &format!("/users/{index}")).unwrap_err();
            assert!(
                fault.ends_with(&format!("`/users` is an array of 2 elements, counted from 0, and has no `{index}`"))
            );
        }
        fails(
            "/users/0/age/x",
            "\"/users/0/age/x\" leads nowhere: `/users/0/age` is neither an object nor an array and has no `x`",
        );
        fails("/a~2b", "`a~2b` in \"/a~2b\": `~` has to be written ~0, `/` ~1");
    }

    #[test]
    fn what_is_no_query_is_refused_with_its_position() {
        fails("users", "\"users\" is no query: a JSONPath begins with `$`, a JSON Pointer with `/`");
        assert!(find(&data(), "$.users[").unwrap_err().starts_with("\"$.users[\" is no JSONPath: at position "));
        let nested = format!("$[?{}@.a == 1{}]", "(".repeat(7), ")".repeat(7));
        assert_eq!(find(&data(), &nested), Ok(Vec::new()));
        let deep = format!("$[?{}", "(".repeat(1000));
        assert_eq!(find(&data(), &deep).unwrap_err(), "at position 11: brackets are nested deeper than 8 levels");
    }
}
