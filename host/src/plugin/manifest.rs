//! What a plugin says about itself, checked.
//!
//! The document comes from the guest, so every fault is reported with the JSON path that is wrong, in
//! words for the plugin's author. Unknown members are ignored: that is how the contract grows.

use std::{collections::HashSet, fmt, sync::Arc};

use serde_json::{Map, Value};
use switchboard_protocol::MessageType;

use super::schema::{Schema, SchemaFault};
use crate::config::Isolation;

/// The largest manifest, in bytes. Schemas of payloads are most of it.
pub(crate) const MAX_MANIFEST_BYTES: usize = 1 << 20;

/// The most types and prefixes that a plugin can handle: each is an entry of every registry snapshot.
const MAX_HANDLES: usize = 256;

/// The longest name, version or description, in bytes: they are shown in logs, metrics and errors.
const MAX_LABEL_BYTES: usize = 256;

/// A manifest that holds together.
#[derive(Debug, Clone)]
pub(crate) struct Manifest {
    /// What the artefact calls itself; its identity is the stem of its file.
    pub name: String,
    pub version: semver::Version,
    pub description: Option<String>,
    pub handles: Vec<Arc<Handled>>,
    /// The schema of its settings.
    pub settings: Option<Arc<Schema>>,
    /// A wish; the operator decides.
    pub isolation: Isolation,
    pub lifecycle: Lifecycle,
    pub tools: bool,
    pub resources: bool,
    pub prompts: bool,
    pub completions: bool,
}

/// A type, or a prefix of types, and how its messages are treated.
#[derive(Debug)]
pub(crate) struct Handled {
    pub pattern: Pattern,
    /// Of the payload.
    pub schema: Option<Schema>,
    pub ordering: Ordering,
    /// The types that it may answer with.
    pub emits: Vec<MessageType>,
    pub description: Option<String>,
}

impl Handled {
    /// Checks the text of a payload before the plugin sees it.
    pub fn check_payload(&self, payload: &str) -> Result<(), SchemaFault> {
        self.schema.as_ref().map_or(Ok(()), |schema| schema.check_text(payload))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Pattern {
    Exact(MessageType),
    /// All types that begin with it, unless another plugin claims the type itself or a longer prefix.
    Prefix(String),
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => write!(f, "{name}"),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
        }
    }
}

/// How several messages of one session are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ordering {
    /// One at a time, in order of arrival.
    Serial,
    Concurrent,
}

/// The events that a plugin wants to see.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Lifecycle {
    pub connect: bool,
    pub disconnect: bool,
    /// Patterns of topics.
    pub topics: Vec<String>,
}

/// What is wrong with a manifest, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ManifestFault {
    #[error("it has {0} bytes, and {MAX_MANIFEST_BYTES} are allowed: shorten its schemas and descriptions")]
    TooLarge(usize),
    #[error("it is not JSON: {0}; `manifest` has to return the text of a JSON object")]
    Json(String),
    #[error("`{path}` must be {expected}, and is {found}")]
    WrongType { path: String, expected: &'static str, found: &'static str },
    #[error("`{path}` is missing: it has to be {expected}")]
    Missing { path: String, expected: &'static str },
    #[error("`{path}` is not valid: {problem}")]
    Invalid { path: String, problem: String },
    #[error("`{path}` cannot be `{message_type}`: that type belongs to the host; take another name")]
    Reserved { path: String, message_type: String },
    #[error("`{path}` claims `{pattern}` a second time: leave one of the two out")]
    Twice { path: String, pattern: String },
}

impl Manifest {
    /// Reads and checks the text that the guest returned.
    pub fn parse(text: &str) -> Result<Self, ManifestFault> {
        if text.len() > MAX_MANIFEST_BYTES {
            return Err(ManifestFault::TooLarge(text.len()));
        }
        let document: Value = serde_json::from_str(text).map_err(|fault| ManifestFault::Json(fault.to_string()))?;
        let Value::Object(members) = &document else {
            return Err(wrong_type("$".into(), "an object", &document));
        };
        let node = Node { path: String::new(), members };
        Ok(Self {
            name: node.required_text("name")?,
            version: version(&node)?,
            description: node.text("description")?,
            handles: handles(&node)?,
            settings: node.schema("settings")?.map(Arc::new),
            isolation: isolation(&node)?,
            lifecycle: lifecycle(&node)?,
            tools: node.flag("tools")?,
            resources: node.flag("resources")?,
            prompts: node.flag("prompts")?,
            completions: node.flag("completions")?,
        })
    }
}

