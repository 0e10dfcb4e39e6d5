//! What a property of an input schema wants, as far as its type, name and description tell.

use serde_json::Value;

/// What kind of value a property takes.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Wants {
    Integer,
    Number,
    Boolean,
    /// An object or an array.
    Json,
    /// One of these words.
    Word(Vec<String>),
    Expression,
    Date {
        /// Whether it understands `today`.
        today: bool,
    },
    Zone,
    Path,
    Unit,
    Text,
}

pub(super) fn wants(name: &str, schema: &Value) -> Wants {
    if let Some(words) = schema["enum"].as_array() {
        return Wants::Word(words.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect());
    }
    let has_type = |wanted: &str| match &schema["type"] {
        Value::String(name) => name == wanted,
        Value::Array(names) => names.iter().any(|name| name == wanted),
        _ => false,
    };
    if has_type("object") || has_type("array") {
        Wants::Json
    } else if has_type("integer") {
        Wants::Integer
    } else if has_type("number") {
        Wants::Number
    } else if has_type("boolean") {
        Wants::Boolean
    } else {
        wanted_text(&name.to_lowercase(), schema)
    }
}

/// Strings of some form. The order matters: descriptions mention other things than their own.
fn wanted_text(name: &str, schema: &Value) -> Wants {
    let description = schema["description"].as_str().unwrap_or_default().to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| description.contains(word));
    let named = |words: &[&str]| words.iter().any(|word| name.contains(word));
    let format = schema["format"].as_str().unwrap_or_default();
    if named(&["zone"]) || name == "tz" {
        Wants::Zone
    } else if says(&["jsonpath", "json pointer"]) {
        Wants::Path
    } else if named(&["expr", "formula"]) || says(&["arithmetic", "math"]) {
        Wants::Expression
    } else if format.starts_with("date") || named(&["date"]) || says(&["a date", "timestamp", "iso 8601"]) {
        Wants::Date { today: description.contains("today") }
    } else if named(&["unit"]) || says(&[" unit"]) {
        Wants::Unit
    } else {
        Wants::Text
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn types_names_and_descriptions_tell() {
        let text = |description: &str| json!({ "type": "string", "description": description });
        assert_eq!(wants("ms", &json!({ "type": "integer" })), Wants::Integer);
        assert_eq!(wants("n", &json!({ "type": ["null", "number"] })), Wants::Number);
        assert_eq!(wants("formula", &json!({ "type": "string" })), Wants::Expression);
        assert_eq!(wants("from", &text("A date, or `today`")), Wants::Date { today: true });
        assert_eq!(wants("from", &text("The unit")), Wants::Unit);
        assert_eq!(wants("unit", &json!({ "enum": ["days"] })), Wants::Word(vec!["days".to_owned()]));
        assert_eq!(wants("q", &text("A JSONPath")), Wants::Path);
        assert_eq!(wants("text", &text("What to count")), Wants::Text);
    }
}
