//! Conversations as the documentation shows them: how a `transcript` block is read, and when a frame is
//! what a line of it shows. docs/protocol.md describes the format to its readers; this is the other side.
//!
//! Nothing here speaks to a server: `protocol_page.rs` does.

use std::collections::HashMap;

use serde_json::{Map, Value};

/// In an object or array that was read: there may be more than is shown.
const MORE: &str = "...";

/// Values that a transcript has given a name.
pub type Captures = HashMap<String, Value>;

/// One fenced block.
#[derive(Debug)]
pub struct Block {
    /// Of the fence, within the page.
    pub line: usize,
    /// Lines for the server's configuration.
    pub config: String,
    pub steps: Vec<Step>,
}

#[derive(Debug)]
pub struct Step {
    /// Within the page.
    pub line: usize,
    /// Empty where the block names none.
    pub client: String,
    pub action: Action,
}

#[derive(Debug, PartialEq)]
pub enum Action {
    Connect(Connect),
    /// `->`
    Send(Value),
    /// `<-`
    Receive(Value),
    /// The connection breaks without a close frame.
    Cut,
    /// The client closes.
    Close(u16),
    /// The server closes.
    Closed(u16),
    /// Nothing that is not shown has arrived.
    Nothing,
    Http {
        method: String,
        path: String,
        user: Option<String>,
        status: u16,
    },
    /// The server gets SIGTERM.
    Terminate,
    /// The server gets SIGKILL.
    Kill,
    /// On the same folder, when it has ended.
    StartAgain,
}

#[derive(Debug, Default, PartialEq)]
pub struct Connect {
    pub user: Option<String>,
    pub subprotocol: Option<String>,
    /// As it stands in the line, which may be the name of a value.
    pub ticket: Option<String>,
    /// Seconds that the token is good for.
    pub token_life: Option<u64>,
    /// The status of a refusal.
    pub refused: Option<u16>,
}

/// With their numbers within the page.
type Lines<'page> = Vec<(usize, &'page str)>;

/// All `transcript` blocks of a page.
///
/// # Errors
///
/// What cannot be read, with its line.
pub fn blocks_of(page: &str) -> Result<Vec<Block>, String> {
    let mut blocks = Vec::new();
    let mut fence: Option<(&str, usize, Lines<'_>)> = None;
    for (index, text) in page.lines().enumerate() {
        let line = index + 1;
        match (&mut fence, text.strip_prefix("```")) {
            (None, Some(language)) => fence = Some((language.trim(), line, Vec::new())),
            (None, None) => {}
            (Some(_), Some(_)) => {
                if let Some(("transcript", line, lines)) = fence.take() {
                    blocks.push(block(line, lines)?);
                }
            }
            (Some((_, _, lines)), None) => lines.push((line, text)),
        }
    }
    match fence {
        Some((_, line, _)) => Err(format!("line {line}: the fence is not closed")),
        None => Ok(blocks),
    }
}

fn block(line: usize, lines: Lines<'_>) -> Result<Block, String> {
    let mut joined: Vec<(usize, String)> = Vec::new();
    for (line, text) in lines {
        match joined.last_mut() {
            _ if text.trim().is_empty() || text.starts_with('#') => {}
            Some((_, begun)) if text.starts_with(' ') => begun.push_str(text),
            _ => joined.push((line, text.to_owned())),
        }
    }
    let mut block = Block { line, config: String::new(), steps: Vec::new() };
    for (line, text) in joined {
        if let Some(setting) = text.strip_prefix("== server with ") {
            // One line of the page is two lines of the file: the section, and the setting in it.
            block.config.push_str(&setting.replacen("] ", "]\n", 1));
            block.config.push('\n');
            continue;
        }
        block.steps.push(step(line, &text).map_err(|problem| format!("line {line}: {problem}: {text}"))?);
    }
    if block.steps.is_empty() {
        return Err(format!("line {line}: the transcript is empty"));
    }
    Ok(block)
}

fn step(line: usize, text: &str) -> Result<Step, String> {
    let arrows = ["->", "<-", "=="];
    let place = arrows.iter().filter_map(|arrow| text.find(arrow)).min().ok_or("neither `->`, `<-` nor `==`")?;
    let (client, rest) = (text[..place].trim().to_owned(), text[place + 2..].trim());
    if !client.chars().all(|c| c.is_ascii_alphanumeric()) {
        return Err(format!("{client:?} is no name of a client"));
    }
    let action = match &text[place..place + 2] {
        "->" => Action::Send(json(rest).and_then(|json| closed(&json).map(|()| json))?),
        "<-" => Action::Receive(json(rest)?),
        _ => event(rest)?,
    };
    Ok(Step { line, client, action })
}

fn event(text: &str) -> Result<Action, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let number = |text: &str| text.parse::<u16>().map_err(|_| format!("{text:?} is no code"));
    match words[..] {
        ["cut"] => Ok(Action::Cut),
        ["close", code] => Ok(Action::Close(number(code)?)),
        ["closed", code] => Ok(Action::Closed(number(code)?)),
        ["nothing"] => Ok(Action::Nothing),
        ["server", "SIGTERM"] => Ok(Action::Terminate),
        ["server", "SIGKILL"] => Ok(Action::Kill),
        ["server", "starts", "again"] => Ok(Action::StartAgain),
        ["http", method, path, status] => http(method, path, None, number(status)?),
        ["http", method, path, "as", user, status] => http(method, path, Some(user), number(status)?),
        ["connect", ref options @ ..] => connect(options).map(Action::Connect),
        _ => Err("not an event of transcripts".into()),
    }
}

