//! What a client may send, and what a run makes of it.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

/// Members of an object that hold the request in words, in the order in which they are looked for.
const TEXT_MEMBERS: [&str; 6] = ["content", "text", "message", "prompt", "query", "input"];

#[derive(Deserialize, JsonSchema)]
pub(crate) struct UserMessage {
    /// What the user says.
    #[schemars(length(min = 1, max = 16384))]
    content: String,
    /// The conversation that it belongs to; left out, a new one begins.
    #[schemars(length(min = 1, max = 128))]
    thread_id: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct AgentRequest {
    /// The agent's name, if the client wants to be sure whom it asks.
    agent: Option<String>,
    /// What is asked.
    input: Input,
    /// The conversation that it belongs to; left out, a new one begins.
    #[schemars(length(min = 1, max = 128))]
    thread_id: Option<String>,
    /// The names of the tools that the run may use; left out, all of the caller's.
    #[schemars(length(max = 256))]
    tools: Option<Vec<String>>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
enum Input {
    Text(#[schemars(length(min = 1, max = 16384))] String),
    Object(Map<String, Value>),
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct AgentCancel {
    /// From the run's `agent_started`.
    #[schemars(length(min = 1, max = 128))]
    pub run_id: String,
}

/// A request in one form, whichever message it came in.
#[derive(Debug, PartialEq)]
pub(crate) struct Request {
    pub agent: Option<String>,
    pub text: String,
    pub thread_id: Option<String>,
    pub tools: Option<Vec<String>>,
}

impl From<UserMessage> for Request {
    fn from(UserMessage { content, thread_id }: UserMessage) -> Self {
        Self { agent: None, text: content, thread_id, tools: None }
    }
}

impl From<AgentRequest> for Request {
    fn from(AgentRequest { agent, input, thread_id, tools }: AgentRequest) -> Self {
        Self { agent, text: input.into_text(), thread_id, tools }
    }
}

impl Input {
    /// An object's own words, followed by its other members as JSON, in which tools find their arguments.
    fn into_text(self) -> String {
        let mut members = match self {
            Self::Text(text) => return text,
            Self::Object(members) => members,
        };
        let name = TEXT_MEMBERS.into_iter().find(|name| members.get(*name).is_some_and(Value::is_string));
        let words = name.and_then(|name| Some(members.remove(name)?.as_str()?.to_owned()));
        match words {
            Some(words) if members.is_empty() => words,
            Some(words) => format!("{words} {}", Value::Object(members)),
            None => Value::Object(members).to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(input: Value) -> String {
        Request::from(serde_json::from_value::<AgentRequest>(json!({ "input": input })).unwrap()).text
    }

    #[test]
    fn an_object_is_read_as_its_words_and_its_other_members() {
        assert_eq!(text(json!("hello")), "hello");
        assert_eq!(text(json!({ "text": "hello" })), "hello");
        assert_eq!(text(json!({ "text": "add", "a": 1 })), r#"add {"a":1}"#);
        assert_eq!(text(json!({ "a": 1 })), r#"{"a":1}"#);
    }
}
