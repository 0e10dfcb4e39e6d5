//! Arguments of a tool that HTTP clients repeat in headers, as the tool's `inputSchema` says with `x-mcp-header`.
//!
//! MCP, revision 2026-07-28, Streamable HTTP, "Custom Headers from Tool Parameters": the annotation stands only at
//! properties of a primitive type that are reached from the root through `properties` alone. Anywhere else it
//! makes clients drop the tool, and so does the host.

use std::collections::HashSet;

use serde_json::{Map, Value};

const ANNOTATION: &str = "x-mcp-header";

/// What the name of each of these headers begins with.
const PREFIX: &str = "mcp-param-";

/// Headers of one tool. Servers and proxies take about a hundred in all.
const MAX_HEADERS: usize = 32;

/// Keywords that hold one schema or an array of them.
const SCHEMAS: [&str; 18] = [
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "items",
    "prefixItems",
    "additionalItems",
    "contains",
    "additionalProperties",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
    "contentSchema",
    "extends",
    "disallow",
];

/// Keywords that hold schemas by name, `properties` aside.
const NAMED_SCHEMAS: [&str; 5] = ["patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"];

/// An argument that is repeated in a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HeaderParameter {
    /// In lower case, such as `mcp-param-region`.
    pub header: String,
    /// Names of the members that lead to the value, from the arguments down.
    pub path: Vec<String>,
    pub of: Primitive,
}

/// What the value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Primitive {
    String,
    Integer,
    Boolean,
}

/// All of a schema's annotations, or what is wrong with one.
pub(super) fn parameters(schema: &Value) -> Result<Vec<HeaderParameter>, String> {
    let mut found = Vec::new();
    walk(schema, Some(&mut Vec::new()), &mut found)?;
    let mut names = HashSet::new();
    if let Some(twice) = found.iter().find(|parameter| !names.insert(parameter.header.as_str())) {
        return Err(format!("gives the header {:?} twice", twice.header));
    }
    if found.len() > MAX_HEADERS {
        return Err(format!("is there {} times, and {MAX_HEADERS} are allowed", found.len()));
    }
    Ok(found)
}

/// `path` leads here through `properties` alone; `None` if something else is on the way.
fn walk(schema: &Value, path: Option<&mut Vec<String>>, found: &mut Vec<HeaderParameter>) -> Result<(), String> {
    let Value::Object(members) = schema else { return Ok(()) };
    if let Some(annotation) = members.get(ANNOTATION) {
        let path = path.as_deref().filter(|path| !path.is_empty());
        let path = path.ok_or("stands where `properties` alone do not lead")?;
        found.push(parameter(annotation, members, path)?);
    }
    for keyword in SCHEMAS {
        match members.get(keyword) {
            Some(Value::Array(several)) => several.iter().try_for_each(|schema| walk(schema, None, found))?,
            Some(one) => walk(one, None, found)?,
            None => {}
        }
    }
    for keyword in NAMED_SCHEMAS {
        if let Some(Value::Object(named)) = members.get(keyword) {
            named.values().try_for_each(|schema| walk(schema, None, found))?;
        }
    }
    let Some(Value::Object(properties)) = members.get("properties") else { return Ok(()) };
    let Some(path) = path else { return properties.values().try_for_each(|schema| walk(schema, None, found)) };
    for (name, schema) in properties {
        path.push(name.clone());
        walk(schema, Some(&mut *path), found)?;
        path.pop();
    }
    Ok(())
}

fn parameter(name: &Value, schema: &Map<String, Value>, path: &[String]) -> Result<HeaderParameter, String> {
    let name = name.as_str().ok_or("is not a string")?;
    if name.is_empty() || !name.bytes().all(is_tchar) {
        return Err(format!("is {name:?}, which cannot be part of a header's name"));
    }
    let of = match schema.get("type").and_then(Value::as_str) {
        Some("string") => Primitive::String,
        Some("integer") => Primitive::Integer,
        Some("boolean") => Primitive::Boolean,
        _ => return Err(format!("is at /{}, which has not the type string, integer or boolean", path.join("/"))),
    };
    Ok(HeaderParameter { header: format!("{PREFIX}{}", name.to_ascii_lowercase()), path: path.to_vec(), of })
}

/// As RFC 9110, section 5.6.2, has it.
fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn problem(properties: Value) -> String {
        parameters(&json!({ "type": "object", "properties": properties })).expect_err("it is wrong")
    }

    #[test]
    fn properties_and_those_within_them_become_headers() {
        let schema = json!({ "type": "object", "properties": {
            "region": { "type": "string", "x-mcp-header": "Region" },
            "page": { "type": "object", "properties": { "size": { "type": "integer", "x-mcp-header": "Page-Size" } } },
            "dry": { "type": "boolean", "x-mcp-header": "dry" },
            "x-mcp-header": { "type": "number" },
            "example": { "const": { "x-mcp-header": 3 } },
        } });
        let mut found = parameters(&schema).unwrap();
        found.sort_by(|a, b| a.header.cmp(&b.header));
        let found: Vec<_> = found.iter().map(|p| (p.header.as_str(), p.path.join("/"), p.of)).collect();
        assert_eq!(
            found,
            [
                ("mcp-param-dry", "dry".into(), Primitive::Boolean),
                ("mcp-param-page-size", "page/size".into(), Primitive::Integer),
                ("mcp-param-region", "region".into(), Primitive::String),
            ]
        );
    }

    #[test]
    fn a_name_that_cannot_be_a_headers_is_refused() {
        for name in [json!(""), json!("a b"), json!("a:b"), json!("a\r\nb"), json!("ä"), json!(1), json!(null)] {
            assert!(!problem(json!({ "a": { "type": "string", "x-mcp-header": name } })).is_empty());
        }
        let twice =
            json!({ "a": { "type": "string", "x-mcp-header": "X" }, "b": { "type": "string", "x-mcp-header": "x" } });
        assert!(problem(twice).contains("twice"));
        let many: Map<String, Value> = (0..=MAX_HEADERS)
            .map(|i| (i.to_string(), json!({ "type": "string", "x-mcp-header": format!("h{i}") })))
            .collect();
        assert!(problem(Value::Object(many)).contains("are allowed"));
    }

    #[test]
    fn only_primitive_types_can_stand_in_a_header() {
        for of in [json!("number"), json!("object"), json!("array"), json!(["string", "null"]), json!(null)] {
            assert!(problem(json!({ "a": { "type": of, "x-mcp-header": "A" } })).contains("/a"));
        }
    }

    #[test]
    fn an_annotation_that_properties_alone_do_not_lead_to_is_refused() {
        let annotated = json!({ "type": "string", "x-mcp-header": "A" });
        for keyword in ["items", "not", "if", "additionalProperties"] {
            assert!(problem(json!({ "a": { keyword: annotated } })).contains("do not lead"), "{keyword}");
        }
        for keyword in ["anyOf", "allOf", "prefixItems"] {
            assert!(problem(json!({ "a": { keyword: [annotated] } })).contains("do not lead"), "{keyword}");
        }
        let hidden = json!({ "properties": { "b": annotated } });
        assert!(problem(json!({ "a": { "oneOf": [hidden] } })).contains("do not lead"));
        let definition = json!({ "type": "object", "$defs": { "a": annotated } });
        assert!(parameters(&definition).unwrap_err().contains("do not lead"));
        assert!(parameters(&json!({ "type": "object", "x-mcp-header": "A" })).unwrap_err().contains("do not lead"));
    }
}
