//! What the agent says, in friendly sentences; and the pieces in which it says it.

use switchboard_sdk::HeardTool;

use crate::{
    planner::{Call, Missing},
    thread::{Exchange, clipped},
};

/// The most of a tool's text that is repeated in an answer; the whole of it is in `tool_completed`.
const MAX_RESULT_BYTES: usize = 4 * 1024;

/// The most of a tool's arguments that is repeated in an answer.
const MAX_ARGUMENTS_BYTES: usize = 200;

/// How many tools a list names.
const MAX_LISTED: usize = 30;

/// The usual length of a piece, about a line.
const PIECE_BYTES: usize = 64;

/// A call has a limit of messages: of a long text the pieces are longer, not more.
const MAX_PIECES: usize = 16;

pub(crate) fn succeeded(call: &Call, text: &str) -> String {
    let text = clipped(text.trim(), MAX_RESULT_BYTES);
    let used = format!("I used the tool `{}` with {}", call.tool, arguments(call));
    match text.as_str() {
        "" => format!("{used}, and it succeeded without a text."),
        text if text.contains('\n') => format!("{used}, and the result is:\n{text}"),
        text => format!("{used}, and the result is: {text}"),
    }
}

pub(crate) fn failed(call: &Call, why: &str) -> String {
    let why = clipped(why.trim(), MAX_RESULT_BYTES);
    format!("I tried the tool `{}` with {}, but it failed: {why}", call.tool, arguments(call))
}

fn arguments(call: &Call) -> String {
    if call.arguments.is_empty() {
        return "no arguments".to_owned();
    }
    let named: Vec<String> = call.arguments.iter().map(|(name, value)| format!("{name} {value}")).collect();
    clipped(&named.join(", "), MAX_ARGUMENTS_BYTES)
}

pub(crate) fn missing(Missing { tool, names }: &Missing) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    format!("For the tool `{tool}` I also need {}, which I could not find in your request.", names.join(" and "))
}

pub(crate) fn too_many_steps(max_steps: usize) -> String {
    format!("I stopped there, because a run may call tools at most {max_steps} times.")
}

/// For a request that no tool fits.
pub(crate) fn tools_there_are(request: &str, tools: &[HeardTool]) -> String {
    let request = clipped(request.trim(), MAX_ARGUMENTS_BYTES);
    if tools.is_empty() {
        return format!("I found nothing that fits {request:?}: there are no tools that I may use here.");
    }
    let mut lines = vec![format!("I found no tool that fits {request:?}. These are the tools that I can use:")];
    lines.extend(tools.iter().take(MAX_LISTED).map(|tool| format!("- `{}`: {}", tool.name, first_words(tool))));
    if tools.len() > MAX_LISTED {
        lines.push(format!("- and {} more", tools.len() - MAX_LISTED));
    }
    lines.join("\n")
}

/// A description's first sentence, or as much of it as a list has room for.
fn first_words(tool: &HeardTool) -> String {
    let sentence = tool.description.split([':', '\n']).next().unwrap_or_default();
    clipped(sentence.split(". ").next().unwrap_or_default().trim_end_matches('.'), MAX_ARGUMENTS_BYTES / 2)
}

pub(crate) fn recalled(last: Option<&Exchange>) -> String {
    match last {
        Some(Exchange { asked, answered, .. }) => format!("Before this, you asked: {asked:?}. I answered: {answered}"),
        None => "This is the first message of this thread, so you asked nothing before.".to_owned(),
    }
}

/// Cuts a text into pieces that together are the text.
pub(crate) fn pieces(text: &str) -> Vec<&str> {
    let length = PIECE_BYTES.max(text.len().div_ceil(MAX_PIECES));
    let mut pieces = Vec::new();
    let mut rest = text;
    while rest.len() > length {
        let limit = rest.floor_char_boundary(length);
        let cut = rest[..limit].rfind(' ').map_or(limit, |space| space + 1);
        let (piece, after) = rest.split_at(cut);
        pieces.push(piece);
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(rest);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_together_are_the_text() {
        for text in ["", "short", &"some words that go on ".repeat(300), &"ä".repeat(5000)] {
            let pieces = pieces(text);
            assert_eq!(pieces.concat(), text);
            assert!(pieces.iter().all(|piece| !piece.is_empty()));
            assert!(pieces.len() <= 2 * MAX_PIECES, "{}", pieces.len());
        }
    }
}