/// An object of the document, and where it is.
struct Node<'a> {
    path: String,
    members: &'a Map<String, Value>,
}

impl<'a> Node<'a> {
    fn path(&self, member: &str) -> String {
        if self.path.is_empty() { member.to_owned() } else { format!("{}.{member}", self.path) }
    }

    /// A member that is there and not null.
    fn get(&self, member: &str) -> Option<&'a Value> {
        self.members.get(member).filter(|value| !value.is_null())
    }

    fn text(&self, member: &str) -> Result<Option<String>, ManifestFault> {
        let Some(value) = self.get(member) else { return Ok(None) };
        let text = text_of(value, self.path(member))?;
        if text.len() > MAX_LABEL_BYTES {
            let problem = format!("it has {} bytes, and {MAX_LABEL_BYTES} are allowed: shorten it", text.len());
            return Err(ManifestFault::Invalid { path: self.path(member), problem });
        }
        Ok(Some(text.to_owned()))
    }

    fn required_text(&self, member: &str) -> Result<String, ManifestFault> {
        match self.text(member)? {
            Some(text) if text.is_empty() => {
                Err(ManifestFault::Invalid { path: self.path(member), problem: "it is empty: say what it is".into() })
            }
            Some(text) => Ok(text),
            None => Err(ManifestFault::Missing { path: self.path(member), expected: "a string" }),
        }
    }

    fn flag(&self, member: &str) -> Result<bool, ManifestFault> {
        match self.get(member) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(wrong_type(self.path(member), "true or false", other)),
        }
    }

    fn array(&self, member: &str) -> Result<&'a [Value], ManifestFault> {
        match self.get(member) {
            None => Ok(&[]),
            Some(Value::Array(items)) => Ok(items),
            Some(other) => Err(wrong_type(self.path(member), "an array", other)),
        }
    }

    fn schema(&self, member: &str) -> Result<Option<Schema>, ManifestFault> {
        let Some(value) = self.get(member) else { return Ok(None) };
        if !value.is_object() && !value.is_boolean() {
            return Err(wrong_type(self.path(member), "a JSON Schema", value));
        }
        Schema::compile(value.clone()).map(Some).map_err(|fault| ManifestFault::Invalid {
            path: self.path(member),
            problem: format!("it is not a usable JSON Schema: {fault}"),
        })
    }
}

fn version(node: &Node<'_>) -> Result<semver::Version, ManifestFault> {
    let text = node.required_text("version")?;
    semver::Version::parse(&text).map_err(|fault| ManifestFault::Invalid {
        path: node.path("version"),
        problem: format!("{text:?} is not a semantic version such as 1.0.0: {fault}"),
    })
}

fn handles(node: &Node<'_>) -> Result<Vec<Arc<Handled>>, ManifestFault> {
    let items = node.array("handles")?;
    if items.len() > MAX_HANDLES {
        let problem = format!(
            "it has {} entries, and {MAX_HANDLES} are allowed: claim a prefix instead of its types",
            items.len()
        );
        return Err(ManifestFault::Invalid { path: node.path("handles"), problem });
    }
    let mut seen = HashSet::new();
    let mut handles = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let path = format!("handles[{index}]");
        let Value::Object(members) = item else { return Err(wrong_type(path, "an object", item)) };
        let handled = handled(&Node { path: path.clone(), members })?;
        if !seen.insert(handled.pattern.clone()) {
            return Err(ManifestFault::Twice { path, pattern: handled.pattern.to_string() });
        }
        handles.push(Arc::new(handled));
    }
    Ok(handles)
}

fn handled(node: &Node<'_>) -> Result<Handled, ManifestFault> {
    let emits = node.array("emits")?.iter().enumerate().map(|(index, value)| {
        let path = format!("{}[{index}]", node.path("emits"));
        message_type(text_of(value, path.clone())?, path)
    });
    Ok(Handled {
        pattern: pattern(node)?,
        schema: node.schema("schema")?,
        ordering: ordering(node)?,
        emits: emits.collect::<Result<_, _>>()?,
        description: node.text("description")?,
    })
}

