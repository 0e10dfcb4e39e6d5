//! `text_statistics`: how long a text is, in every way that people ask for.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use switchboard_sdk::Context;

use crate::{number, offline::OfflineTool};

pub(crate) struct TextStatistics;

/// What most adults read silently without effort.
const WORDS_PER_MINUTE: usize = 240;

/// Enough to see what a text is about.
const FREQUENT_WORDS: usize = 5;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    /// The text to count.
    #[schemars(example = &"The quick brown fox. The lazy dog!")]
    text: String,
}

#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Answer {
    /// Unicode characters, spaces and line breaks included.
    characters: usize,
    /// Unicode characters that are no white space.
    characters_without_spaces: usize,
    /// Bytes in UTF-8.
    bytes: usize,
    /// Parts between white space that have a letter or a digit.
    words: usize,
    /// Different words, whatever their case.
    unique_words: usize,
    /// Parts that end with `.`, `!`, `?`, `…` or their likes, or with the text.
    sentences: usize,
    /// Lines, empty ones included.
    lines: usize,
    /// Blocks of lines between empty lines.
    paragraphs: usize,
    /// Letters and digits per word.
    average_word_length: f64,
    /// The time to read it silently.
    reading_seconds: usize,
    /// The most frequent words in lower case, the most frequent first.
    frequent_words: Vec<Frequency>,
}

#[derive(Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(inline)]
struct Frequency {
    word: String,
    count: usize,
}

impl OfflineTool for TextStatistics {
    const NAME: &'static str = "text_statistics";
    const TITLE: &'static str = "Text statistics";
    const DESCRIPTION: &'static str = "Count the words, characters, letters, sentences, lines and paragraphs of a text, \
        with its average word length, reading time and most frequent words. Use it for word count or text length \
        instead of counting yourself.";

    type Arguments = Arguments;
    type Answer = Answer;

    fn call(_ctx: &Context, Arguments { text }: Arguments) -> Result<(String, Answer), String> {
        let answer = count(&text);
        let Answer { words, characters, sentences, lines, paragraphs, .. } = &answer;
        let summary = format!(
            "words: {words}, characters: {characters}, sentences: {sentences}, lines: {lines}, paragraphs: {paragraphs}"
        );
        Ok((summary, answer))
    }
}

fn count(text: &str) -> Answer {
    let words: Vec<String> = text.split_whitespace().filter_map(word).collect();
    let letters: usize = words.iter().map(|word| word.chars().filter(|c| c.is_alphanumeric()).count()).sum();
    let frequencies = frequencies(&words);
    Answer {
        characters: text.chars().count(),
        characters_without_spaces: text.chars().filter(|c| !c.is_whitespace()).count(),
        bytes: text.len(),
        words: words.len(),
        unique_words: frequencies.len(),
        sentences: sentences(text),
        lines: text.lines().count(),
        paragraphs: paragraphs(text),
        average_word_length: if words.is_empty() { 0.0 } else { number::tidy(letters as f64 / words.len() as f64) },
        reading_seconds: (words.len() * 60).div_ceil(WORDS_PER_MINUTE),
        frequent_words: frequencies.into_iter().take(FREQUENT_WORDS).collect(),
    }
}

/// A word without the punctuation around it, in lower case.
fn word(part: &str) -> Option<String> {
    let word = part.trim_matches(|c: char| !c.is_alphanumeric());
    (!word.is_empty()).then(|| word.to_lowercase())
}

/// The most frequent first, words of the same frequency by the alphabet.
fn frequencies(words: &[String]) -> Vec<Frequency> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for word in words {
        *counts.entry(word).or_default() += 1;
    }
    let mut sorted: Vec<_> = counts.into_iter().collect();
    sorted.sort_unstable_by(|(a, a_count), (b, b_count)| b_count.cmp(a_count).then(a.cmp(b)));
    sorted.into_iter().map(|(word, count)| Frequency { word: word.to_owned(), count }).collect()
}

/// A full stop ends a sentence only before white space, so that 3.14 does not; the signs of Chinese and
/// Japanese, which write no spaces, end one anywhere.
fn sentences(text: &str) -> usize {
    let mut count = 0;
    let mut begun = false;
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        begun |= c.is_alphanumeric();
        let before_space = characters.peek().is_none_or(|next| next.is_whitespace() || "\"')]}”’»".contains(*next));
        if begun && ("。!?".contains(c) || before_space && ".!?…".contains(c)) {
            count += 1;
            begun = false;
        }
    }
    count + usize::from(begun)
}

fn paragraphs(text: &str) -> usize {
    let mut count = 0;
    let mut inside = false;
    for line in text.lines() {
        let blank = line.trim().is_empty();
        count += usize::from(!blank && !inside);
        inside = !blank;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_counted_in_every_way() {
        let answer = count("The fox, the dog!\nPi is 3.14.\n\n\"Über\" – is it? Yes");
        assert_eq!((answer.characters, answer.bytes, answer.characters_without_spaces), (50, 53, 38));
        assert_eq!((answer.words, answer.unique_words), (11, 9));
        assert_eq!((answer.sentences, answer.lines, answer.paragraphs), (4, 4, 2));
        assert_eq!(answer.frequent_words[0], Frequency { word: "is".into(), count: 2 });
        assert_eq!(answer.frequent_words[1], Frequency { word: "the".into(), count: 2 });
        assert_eq!(answer.reading_seconds, 3);
    }

    #[test]
    fn an_empty_text_is_all_zeros() {
        let answer = count("");
        assert_eq!(
            (answer.characters, answer.words, answer.sentences, answer.lines, answer.paragraphs),
            (0, 0, 0, 0, 0)
        );
        assert_eq!((answer.average_word_length, answer.reading_seconds), (0.0, 0));
    }

    #[test]
    fn sentences_end_where_readers_see_it() {
        assert_eq!(sentences("One... two?! Three"), 3);
        assert_eq!(sentences("He said \"No.\" Then left."), 2);
        assert_eq!(sentences("你好。世界。"), 2);
    }
}
