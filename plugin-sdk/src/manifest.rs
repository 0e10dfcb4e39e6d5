//! What a plugin says about itself when it is loaded, built step by step.

use schemars::JsonSchema;
use serde_json::{Map, Value, json};

/// A plugin's description of itself; see [`Plugin::manifest`](crate::Plugin::manifest).
///
/// [`manifest!`](crate::manifest!) begins one with the crate's own name, version and description.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    members: Map<String, Value>,
    handles: Vec<Value>,
    lifecycle: Vec<Value>,
}

/// How long an instance of the plugin lives: a wish, the operator decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// For one message. Nothing can leak between messages or users.
    Message,
    /// For one session, with its calls one after another.
    Session,
    /// For many calls of all sessions, one at a time.
    Shared,
}

impl Manifest {
    /// A plugin of this name and semantic version.
    #[must_use]
    pub fn new(name: &str, version: &str) -> Self {
        let mut members = Map::new();
        members.insert("name".into(), name.into());
        members.insert("version".into(), version.into());
        Self { members, handles: Vec::new(), lifecycle: Vec::new() }
    }

    /// What it is for, in a sentence.
    #[must_use]
    pub fn description(self, text: &str) -> Self {
        self.with("description", text.into())
    }

    /// Claims a message type. `details` adds its schema and whatever else is to be said of it:
    ///
    /// ```
    /// # use schemars::JsonSchema;
    /// # use switchboard_sdk::Manifest;
    /// # #[derive(JsonSchema)] struct Search { text: String }
    /// let manifest = Manifest::new("search", "1.0.0")
    ///     .handles("search", |t| t.schema::<Search>().emits(["search_result"]).concurrent());
    /// assert_eq!(manifest.to_value()["handles"][0]["ordering"], "concurrent");
    /// ```
    #[must_use]
    pub fn handles(mut self, kind: &str, details: impl FnOnce(Handles) -> Handles) -> Self {
        self.handles.push(details(Handles::new("type", kind)).into_value());
        self
    }

    /// Claims all types that begin with `prefix` and that nobody claims exactly.
    #[must_use]
    pub fn handles_prefix(mut self, prefix: &str, details: impl FnOnce(Handles) -> Handles) -> Self {
        self.handles.push(details(Handles::new("prefix", prefix)).into_value());
        self
    }

    /// The type of its settings. The host refuses settings that do not fit, with the path, and keeps what it had.
    #[must_use]
    pub fn settings<S: JsonSchema>(self) -> Self {
        self.with("settings", schema_of::<S>())
    }

    /// The isolation it would like; without it, [`Isolation::Message`].
    #[must_use]
    pub fn isolation(self, isolation: Isolation) -> Self {
        let word = match isolation {
            Isolation::Message => "message",
            Isolation::Session => "session",
            Isolation::Shared => "shared",
        };
        self.with("isolation", word.into())
    }

    /// Says that it offers tools.
    #[must_use]
    pub fn tools(self) -> Self {
        self.with("tools", true.into())
    }

    /// Says that it offers resources.
    #[must_use]
    pub fn resources(self) -> Self {
        self.with("resources", true.into())
    }

    /// Says that it offers prompts.
    #[must_use]
    pub fn prompts(self) -> Self {
        self.with("prompts", true.into())
    }

    /// Says that it completes arguments of its prompts and resource templates.
    #[must_use]
    pub fn completions(self) -> Self {
        self.with("completions", true.into())
    }

    /// Asks for [`Plugin::on_connect`](crate::Plugin::on_connect).
    #[must_use]
    pub fn on_connect(mut self) -> Self {
        self.lifecycle.push("connect".into());
        self
    }

    /// Asks for [`Plugin::on_disconnect`](crate::Plugin::on_disconnect).
    #[must_use]
    pub fn on_disconnect(mut self) -> Self {
        self.lifecycle.push("disconnect".into());
        self
    }

