//! What in a text is a value: JSON, quoted text, dates, time zones, paths, arithmetic and numbers.

use serde_json::Value;

use super::expression;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fragment {
    pub kind: Kind,
    /// As a tool would want it: without quotes, with signs for words.
    pub text: String,
    pub start: usize,
    pub end: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// An object or an array.
    Json(Value),
    Quoted,
    /// In the form of ISO 8601, or a word such as `today`.
    Date,
    Zone,
    /// A JSONPath or a JSON Pointer.
    Path,
    /// Something to calculate.
    Expression,
    Number,
}

const DAYS: [&str; 4] = ["today", "tomorrow", "yesterday", "now"];

const QUOTES: [(char, char); 5] = [('"', '"'), ('“', '”'), ('«', '»'), ('`', '`'), ('\'', '\'')];

/// All values of a text, in order. They do not overlap.
pub(super) fn find(text: &str) -> Vec<Fragment> {
    let mut found = Vec::new();
    let mut at = 0;
    let mut at_word = true;
    while let Some(c) = text[at..].chars().next() {
        let fragment = if at_word { read(&text[at..]) } else { None };
        match fragment {
            Some((kind, value, length)) if length > 0 => {
                found.push(Fragment { kind, text: value, start: at, end: at + length });
                at += length;
                at_word = false;
            }
            _ => {
                at += c.len_utf8();
                at_word = !c.is_alphanumeric() && c != '_';
            }
        }
    }
    found
}

/// The value with which a text begins, with its length.
fn read(text: &str) -> Option<(Kind, String, usize)> {
    json(text).or_else(|| quoted(text)).or_else(|| word(text)).or_else(|| number(text))
}

fn json(text: &str) -> Option<(Kind, String, usize)> {
    if !text.starts_with(['{', '[']) {
        return None;
    }
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let value = values.next()?.ok()?;
    let length = values.byte_offset();
    Some((Kind::Json(value), text[..length].to_owned(), length))
}

fn quoted(text: &str) -> Option<(Kind, String, usize)> {
    let open = text.chars().next()?;
    let (_, close) = QUOTES.into_iter().find(|(begin, _)| *begin == open)?;
    let inner = &text[open.len_utf8()..];
    let end = inner.find(close)?;
    Some((Kind::Quoted, inner[..end].to_owned(), open.len_utf8() + end + close.len_utf8()))
}

/// What is known by the form of the whole word.
fn word(text: &str) -> Option<(Kind, String, usize)> {
    let whole = &text[..text.find(char::is_whitespace).unwrap_or(text.len())];
    let word = whole.trim_end_matches(['.', ',', ';', '?', '!', ':']);
    let lower = word.to_ascii_lowercase();
    let kind = if is_date(word) || DAYS.contains(&lower.as_str()) {
        Kind::Date
    } else if is_path(word) {
        Kind::Path
    } else if is_zone(word) {
        Kind::Zone
    } else {
        return None;
    };
    let value = if kind == Kind::Date && word.starts_with(char::is_alphabetic) { lower } else { word.to_owned() };
    Some((kind, value, word.len()))
}

/// `2026-03-01`, alone or with a time.
fn is_date(word: &str) -> bool {
    let bytes = word.as_bytes();
    let form = bytes.len() >= 10
        && bytes[..10]
            .iter()
            .enumerate()
            .all(|(at, byte)| if at == 4 || at == 7 { *byte == b'-' } else { byte.is_ascii_digit() });
    form && matches!(bytes.get(10), None | Some(b'T' | b't'))
}

fn is_path(word: &str) -> bool {
    let json_path = word.strip_prefix('$').is_some_and(|rest| rest.starts_with(['.', '[']));
    let pointer = word.strip_prefix('/').is_some_and(|rest| rest.starts_with(char::is_alphabetic));
    json_path || pointer
}

/// `Europe/Paris`, `UTC` or `+02:00`.
fn is_zone(word: &str) -> bool {
    let capital = |part: &str| part.starts_with(|c: char| c.is_ascii_uppercase());
    let named = word.split_once('/').is_some_and(|(area, city)| area.len() > 2 && capital(area) && capital(city));
    let offset = word.starts_with(['+', '-']) && word.len() == 6 && word.as_bytes().get(3) == Some(&b':');
    named || offset || matches!(word, "UTC" | "GMT")
}

/// A number, or more of it to calculate. A letter right after a number is a unit: `72F`.
fn number(text: &str) -> Option<(Kind, String, usize)> {
    let found = expression::read(text)?;
    let is_number = found.text.parse::<f64>().is_ok();
    if !found.calculates && !is_number {
        return None;
    }
    let kind = if found.calculates { Kind::Expression } else { Kind::Number };
    Some((kind, found.text, found.length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<(&'static str, String)> {
        let name = |kind: &Kind| match kind {
            Kind::Json(_) => "json",
            Kind::Quoted => "quoted",
            Kind::Date => "date",
            Kind::Zone => "zone",
            Kind::Path => "path",
            Kind::Expression => "expression",
            Kind::Number => "number",
        };
        find(text).into_iter().map(|fragment| (name(&fragment.kind), fragment.text)).collect()
    }

    #[track_caller]
    fn check(text: &str, expected: &[(&'static str, &str)]) {
        let expected: Vec<_> = expected.iter().map(|(kind, text)| (*kind, (*text).to_owned())).collect();
        assert_eq!(kinds(text), expected, "{text}");
    }

    #[test]
    fn every_kind_of_value_is_found() {
        check("calculate (17 + 4) * 2", &[("expression", "(17 + 4) * 2")]);
        check("5 km to miles, 72F", &[("number", "5"), ("number", "72")]);
        check("from 2026-03-01 to Tomorrow.", &[("date", "2026-03-01"), ("date", "tomorrow")]);
        check("time in Asia/Tokyo?", &[("zone", "Asia/Tokyo")]);
        check(r#"get $.a[0] of {"a": [1]}"#, &[("path", "$.a[0]"), ("json", r#"{"a": [1]}"#)]);
        check("say 'a b' and “c”", &[("quoted", "a b"), ("quoted", "c")]);
    }

    #[test]
    fn words_are_no_values() {
        check("it's what log10 says, e.g. step2 of wait_slowly", &[]);
        check("km/h ½ ß {", &[]);
    }
}
