//! The embedded planner: no model, no network, no surprise. It matches a request against what the tools
//! say of themselves, and takes arguments out of the request's own words.
//!
//! It knows no tool by name. A tool fits if its name, description and parameters share words with the request,
//! and if each parameter that it requires can be filled.

mod arguments;
mod facts;
mod words;

use serde_json::{Map, Value};
use switchboard_sdk::HeardTool;

use arguments::Filled;
use facts::Facts;

pub(crate) use facts::{Days, days_around};

/// Below this, a tool shares no more with a request than chance would have it.
const LEAST_SCORE: u32 = 4;
/// Tools that are named when none fits.
const SHOWN_TOOLS: usize = 8;

/// What to do about one step.
#[derive(Debug, PartialEq)]
pub(crate) enum Choice {
    /// A tool fits.
    Call(Plan),
    /// A tool would fit, but the request lacks something.
    Missing { tool: String, parameters: Vec<String> },
    /// No tool fits.
    Nothing,
}

/// A call.
#[derive(Debug, PartialEq)]
pub(crate) struct Plan {
    pub tool: String,
    pub arguments: Map<String, Value>,
    /// The words that the tool and the request share.
    pub shared: Vec<String>,
}

/// The best tool for a step.
pub(crate) fn choose(step: &str, tools: &[HeardTool], days: &Days) -> Choice {
    let facts = Facts::of(step, days);
    let wanted = words::of(step);
    let mut best: Option<(u32, Plan)> = None;
    let mut nearest: Option<(u32, &HeardTool, Vec<String>)> = None;
    for tool in tools {
        let (score, shared) = words::score(&wanted, step, tool);
        let Filled { arguments, evidence, missing } = arguments::fill(&tool.input_schema, &facts);
        if !missing.is_empty() {
            // Without its arguments a tool is only worth mentioning if the request all but names it.
            if score >= LEAST_SCORE && nearest.as_ref().is_none_or(|(other, ..)| score > *other) {
                nearest = Some((score, tool, missing));
            }
            continue;
        }
        let total = score + evidence;
        // Of equally good tools the first: the list's order is the host's, and always the same.
        if total >= LEAST_SCORE && best.as_ref().is_none_or(|(other, _)| total > *other) {
            best = Some((total, Plan { tool: tool.name.clone(), arguments, shared }));
        }
    }
    match (best, nearest) {
        (Some((score, _)), Some((other, tool, parameters))) if other > score + LEAST_SCORE => {
            Choice::Missing { tool: tool.name.clone(), parameters }
        }
        (Some((_, plan)), _) => Choice::Call(plan),
        (None, Some((_, tool, parameters))) => Choice::Missing { tool: tool.name.clone(), parameters },
        (None, None) => Choice::Nothing,
    }
}

/// The request's steps: what `then`, a semicolon or a new line separates, outside of quotations and brackets.
pub(crate) fn steps(input: &str, most: usize) -> Vec<String> {
    let mut steps = vec![String::new()];
    let mut depth = 0_u32;
    let mut quoted = false;
    for word in input.split_inclusive([' ', ';', '\n']) {
        let separates = depth == 0 && !quoted;
        let (bare, end) =
            (word.trim_end_matches([' ', ';', '\n']), word.trim_start_matches(|c| !matches!(c, ';' | '\n')));
        quoted ^= bare.matches('"').count() % 2 == 1;
        depth += u32::try_from(bare.matches(['{', '[']).count()).unwrap_or_default();
        depth = depth.saturating_sub(u32::try_from(bare.matches(['}', ']']).count()).unwrap_or_default());
        let is_then = separates && bare.trim_matches(',').eq_ignore_ascii_case("then");
        if !is_then && let Some(step) = steps.last_mut() {
            step.push_str(word);
        }
        if is_then || (!end.is_empty() && depth == 0 && !quoted) {
            steps.push(String::new());
        }
    }
    let tidy = |step: &String| step.trim().trim_end_matches([',', ';']).trim_end_matches(" and").trim().to_owned();
    let mut steps: Vec<String> = steps.iter().map(tidy).filter(|step| !step.is_empty()).collect();
    steps.truncate(most);
    steps
}

/// Whether the request is only that the one before be repeated.
pub(crate) fn asks_to_repeat(input: &str) -> bool {
    let plain = input.trim().trim_end_matches(['.', '!', '?']).to_lowercase();
    matches!(plain.as_str(), "again" | "repeat" | "repeat that" | "once more" | "do it again" | "do that again")
}

/// The step with what "that" stands for.
pub(crate) fn with_last_result(step: &str, last: Option<&str>) -> String {
    let Some(last) = last else { return step.to_owned() };
    let pronoun = |word: &str| matches!(word.to_lowercase().as_str(), "that" | "it" | "this" | "result");
    let words = step.split(' ').map(|word| if pronoun(word) { last } else { word });
    words.collect::<Vec<_>>().join(" ")
}

/// What it thinks, in a sentence.
pub(crate) fn explain(choice: &Choice) -> String {
    match choice {
        Choice::Call(Plan { tool, shared, .. }) if shared.is_empty() => {
            format!("`{tool}` takes what the request holds.")
        }
        Choice::Call(Plan { tool, shared, .. }) => format!("`{tool}` fits: it shares {}.", shared.join(", ")),
        Choice::Missing { tool, parameters } => {
            format!("`{tool}` would fit, but the request lacks {}.", parameters.join(", "))
        }
        Choice::Nothing => "No tool fits the request.".to_owned(),
    }
}

/// What the user is told when nothing is called.
pub(crate) fn apologise(choice: &Choice, tools: &[HeardTool]) -> String {
    if let Choice::Missing { tool, parameters } = choice {
        return format!("I would use `{tool}`, but I do not find its {} in what you wrote.", parameters.join(", "));
    }
    if tools.is_empty() {
        return "I can only use tools, and there are none for you at the moment.".to_owned();
    }
    let mut names: Vec<String> = tools.iter().take(SHOWN_TOOLS).map(|tool| format!("`{}`", tool.name)).collect();
    if tools.len() > SHOWN_TOOLS {
        names.push(format!("{} more", tools.len() - SHOWN_TOOLS));
    }
    format!("I can only use tools, and none of them fits. There are {}.", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_cut_into_steps_outside_of_quotations_and_brackets() {
        for (input, expected) in [
            ("add 1 + 2", vec!["add 1 + 2"]),
            ("add 1 + 2 and then convert it; stop", vec!["add 1 + 2", "convert it", "stop"]),
            ("first\nsecond\n\nthird", vec!["first", "second", "third"]),
            ("count \"one; then two\" then stop", vec!["count \"one; then two\"", "stop"]),
            ("look in {\"a\": \"x; y\"} for $.a", vec!["look in {\"a\": \"x; y\"} for $.a"]),
            (" ; ", vec![]),
        ] {
            assert_eq!(steps(input, 8), expected, "{input}");
        }
        assert_eq!(steps("a; b; c", 2).len(), 2);
    }

    #[test]
    fn pronouns_stand_for_the_last_result() {
        assert_eq!(with_last_result("convert that to km", Some("5")), "convert 5 to km");
        assert_eq!(with_last_result("convert that to km", None), "convert that to km");
    }

    #[test]
    fn a_wish_to_repeat_is_understood() {
        assert!(asks_to_repeat("Again!") && asks_to_repeat("repeat that"));
        assert!(!asks_to_repeat("add 1 again"));
    }
}