fn pattern(node: &Node<'_>) -> Result<Pattern, ManifestFault> {
    match (node.get("type"), node.get("prefix")) {
        (Some(value), None) => {
            let path = node.path("type");
            message_type(text_of(value, path.clone())?, path).map(Pattern::Exact)
        }
        (None, Some(value)) => {
            let path = node.path("prefix");
            // A prefix has the form of a type. It may cover types of the host: those are never routed.
            let prefix = text_of(value, path.clone())?;
            MessageType::parse(prefix)
                .map(|prefix| Pattern::Prefix(prefix.into()))
                .map_err(|problem| ManifestFault::Invalid { path, problem: format!("{prefix:?}: {problem}") })
        }
        (Some(_), Some(_)) => Err(ManifestFault::Invalid {
            path: node.path.clone(),
            problem: "it has both `type` and `prefix`: make two entries of it".into(),
        }),
        (None, None) => Err(ManifestFault::Missing { path: node.path("type"), expected: "a string, or `prefix` one" }),
    }
}

fn message_type(name: &str, path: String) -> Result<MessageType, ManifestFault> {
    match MessageType::parse(name) {
        Ok(name) if name.is_reserved() => Err(ManifestFault::Reserved { path, message_type: name.into() }),
        Ok(name) => Ok(name),
        Err(problem) => Err(ManifestFault::Invalid { path, problem: format!("{name:?}: {problem}") }),
    }
}

fn ordering(node: &Node<'_>) -> Result<Ordering, ManifestFault> {
    match node.text("ordering")?.as_deref() {
        None | Some("serial") => Ok(Ordering::Serial),
        Some("concurrent") => Ok(Ordering::Concurrent),
        Some(other) => Err(one_of(node.path("ordering"), other, "\"serial\" or \"concurrent\"")),
    }
}

fn isolation(node: &Node<'_>) -> Result<Isolation, ManifestFault> {
    match node.text("isolation")?.as_deref() {
        None | Some("message") => Ok(Isolation::Message),
        Some("session") => Ok(Isolation::Session),
        Some("shared") => Ok(Isolation::Shared),
        Some(other) => Err(one_of(node.path("isolation"), other, "\"message\", \"session\" or \"shared\"")),
    }
}

fn lifecycle(node: &Node<'_>) -> Result<Lifecycle, ManifestFault> {
    const EVENTS: &str = "\"connect\", \"disconnect\" or {\"topic\": PATTERN}";
    let mut lifecycle = Lifecycle::default();
    for (index, item) in node.array("lifecycle")?.iter().enumerate() {
        let path = format!("lifecycle[{index}]");
        match item {
            Value::String(event) if event == "connect" => lifecycle.connect = true,
            Value::String(event) if event == "disconnect" => lifecycle.disconnect = true,
            Value::String(event) => return Err(one_of(path, event, EVENTS)),
            Value::Object(members) => lifecycle.topics.push(Node { path, members }.required_text("topic")?),
            other => return Err(wrong_type(path, EVENTS, other)),
        }
    }
    Ok(lifecycle)
}

fn one_of(path: String, found: &str, expected: &str) -> ManifestFault {
    ManifestFault::Invalid { path, problem: format!("it must be {expected}, and is {found:?}") }
}

fn text_of(value: &Value, path: String) -> Result<&str, ManifestFault> {
    value.as_str().ok_or_else(|| wrong_type(path, "a string", value))
}

