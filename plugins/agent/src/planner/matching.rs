//! How well a tool fits a clause: the words that both share, and the values that the tool can use.
//!
//! A tool that is named outright wins, and is asked for what is missing. Others have to have all that they
//! require.

use switchboard_sdk::HeardTool;

use super::{Call, Missing, Step, arguments, follow_up, words};

/// What a tool must reach to be called: half of its name, two telling words, or a value of a telling form.
const ENOUGH: f64 = 1.5;

/// What all words of a tool's name weigh together.
const NAME: f64 = 3.0;

/// More than anything else can reach.
const NAMED_OUTRIGHT: f64 = 1000.0;

/// Little words between those that chose a tool and the text that is meant for it.
const LEADING: [&str; 12] =
    ["in ", "of ", "for ", "about ", "the ", "this ", "text ", "with ", "on ", "to ", "that ", "are "];

/// The step for the tool that fits best, if one fits.
pub(super) fn best(clause: &str, tools: &[HeardTool]) -> Option<Step> {
    let clause = &follow_up::spoken_commands(clause);
    let spoken = words::stems(clause);
    let described: Vec<Vec<String>> = tools.iter().map(description).collect();
    let mut best: Option<(f64, Step)> = None;
    for (tool, description) in tools.iter().zip(&described) {
        let Some((score, step)) = judge(clause, &spoken, tool, description, &described) else { continue };
        if best.as_ref().is_none_or(|(highest, _)| score > *highest) {
            best = Some((score, step));
        }
    }
    best.map(|(_, step)| step)
}

fn description(tool: &HeardTool) -> Vec<String> {
    words::stems(&tool.description).into_iter().map(|(_, stem)| stem).collect()
}

fn judge(
    clause: &str,
    spoken: &[(usize, String)],
    tool: &HeardTool,
    description: &[String],
    all: &[Vec<String>],
) -> Option<(f64, Step)> {
    let outright = named_outright(clause, &tool.name);
    let name: Vec<String> = words::stems(&tool.name.replace('_', " ")).into_iter().map(|(_, stem)| stem).collect();
    let (mut score, mut end) = (0.0, outright.unwrap_or_default());
    for (at, (place, word)) in spoken.iter().enumerate() {
        let seen = spoken[..at].iter().any(|(_, before)| before == word);
        let weight = if name.contains(word) { NAME / name.len() as f64 } else { weight(word, description, all) };
        score += if seen { 0.0 } else { weight };
        // A text for the tool begins after the first row of words that chose it.
        if outright.is_none() && weight > 0.0 && at < 3 {
            end = *place;
        }
    }
    let filled = arguments::fill(tool, clause, without_leading_words(&clause[end..]));
    score += filled.score + outright.map_or(0.0, |_| NAMED_OUTRIGHT);
    if filled.missing.is_empty() && score >= ENOUGH {
        return Some((score, Step::Call(Call { tool: tool.name.clone(), arguments: filled.arguments })));
    }
    outright.map(|_| (score, Step::Missing(Missing { tool: tool.name.clone(), names: filled.missing })))
}

/// Rare words tell more than those that many tools use; early words more than late ones.
fn weight(word: &str, description: &[String], all: &[Vec<String>]) -> f64 {
    let Some(place) = description.iter().position(|described| described == word) else { return 0.0 };
    let others = all.iter().filter(|other| other.iter().any(|described| described == word)).count().max(1);
    (2.0 - place as f64 / description.len() as f64) / (others as f64).sqrt()
}

/// Where a tool's name ends in a clause. A name that is a plain word has to be the first one, or follow `use`.
fn named_outright(clause: &str, name: &str) -> Option<usize> {
    let at = words::find(clause, &name.to_ascii_lowercase())?;
    let before = clause[..at].trim_end_matches(|c: char| !c.is_alphanumeric()).to_ascii_lowercase();
    let unmistakable = name.contains(|c: char| !c.is_alphabetic());
    let called = ["use", "call", "run", "tool", "use the", "the tool"].iter().any(|word| before.ends_with(word));
    (unmistakable || before.is_empty() || called).then_some(at + name.len())
}

fn without_leading_words(text: &str) -> &str {
    let mut text = text.trim_start_matches(|c: char| !c.is_alphanumeric() && !"$/{[(\"".contains(c));
    while let Some(shorter) = LEADING.iter().find_map(|word| text.strip_prefix(word)) {
        text = shorter.trim_start();
    }
    text
}