    /// Asks for [`Plugin::on_event`](crate::Plugin::on_event) for topics that match (`*` is one level, `**`
    /// the rest).
    #[must_use]
    pub fn on_topic(mut self, pattern: &str) -> Self {
        self.lifecycle.push(json!({ "topic": pattern }));
        self
    }

    /// Any other member; the host ignores those that it does not know.
    #[must_use]
    pub fn with(mut self, member: &str, value: Value) -> Self {
        self.members.insert(member.into(), value);
        self
    }

    /// The JSON object.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut members = self.members.clone();
        members.insert("handles".into(), self.handles.clone().into());
        if !self.lifecycle.is_empty() {
            members.insert("lifecycle".into(), self.lifecycle.clone().into());
        }
        Value::Object(members)
    }
}

/// What is said of one message type, or one prefix.
#[derive(Debug, Clone, PartialEq)]
pub struct Handles {
    members: Map<String, Value>,
}

impl Handles {
    fn new(member: &str, name: &str) -> Self {
        let mut members = Map::new();
        members.insert(member.into(), name.into());
        Self { members }
    }

    /// The payload's schema, derived from its type. The host checks it before the plugin runs.
    #[must_use]
    pub fn schema<P: JsonSchema>(self) -> Self {
        self.with("schema", schema_of::<P>())
    }

    /// The payload's schema, by hand.
    #[must_use]
    pub fn schema_value(self, schema: Value) -> Self {
        self.with("schema", schema)
    }

    /// The types that it may answer with.
    #[must_use]
    pub fn emits<'a>(self, kinds: impl IntoIterator<Item = &'a str>) -> Self {
        let kinds: Vec<Value> = kinds.into_iter().map(Value::from).collect();
        self.with("emits", kinds.into())
    }

    /// What it is for, in a sentence.
    #[must_use]
    pub fn description(self, text: &str) -> Self {
        self.with("description", text.into())
    }

    /// Messages of one session may be handled at the same time, and overtake one another. Without it they are
    /// handled one after another in the order of their arrival.
    #[must_use]
    pub fn concurrent(self) -> Self {
        self.with("ordering", "concurrent".into())
    }

    fn with(mut self, member: &str, value: Value) -> Self {
        self.members.insert(member.into(), value);
        self
    }

    fn into_value(self) -> Value {
        Value::Object(self.members)
    }
}

/// Begins a [`Manifest`] with the name, version and description in the Cargo.toml of the crate that calls it.
#[macro_export]
macro_rules! manifest {
    () => {
        $crate::Manifest::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
            .description(env!("CARGO_PKG_DESCRIPTION"))
    };
}

/// A type's JSON Schema, without the `$schema` and `title` that say nothing to a reader of it.
pub(crate) fn schema_of<T: JsonSchema>() -> Value {
    let mut schema = schemars::schema_for!(T);
    schema.remove("$schema");
    schema.remove("title");
    schema.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_holds_what_the_contract_names() {
        #[derive(JsonSchema)]
        #[allow(dead_code, reason = "only its schema is wanted")]
        struct Search {
            /// What to look for.
            text: String,
        }
        let manifest = Manifest::new("search", "1.2.3")
            .description("Finds things")
            .handles("search", |t| t.schema::<Search>().emits(["found"]).concurrent().description("Looks"))
            .handles_prefix("search.", |t| t)
            .settings::<Search>()
            .isolation(Isolation::Shared)
            .tools()
            .on_connect()
            .on_disconnect()
            .on_topic("news.**");
        let schema = json!({
            "type": "object",
            "properties": { "text": { "type": "string", "description": "What to look for." } },
            "required": ["text"],
        });
        let expected = json!({
            "name": "search", "version": "1.2.3", "description": "Finds things",
            "handles": [
                { "type": "search", "schema": schema, "emits": ["found"], "ordering": "concurrent", "description": "Looks" },
                { "prefix": "search." },
            ],
            "settings": schema, "isolation": "shared", "tools": true,
            "lifecycle": ["connect", "disconnect", { "topic": "news.**" }],
        });
        assert_eq!(manifest.to_value(), expected);
    }
}