fn wrong_type(path: String, expected: &'static str, found: &Value) -> ManifestFault {
    let found = match found {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    ManifestFault::WrongType { path, expected, found }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_full_manifest_is_read() {
        let text = json!({
            "name": "chat", "version": "1.2.3-rc.1", "description": "Rooms", "isolation": "shared", "tools": true,
            "handles": [
                {"type": "chat.say", "schema": {"required": ["text"]}, "emits": ["chat.said"], "ordering": "concurrent"},
                {"prefix": "chat."},
            ],
            "settings": {"type": "object"}, "lifecycle": ["connect", {"topic": "chat.*"}], "invented": {"later": 1},
        });
        let manifest = Manifest::parse(&text.to_string()).unwrap();
        assert_eq!(manifest.version.to_string(), "1.2.3-rc.1");
        assert_eq!(manifest.isolation, Isolation::Shared);
        let lifecycle = Lifecycle { connect: true, disconnect: false, topics: vec!["chat.*".into()] };
        assert_eq!(manifest.lifecycle, lifecycle);
        let patterns: Vec<String> = manifest.handles.iter().map(|handled| handled.pattern.to_string()).collect();
        assert_eq!(patterns, ["chat.say", "chat.*"]);
        assert_eq!(manifest.handles[0].ordering, Ordering::Concurrent);
        assert!(manifest.handles[0].check_payload("{}").is_err());
        assert!(manifest.handles[1].check_payload("{}").is_ok());
    }

    #[test]
    fn what_is_left_out_has_defaults() {
        let manifest = Manifest::parse(r#"{"name": "a", "version": "0.1.0"}"#).unwrap();
        assert_eq!((manifest.isolation, manifest.tools, manifest.handles.len()), (Isolation::Message, false, 0));
    }

    #[test]
    fn every_fault_names_the_path_that_is_wrong() {
        let with = |member: &str| format!(r#"{{"name": "a", "version": "1.0.0", {member}}}"#);
        let table = [
            ("", "it is not JSON"),
            ("[]", "`$` must be an object, and is an array"),
            ("{}", "`name` is missing"),
            (r#"{"name": 1}"#, "`name` must be a string, and is a number"),
            (r#"{"name": ""}"#, "`name` is not valid: it is empty"),
            (r#"{"name": "a"}"#, "`version` is missing"),
            (r#"{"name": "a", "version": "1"}"#, "`version` is not valid: \"1\" is not a semantic version"),
            (&with(r#""description": []"#), "`description` must be a string, and is an array"),
            (&with(r#""handles": {}"#), "`handles` must be an array, and is an object"),
            (&with(r#""handles": ["ping"]"#), "`handles[0]` must be an object, and is a string"),
            (&with(r#""handles": [{}]"#), "`handles[0].type` is missing"),
            (&with(r#""handles": [{"type": "Ping"}]"#), "`handles[0].type` is not valid: \"Ping\": it holds 'P'"),
            (
                &with(r#""handles": [{"type": "ack"}]"#),
                "`handles[0].type` cannot be `ack`: that type belongs to the host",
            ),
            (&with(r#""handles": [{"type": "a", "prefix": "b"}]"#), "`handles[0]` is not valid: it has both"),
            (&with(r#""handles": [{"prefix": ""}]"#), "`handles[0].prefix` is not valid: \"\": it is empty"),
            (&with(r#""handles": [{"type": "a"}, {"type": "a"}]"#), "`handles[1]` claims `a` a second time"),
            (&with(r#""handles": [{"type": "a", "schema": 1}]"#), "`handles[0].schema` must be a JSON Schema"),
            (&with(r#""handles": [{"type": "a", "schema": {"type": "x"}}]"#), "`handles[0].schema` is not valid"),
            (&with(r#""handles": [{"type": "a", "emits": ["b", 1]}]"#), "`handles[0].emits[1]` must be a string"),
            (&with(r#""handles": [{"type": "a", "emits": ["error"]}]"#), "`handles[0].emits[0]` cannot be `error`"),
            (&with(r#""handles": [{"type": "a", "ordering": "any"}]"#), "`handles[0].ordering` is not valid"),
            (&with(r#""settings": []"#), "`settings` must be a JSON Schema, and is an array"),
            (&with(r#""isolation": "none""#), "`isolation` is not valid: it must be \"message\""),
            (&with(r#""lifecycle": ["wake"]"#), "`lifecycle[0]` is not valid"),
            (&with(r#""lifecycle": [{}]"#), "`lifecycle[0].topic` is missing"),
            (&with(r#""tools": "yes""#), "`tools` must be true or false, and is a string"),
        ];
        for (text, expected) in table {
            let fault = Manifest::parse(text).expect_err(text).to_string();
            assert!(fault.starts_with(expected), "{text}: {fault}");
        }
    }
}
