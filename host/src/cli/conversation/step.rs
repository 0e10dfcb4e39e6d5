//! The steps of a conversation, as they are read from its file. Every fault names its line.

use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};

use super::pattern;

/// A line that is a step.
#[derive(Debug)]
pub(crate) struct Line {
    pub number: usize,
    /// Whose connection is meant; without it, that of the line before.
    pub connection: Option<String>,
    /// Of the token, for the first line of a connection.
    pub claims: Option<Map<String, Value>>,
    pub action: Action,
}

/// What happens in a step.
#[derive(Debug)]
pub(crate) enum Action {
    /// Nothing but that the connection is there.
    Connect,
    /// A frame, as it goes out.
    Send(String),
    /// The next messages, in any order if there are several.
    Expect {
        messages: Vec<Value>,
        exact: bool,
    },
    CallTool {
        name: String,
        arguments: Value,
        outcome: Outcome,
        exact: bool,
    },
}

/// How a call of a tool ends.
#[derive(Debug)]
pub(crate) enum Outcome {
    Result(Value),
    /// That of the host, which tells why there is no result.
    Error(Value),
}

/// Why a file is no conversation.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {problem}")]
pub(crate) struct Fault {
    pub line: usize,
    pub problem: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(rename = "as")]
    connection: Option<String>,
    claims: Option<Map<String, Value>>,
    send: Option<Box<RawValue>>,
    expect: Option<Value>,
    expect_all: Option<Vec<Value>>,
    expect_error: Option<Value>,
    call_tool: Option<Call>,
    result: Option<Value>,
    error: Option<Value>,
    #[serde(default)]
    exact: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Call {
    name: String,
    #[serde(default)]
    arguments: Map<String, Value>,
}

/// Reads a whole conversation. Empty lines, and those that begin with `#`, are for people.
pub(crate) fn parse(text: &str) -> Result<Vec<Line>, Fault> {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty() && !line.trim().starts_with('#'));
    lines.map(|(number, line)| step(number, line).map_err(|problem| Fault { line: number, problem })).collect()
}

fn step(number: usize, line: &str) -> Result<Line, String> {
    let written: Written = serde_json::from_str(line).map_err(|fault| in_words(&fault))?;
    let Written { connection, claims, exact, .. } = &written;
    let (connection, claims, exact) = (connection.clone(), claims.clone(), *exact);
    let action = action(written)?;
    if claims.is_some() && connection.is_none() {
        return Err("`claims` are those of the connection that `as` names".to_owned());
    }
    if exact && !matches!(action, Action::Expect { .. } | Action::CallTool { .. }) {
        return Err("`exact` goes with what is expected".to_owned());
    }
    Ok(Line { number, connection, claims, action })
}

fn action(written: Written) -> Result<Action, String> {
    let Written { connection, send, expect, expect_all, expect_error, call_tool, result, error, exact, .. } = written;
    let mut actions = Vec::new();
    actions.extend(send.map(|frame| Action::Send(frame_of(&frame))));
    for messages in [expect.map(|one| vec![one]), expect_all, expect_error.map(|payload| vec![error_message(payload)])]
    {
        let Some(messages) = messages else { continue };
        messages.iter().try_for_each(message_pattern)?;
        actions.push(Action::Expect { messages, exact });
    }
    if let Some(Call { name, arguments }) = call_tool {
        let outcome = match (result, error) {
            (Some(result), None) => Outcome::Result(result),
            (None, Some(error)) => Outcome::Error(error),
            _ => return Err("`call_tool` goes with the `result` or the `error` that is expected".to_owned()),
        };
        let (Outcome::Result(expected) | Outcome::Error(expected)) = &outcome;
        pattern::check(expected)?;
        actions.push(Action::CallTool { name, arguments: Value::Object(arguments), outcome, exact });
    } else if result.is_some() || error.is_some() {
        return Err("`result` and `error` go with `call_tool`; an error message is `expect_error`".to_owned());
    }
    match (actions.pop(), actions.is_empty(), connection) {
        (Some(action), true, _) => Ok(action),
        (None, _, Some(_)) => Ok(Action::Connect),
        _ => Err(format!("a line is one step: {STEPS}")),
    }
}

const STEPS: &str = "`as`, `send`, `expect`, `expect_all`, `expect_error` or `call_tool`";

/// A text goes out as it is, so that a client that errs can be played, too.
fn frame_of(frame: &RawValue) -> String {
    serde_json::from_str::<String>(frame.get()).unwrap_or_else(|_| frame.get().to_owned())
}

fn error_message(payload: Value) -> Value {
    serde_json::json!({ "type": "error", "payload": payload })
}

fn message_pattern(message: &Value) -> Result<(), String> {
    if !message.is_object() {
        return Err(format!("a message is an object, such as {{\"type\":\"pong\"}}, and not {message}"));
    }
    pattern::check(message)
}

/// What serde says, without the place within a line that is a line of its own.
fn in_words(fault: &serde_json::Error) -> String {
    let text = fault.to_string();
    let text = text.split(" at line ").next().unwrap_or_default();
    if fault.is_data() {
        format!("{text}; a step is {STEPS}")
    } else {
        format!("it is not JSON: {text} (column {})", fault.column())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(line: &str) -> Action {
        parse(line).unwrap().pop().unwrap().action
    }

    #[test]
    fn every_kind_of_step_is_read() {
        let text =
            "# greets\n\n{\"as\":\"alice\",\"claims\":{\"scope\":\"a\"}}\n{\"send\":{\"type\":\"x\", \"n\":1.0}}\n";
        let lines = parse(text).unwrap();
        assert_eq!((lines[0].number, lines[0].connection.as_deref()), (3, Some("alice")));
        assert!(matches!(&lines[1].action, Action::Send(frame) if frame == r#"{"type":"x", "n":1.0}"#));
        assert!(matches!(one(r#"{"send":"{not json"}"#), Action::Send(frame) if frame == "{not json"));
        let Action::Expect { messages, exact: true } = one(r#"{"expect_error":{"code":"X"},"exact":true}"#) else {
            panic!("an expectation");
        };
        assert_eq!(messages[0]["type"], "error");
        assert!(
            matches!(one(r#"{"expect_all":[{"type":"a"},{"type":"b"}]}"#), Action::Expect { messages, .. } if messages.len() == 2)
        );
        let call = one(r#"{"call_tool":{"name":"add"},"error":{"code":"X"}}"#);
        assert!(matches!(call, Action::CallTool { outcome: Outcome::Error(_), .. }));
    }

    #[test]
    fn what_is_wrong_with_a_line_is_told_with_its_number() {
        for (line, words) in [
            ("{", "not JSON"),
            ("{}", "a line is one step"),
            (r#"{"sent":{}}"#, "unknown field `sent`"),
            (r#"{"send":{},"expect":{}}"#, "a line is one step"),
            (r#"{"expect":"pong"}"#, "a message is an object"),
            (r#"{"expect":{"payload":"$uuid"}}"#, "no wildcard"),
            (r#"{"call_tool":{"name":"a"}}"#, "`result` or the `error`"),
            (r#"{"as":"a","result":{}}"#, "go with `call_tool`"),
            (r#"{"claims":{},"send":{}}"#, "`as` names"),
            (r#"{"send":{},"exact":true}"#, "`exact` goes with"),
        ] {
            let fault = parse(&format!("\n{line}")).expect_err(line).to_string();
            assert!(fault.starts_with("line 2: ") && fault.contains(words), "{line}: {fault}");
        }
    }
}