fn http(method: &str, path: &str, user: Option<&str>, status: u16) -> Result<Action, String> {
    Ok(Action::Http { method: method.into(), path: path.into(), user: user.map(Into::into), status })
}

fn connect(options: &[&str]) -> Result<Connect, String> {
    let mut connect = Connect::default();
    let mut rest = options;
    while !rest.is_empty() {
        rest = match rest {
            ["as", user, rest @ ..] => {
                connect.user = Some((*user).to_owned());
                rest
            }
            ["with", "subprotocol", name, rest @ ..] => {
                connect.subprotocol = Some((*name).to_owned());
                rest
            }
            ["with", "ticket", ticket, rest @ ..] => {
                connect.ticket = Some((*ticket).to_owned());
                rest
            }
            ["with", "a", "token", "of", seconds, "s", rest @ ..] => {
                connect.token_life = Some(seconds.parse().map_err(|_| format!("{seconds:?} is no number"))?);
                rest
            }
            ["refused", status] => {
                connect.refused = Some(status.parse().map_err(|_| format!("{status:?} is no status"))?);
                &[]
            }
            _ => return Err(format!("{:?} is no option of `connect`", rest.join(" "))),
        };
    }
    Ok(connect)
}

/// JSON in which `...` may stand for what is not shown.
fn json(text: &str) -> Result<Value, String> {
    let mut strict = String::with_capacity(text.len());
    let mut open = Vec::new();
    let (mut in_string, mut escaped) = (false, false);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if !in_string && rest.starts_with(MORE) {
            strict.push_str(if open.last() == Some(&'{') { r#""...":true"# } else { r#""...""# });
            rest = &rest[MORE.len()..];
            continue;
        }
        match c {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '"' => in_string = !in_string,
            '{' | '[' if !in_string => open.push(c),
            '}' | ']' if !in_string => drop(open.pop()),
            _ => {}
        }
        strict.push(c);
        rest = &rest[c.len_utf8()..];
    }
    serde_json::from_str(&strict).map_err(|problem| format!("not JSON ({problem})"))
}

/// Whether a frame to be sent says everything.
fn closed(value: &Value) -> Result<(), String> {
    match value {
        Value::Object(fields) if fields.contains_key(MORE) => Err("what is sent is shown whole".into()),
        Value::Object(fields) => fields.values().try_for_each(closed),
        Value::Array(items) => items.iter().try_for_each(closed),
        _ => Ok(()),
    }
}

/// The frame for a line, with values in the place of their names. `token` makes a token for a user.
///
/// # Errors
///
/// When a name has no value.
pub fn filled(line: &Value, captures: &Captures, token: &dyn Fn(&str) -> String) -> Result<Value, String> {
    Ok(match line {
        Value::String(text) => match text.strip_prefix('$') {
            None => line.clone(),
            Some(name) => match name.strip_prefix("token of ") {
                Some(user) => Value::String(token(user)),
                None => captures.get(name).cloned().ok_or_else(|| format!("${name} has no value yet"))?,
            },
        },
        Value::Array(items) => {
            Value::Array(items.iter().map(|item| filled(item, captures, token)).collect::<Result<_, _>>()?)
        }
        Value::Object(fields) => {
            let filled = |(name, value): (&String, &Value)| Ok((name.clone(), filled(value, captures, token)?));
            Value::Object(fields.iter().map(filled).collect::<Result<Map<_, _>, String>>()?)
        }
        _ => line.clone(),
    })
}

/// Whether a frame is what a line shows. Names without a value get theirs.
///
/// # Errors
///
/// The place of the first difference.
pub fn compare(line: &Value, found: &Value, captures: &mut Captures) -> Result<(), String> {
    compare_at("", line, found, captures)
}

fn compare_at(at: &str, line: &Value, found: &Value, captures: &mut Captures) -> Result<(), String> {
    match (line, found) {
        (Value::String(text), _) if text == "$_" => Ok(()),
        (Value::String(text), _) if text.starts_with('$') => match captures.get(&text[1..]) {
            Some(value) if value == found => Ok(()),
            Some(value) => Err(format!("{at}: {text} is {value}, and not {found}")),
            None => {
                captures.insert(text[1..].to_owned(), found.clone());
                Ok(())
            }
        },
        (Value::String(text), Value::String(other)) => match text.strip_suffix(MORE) {
            Some(beginning) if other.starts_with(beginning) => Ok(()),
            _ if text == other => Ok(()),
            _ => Err(format!("{at}: {text:?} is shown, and {other:?} came")),
        },
        (Value::Object(shown), Value::Object(came)) => compare_objects(at, shown, came, captures),
        (Value::Array(shown), Value::Array(came)) => {
            *captures = compare_arrays(shown, came, captures)
                .ok_or_else(|| format!("{at}: {line} is shown, and {found} came"))?;
            Ok(())
        }
        // 25000 and 25000.0 are the same number to every reader of JSON.
        (Value::Number(shown), Value::Number(came)) if shown.as_f64() == came.as_f64() => Ok(()),
        _ if line == found => Ok(()),
        _ => Err(format!("{at}: {line} is shown, and {found} came")),
    }
}

fn compare_objects(
    at: &str,
    shown: &Map<String, Value>,
    came: &Map<String, Value>,
    captures: &mut Captures,
) -> Result<(), String> {
    let (names, others): (Vec<_>, Vec<_>) =
        shown.iter().filter(|(name, _)| *name != MORE).partition(|(_, v)| is_name(v));
    // Fields have no order here, so what gives a name its value comes before what may look for that value.
    for (name, value) in names.into_iter().chain(others) {
        let found = came.get(name).ok_or_else(|| format!("{at}/{name} is shown, and is not there"))?;
        compare_at(&format!("{at}/{name}"), value, found, captures)?;
    }
    match came.keys().find(|name| !shown.contains_key(*name)) {
        Some(name) if !shown.contains_key(MORE) => Err(format!("{at}/{name} is there, and is not shown")),
        _ => Ok(()),
    }
}

fn is_name(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.starts_with('$'))
}

/// `...` stands for any items. Returns the values with those that were named here.
fn compare_arrays(shown: &[Value], came: &[Value], captures: &Captures) -> Option<Captures> {
    match shown.split_first() {
        None => came.is_empty().then(|| captures.clone()),
        Some((first, rest)) if first == MORE => {
            (0..=came.len()).find_map(|skip| compare_arrays(rest, &came[skip..], captures))
        }
        Some((first, rest)) => {
            let mut named = captures.clone();
            compare_at("", first, came.first()?, &mut named).ok()?;
            compare_arrays(rest, &came[1..], &named)
        }
    }
}
