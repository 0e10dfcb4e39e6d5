//! Clauses that refer to what came before: `and times 3?`, `convert that to miles`, `what about 10 kg?`.

use switchboard_sdk::HeardTool;

use super::{Call, Step, arguments, expression, matching, words};
use crate::thread::Used;

/// How such a clause may begin.
const BEGINNINGS: [&str; 8] =
    ["and ", "then ", "now ", "what about ", "how about ", "what is ", "same for ", "the same for "];

/// Words for the result before.
const REFERENCES: [&str; 6] = ["the result", "the answer", "that", "this", "it", "result"];

/// Questions about the thread itself.
const PAST: [&str; 8] = [
    "did i ask",
    "did i say",
    "did i just",
    "i asked before",
    "my last question",
    "my previous question",
    "previous message",
    "last message",
];

pub(super) fn asks_for_the_past(clause: &str) -> bool {
    PAST.iter().any(|words| words::contains(clause, words))
}

/// Whether a clause cannot be understood alone: it begins with an operator, or has a word in place of a number.
pub(super) fn refers_back(clause: &str) -> bool {
    begins_with_operator(stripped(clause)).is_some()
        || with_number(clause, "1").is_some_and(|text| changes_the_sense(&text))
}

/// The call that such a clause means after this one.
pub(crate) fn follow_up(clause: &str, tools: &[HeardTool], last: Option<&Used>) -> Option<Call> {
    let last = last?;
    let number = last.number.as_deref();
    let continued = begins_with_operator(stripped(clause)).zip(number);
    let spelled = match continued {
        Some(((sign, length), number)) => Some(format!("({number}) {sign} {}", &stripped(clause)[length..])),
        None => number.and_then(|number| with_number(clause, number)).filter(|text| changes_the_sense(text)),
    };
    let best = spelled.and_then(|text| matching::best(&text, tools));
    match best {
        Some(Step::Call(call)) => Some(call),
        _ => again(clause, tools, last),
    }
}

/// The same tool with what is new in the clause, and all else as it was.
fn again(clause: &str, tools: &[HeardTool], last: &Used) -> Option<Call> {
    let lower = clause.trim_start().to_ascii_lowercase();
    if !BEGINNINGS.iter().any(|beginning| lower.starts_with(beginning)) {
        return None;
    }
    let tool = tools.iter().find(|tool| tool.name == last.tool)?;
    let found = arguments::fill(tool, stripped(clause), stripped(clause).trim_end_matches('?'));
    if found.arguments.is_empty() || found.score < 0.0 {
        return None;
    }
    let mut arguments = last.arguments.clone();
    // A date that was only assumed does not replace one that was given.
    arguments.extend(found.arguments.into_iter().filter(|(_, value)| value.as_str() != Some("today")));
    Some(Call { tool: last.tool.clone(), arguments })
}

fn stripped(clause: &str) -> &str {
    let mut rest = clause.trim_start();
    while let Some(shorter) = BEGINNINGS.iter().find_map(|beginning| {
        let fits = rest.get(..beginning.len()).is_some_and(|start| start.eq_ignore_ascii_case(beginning));
        fits.then(|| rest[beginning.len()..].trim_start())
    }) {
        rest = shorter;
    }
    rest
}

/// An operator with an operand after it. A minus right before a digit is a sign.
fn begins_with_operator(clause: &str) -> Option<(&'static str, usize)> {
    let (sign, length) = expression::operator(clause)?;
    let rest = &clause[length..];
    let is_sign = sign == "-" && rest.starts_with(|c: char| c.is_ascii_digit());
    let operand = sign.contains(|c: char| c.is_ascii_digit()) || expression::read(rest.trim_start()).is_some();
    (!is_sign && operand).then_some((sign, length))
}

/// The clause with the result in place of the word for it.
fn with_number(clause: &str, number: &str) -> Option<String> {
    let (at, word) = REFERENCES.iter().find_map(|word| Some((words::find(clause, word)?, word)))?;
    Some(format!("{}{number}{}", &clause[..at], &clause[at + word.len()..]))
}

/// Whether the number is calculated with, or converted, in the place where it was put.
fn changes_the_sense(text: &str) -> bool {
    let spelled = spoken_commands(text);
    let calculates =
        super::fragments::find(&spelled).iter().any(|found| found.kind == super::fragments::Kind::Expression);
    calculates || words::contains(text, "convert")
}

/// `multiply 3 by 4`, `divide 3 by 4`, `add 3 to 4` and `subtract 3 from 4`, spelled as arithmetic.
pub(super) fn spoken_commands(text: &str) -> String {
    for (verb, connector, sign) in
        [("multiply", "by", "*"), ("divide", "by", "/"), ("add", "to", "+"), ("subtract", "from", "-")]
    {
        let Some(verb_at) = words::find(text, verb) else { continue };
        let after = &text[verb_at + verb.len()..];
        let Some(at) = words::find(after, connector) else { continue };
        let (first, second) = (after[..at].trim(), after[at + connector.len()..].trim());
        let second = second.trim_end_matches(['?', '!', '.']);
        let is_operand = |text: &str| expression::read(text).is_some_and(|found| found.length == text.len());
        if !is_operand(first) || !is_operand(second) {
            continue;
        }
        let before = &text[..verb_at];
        return match sign {
            "-" => format!("{before}({second}) - ({first})"),
            _ => format!("{before}({first}) {sign} ({second})"),
        };
    }
    text.to_owned()
}
