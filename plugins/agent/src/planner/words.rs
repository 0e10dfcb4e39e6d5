//! Words, without what grammar does to them.

/// Words that say nothing about what is wanted.
const EMPTY_WORDS: &[&str] = &[
    "a", "about", "all", "an", "and", "are", "as", "at", "be", "by", "can", "could", "did", "do", "does", "for",
    "from", "get", "give", "has", "have", "how", "i", "if", "in", "into", "is", "it", "its", "let", "like", "me", "my",
    "of", "on", "one", "or", "our", "please", "return", "returns", "some", "tell", "than", "that", "the", "them",
    "then", "there", "these", "this", "to", "use", "want", "was", "we", "what", "when", "which", "will", "with",
    "would", "you", "your",
];

/// The words of a text with the places where they end.
pub(super) fn words(text: &str) -> Vec<(usize, &str)> {
    let mut words = Vec::new();
    let mut begin = None;
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        match (begin, c.is_alphanumeric()) {
            (None, true) => begin = Some(at),
            (Some(start), false) => {
                words.push((at, &text[start..at]));
                begin = None;
            }
            _ => {}
        }
    }
    words
}

/// The stems of all words that mean something and are no numbers, in order, with the places where they end.
pub(super) fn stems(text: &str) -> Vec<(usize, String)> {
    let telling = |word: &str| word.chars().any(char::is_alphabetic) && !EMPTY_WORDS.contains(&word);
    let lower = words(text).into_iter().map(|(end, word)| (end, word.to_lowercase()));
    lower.filter(|(_, word)| telling(word)).map(|(end, word)| (end, stem(&word))).collect()
}

/// Roughly what stays of a word in all of its forms.
fn stem(word: &str) -> String {
    let endings =
        ["ations", "ation", "ators", "ator", "ating", "ates", "ated", "ate", "ings", "ing", "ies", "es", "ed"];
    let shorter =
        endings.iter().find_map(|ending| word.strip_suffix(ending)).or_else(|| word.strip_suffix(['s', 'e', 'y']));
    shorter.filter(|stem| stem.len() >= 3).unwrap_or(word).to_owned()
}

/// Whether a text contains a word or several in a row, as whole words of any case.
pub(super) fn contains(text: &str, wanted: &str) -> bool {
    find(text, wanted).is_some()
}

/// Where the first of such words begins.
pub(super) fn find(text: &str, wanted: &str) -> Option<usize> {
    let lower = text.to_ascii_lowercase();
    let edge = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && c != '_');
    lower
        .match_indices(wanted)
        .map(|(at, _)| at)
        .find(|at| edge(lower[..*at].chars().next_back()) && edge(lower[*at + wanted.len()..].chars().next()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_a_word_have_one_stem() {
        for forms in [["calculate", "calculator"], ["convert", "converting"], ["days", "day"], ["queries", "query"]] {
            assert_eq!(stem(forms[0]), stem(forms[1]), "{forms:?}");
        }
    }

    #[test]
    fn only_whole_words_are_found() {
        assert_eq!(find("Untie it, then until now", "until"), Some(15));
        assert!(!contains("wait_slowly", "wait"));
    }
}
