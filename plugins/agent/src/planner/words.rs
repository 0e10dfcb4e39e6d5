//! Which words a request and a tool share, and how much that says.

use std::collections::BTreeSet;

use serde_json::Value;
use switchboard_sdk::HeardTool;

/// What a word of the tool's name, of its description and of its parameters' names is worth.
const NAME: u32 = 3;
const DESCRIPTION: u32 = 2;
const PARAMETER: u32 = 1;
/// For a request that names the tool itself.
const NAMED: u32 = 20;

/// Words that say nothing of the subject.
const EMPTY: &[&str] = &[
    "a", "about", "an", "and", "any", "are", "as", "at", "be", "by", "can", "could", "do", "does", "each", "for",
    "from", "give", "have", "how", "i", "in", "is", "it", "its", "many", "me", "much", "my", "of", "on", "one", "or",
    "please", "return", "such", "tell", "that", "the", "then", "there", "this", "to", "two", "use", "value", "was",
    "we", "what", "when", "which", "will", "with", "would", "you", "your",
];

/// The words of a text that say something, in their shortest form.
pub(super) fn of(text: &str) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    let mut word = String::new();
    let mut was_lower = false;
    // The space ends the last word.
    for c in text.chars().chain([' ']) {
        // `camelCase` is two words.
        if !c.is_alphanumeric() || (was_lower && c.is_uppercase()) {
            let whole = std::mem::take(&mut word).to_lowercase();
            let telling = whole.len() > 1 && !EMPTY.contains(&whole.as_str());
            if telling && !whole.bytes().all(|byte| byte.is_ascii_digit()) {
                words.insert(stem(&whole));
            }
        }
        if c.is_alphanumeric() {
            word.push(c);
        }
        was_lower = c.is_lowercase();
    }
    words
}

/// English endings that hide that two words are one: `counts`, `counting`, `conversion`, `calculator`.
fn stem(word: &str) -> String {
    for ending in [
        "ations", "ation", "ator", "ating", "ated", "ates", "ate", "ings", "ing", "ions", "ion", "ies", "es", "ed",
        "s", "e", "y",
    ] {
        if let Some(stem) = word.strip_suffix(ending)
            && stem.len() >= 3
        {
            return stem.to_owned();
        }
    }
    word.to_owned()
}

/// How well a tool fits a request by its words, and which they share.
pub(super) fn score(wanted: &BTreeSet<String>, request: &str, tool: &HeardTool) -> (u32, Vec<String>) {
    let (name, description) = (of(&tool.name), of(&tool.description));
    let parameters: BTreeSet<String> = properties(&tool.input_schema).flat_map(of).collect();
    let mut score = 0;
    let mut shared = Vec::new();
    for word in wanted {
        let worth = u32::from(name.contains(word)) * NAME
            + u32::from(description.contains(word)) * DESCRIPTION
            + u32::from(parameters.contains(word)) * PARAMETER;
        if worth > 0 {
            score += worth;
            shared.push(format!("\"{word}\""));
        }
    }
    let names_it = request.split(|c: char| !(c.is_alphanumeric() || "_-.".contains(c))).any(|word| word == tool.name);
    (score + u32::from(names_it) * NAMED, shared)
}

fn properties(schema: &Value) -> impl Iterator<Item = &str> {
    schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_in_names_and_in_prose() {
        let words = of("convertUnits text_statistics: Please count the 42 words!");
        let expected = ["convert", "count", "statistic", "text", "unit", "word"];
        assert_eq!(words.iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn words_of_one_family_are_the_same() {
        for family in [["calculate", "calculator"], ["dates", "date"], ["convert", "converting"], ["queries", "query"]]
        {
            assert_eq!(stem(family[0]), stem(family[1]), "{family:?}");
        }
    }
}
