//! What a request holds that could be an argument: numbers, an expression, quotations, dates, JSON, a conversion.

use std::collections::BTreeMap;

use serde_json::Value;

/// Names that may stand in an expression.
const FUNCTIONS: &[&str] = &[
    "abs", "acos", "asin", "atan", "atan2", "cbrt", "ceil", "cos", "exp", "floor", "hypot", "ln", "log", "log2", "max",
    "min", "mod", "pow", "round", "sign", "sin", "sqrt", "tan", "trunc",
];
const CONSTANTS: &[&str] = &["pi", "tau"];
/// Operators that people write as words, longest first.
const SPOKEN: &[(&str, &str)] = &[
    (" multiplied by ", " * "),
    (" divided by ", " / "),
    (" to the power of ", " ^ "),
    ("% of ", " / 100 * "),
    (" percent of ", " / 100 * "),
    (" plus ", " + "),
    (" minus ", " - "),
    (" times ", " * "),
    (" modulo ", " % "),
];
const SPANS: &[&str] = &["years", "months", "weeks", "days", "hours", "minutes", "seconds"];
/// Words that turn a span around: `3 days before`.
const BACKWARDS: &[&str] = &["ago", "before", "subtract", "minus", "earlier", "back"];

/// The dates that words stand for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Days {
    yesterday: String,
    today: String,
    tomorrow: String,
}

/// The days around a moment, in UTC.
pub(crate) fn days_around(unix_ms: u64) -> Days {
    let day = i64::try_from(unix_ms / 86_400_000).unwrap_or_default();
    Days { yesterday: iso_date(day - 1), today: iso_date(day), tomorrow: iso_date(day + 1) }
}

/// The date of a day counted from 1970-01-01: years of 400-year cycles that begin in March, so that the leap
/// day comes last.
fn iso_date(day: i64) -> String {
    let day = day + 719_468;
    let cycle = day.div_euclid(146_097);
    let of_cycle = day.rem_euclid(146_097);
    let year = (of_cycle - of_cycle / 1_460 + of_cycle / 36_524 - of_cycle / 146_096) / 365;
    let of_year = of_cycle - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    format!("{:04}-{month:02}-{of_month:02}", year + cycle * 400 + later)
}

/// Everything found in a request, each kind in order.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Facts {
    pub text: String,
    /// `name=value`.
    pub assigned: BTreeMap<String, Value>,
    pub expression: Option<String>,
    pub numbers: Vec<f64>,
    pub quotations: Vec<String>,
    pub after_colon: Option<String>,
    pub dates: Vec<String>,
    pub offset: Option<String>,
    pub json: Option<Value>,
    /// A JSON Pointer or a JSONPath.
    pub query: Option<String>,
    pub conversion: Option<Conversion>,
    /// By unit, in the plural.
    pub spans: BTreeMap<&'static str, i64>,
}

/// `5 km to miles`.
#[derive(Debug, PartialEq)]
pub(super) struct Conversion {
    pub value: f64,
    pub from: String,
    pub to: String,
}

impl Facts {
    pub(super) fn of(request: &str, days: &Days) -> Self {
        let mut facts = Self { text: request.to_owned(), ..Self::default() };
        facts.after_colon =
            request.split_once(": ").map(|(_, after)| after.trim().to_owned()).filter(|a| !a.is_empty());
        // What is taken out early cannot be mistaken for something else later.
        let rest = facts.take_json(request);
        let rest = facts.take_quotations(&rest);
        let rest = facts.take_words(&rest, days);
        facts.conversion = conversion(&rest);
        facts.expression = expression(&rest).or_else(|| facts.quotations.iter().find_map(|text| expression(text)));
        facts.numbers = rest.split_whitespace().filter_map(number).collect();
        facts
    }

    /// The first JSON object or array.
    fn take_json(&mut self, text: &str) -> String {
        for (start, _) in text.match_indices(['{', '[']) {
            let mut values = serde_json::Deserializer::from_str(&text[start..]).into_iter::<Value>();
            // Brackets of a path, such as `$.a[0]`, are no document.
            let stands_alone = text[..start].chars().next_back().is_none_or(|c| c.is_whitespace() || c == ':');
            if let (true, Some(Ok(value))) = (stands_alone, values.next()) {
                self.json = Some(value);
                return format!("{} {}", &text[..start], &text[start + values.byte_offset()..]);
            }
        }
        text.to_owned()
    }

    fn take_quotations(&mut self, text: &str) -> String {
        let mut outside = String::new();
        for (index, part) in text.replace(['“', '”', '„', '`'], "\"").split('"').enumerate() {
            if index % 2 == 0 {
                outside.push_str(part);
                outside.push(' ');
            } else if !part.is_empty() {
                self.quotations.push(part.to_owned());
            }
        }
        outside
    }

    /// Dates, offsets, queries, assignments and spans of time: words that can be told by their form.
    fn take_words(&mut self, text: &str, days: &Days) -> String {
        let mut rest = Vec::new();
        let mut last_number: Option<i64> = None;
        let backwards = text.split_whitespace().any(|word| BACKWARDS.contains(&word.to_lowercase().as_str()));
        for word in text.split_whitespace() {
            let bare = word.trim_end_matches(['.', ',', '?', '!', ';', ':']);
            let span = SPANS.iter().find(|span| **span == bare || span.trim_end_matches('s') == bare);
            if let Some(date) = date(bare, days) {
                self.dates.push(date);
            } else if is_offset(bare) {
                self.offset = Some(bare.to_owned());
            } else if is_query(bare) {
                self.query = Some(bare.to_owned());
            } else if let Some((name, value)) = assignment(bare) {
                self.assigned.insert(name, value);
            } else {
                if let (Some(span), Some(count)) = (span, last_number) {
                    self.spans.insert(span, if backwards { -count } else { count });
                }
                rest.push(word);
            }
            last_number = bare.parse::<i64>().ok().filter(|count| count.unsigned_abs() < 1_000_000);
        }
        rest.join(" ")
    }
}

fn date(word: &str, days: &Days) -> Option<String> {
    match word.to_lowercase().as_str() {
        "yesterday" => return Some(days.yesterday.clone()),
        "today" => return Some(days.today.clone()),
        "tomorrow" => return Some(days.tomorrow.clone()),
        _ => {}
    }
    let digits = |range: std::ops::Range<usize>| word.get(range).is_some_and(|d| d.bytes().all(|b| b.is_ascii_digit()));
    let hyphens = word.get(4..5) == Some("-") && word.get(7..8) == Some("-");
    let ends = word.len() == 10 || word.get(10..11).is_some_and(|t| t.eq_ignore_ascii_case("t"));
    (digits(0..4) && digits(5..7) && digits(8..10) && hyphens && ends).then(|| word.to_owned())
}

fn is_offset(word: &str) -> bool {
    word.len() == 6 && word.starts_with(['+', '-']) && word.get(3..4) == Some(":")
}

/// `/a/b` and `$.a`, but neither a division nor an amount of money.
fn is_query(word: &str) -> bool {
    let after = |start: char| word.strip_prefix(start).and_then(|rest| rest.chars().next());
    after('/').is_some_and(|c| c.is_alphabetic()) || matches!(after('$'), Some('.' | '['))
}

/// `name=value`.
fn assignment(word: &str) -> Option<(String, Value)> {
    let (name, value) = word.split_once('=')?;
    let named = name.starts_with(|c: char| c.is_alphabetic()) && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
    (named && value != "").then(|| (name.to_owned(), value))
}

fn number(word: &str) -> Option<f64> {
    let plain = word.trim_matches(|c: char| !c.is_ascii_digit() && !matches!(c, '-' | '.')).trim_end_matches('.');
    // `inf` and `nan` are numbers for Rust alone.
    plain.parse::<f64>().ok().filter(|number| number.is_finite() && plain.contains(|c: char| c.is_ascii_digit()))
}

/// A number, a unit, and after `to`, `in` or `into` another unit.
fn conversion(text: &str) -> Option<Conversion> {
    let words: Vec<&str> = text.split_whitespace().map(|word| word.trim_end_matches(['.', ',', '?', '!'])).collect();
    let hinge = words.iter().skip(1).position(|word| matches!(*word, "to" | "in" | "into" | "as"))? + 1;
    let to = words.get(hinge + 1..)?.iter().take(3).copied().collect::<Vec<_>>().join(" ");
    // The last number before the hinge, whose unit may be stuck to it: `5km`.
    let (at, value, stuck) = words[..hinge].iter().enumerate().rev().find_map(|(at, word)| {
        let end = word.find(|c: char| !matches!(c, '0'..='9' | '.' | '-' | ',')).unwrap_or(word.len());
        let value = word[..end].replace(',', "").parse::<f64>().ok()?;
        Some((at, value, &word[end..]))
    })?;
    let from = std::iter::once(stuck).chain(words[at + 1..hinge].iter().copied()).filter(|part| !part.is_empty());
    let from = from.collect::<Vec<_>>().join(" ");
    let worded = |unit: &str| unit.contains(|c: char| c.is_alphabetic() || c == '°');
    (worded(&from) && worded(&to)).then_some(Conversion { value, from, to })
}

/// The longest stretch that can only be read as arithmetic.
fn expression(text: &str) -> Option<String> {
    let mut text = format!(" {text} ");
    for (spoken, written) in SPOKEN {
        text = text.replace(spoken, written);
    }
    let mut best = String::new();
    let mut current = String::new();
    for token in tokens(&text) {
        let word = token.starts_with(char::is_alphabetic);
        if word && !FUNCTIONS.contains(&token) && !CONSTANTS.contains(&token) {
            best = longer(best, &current);
            current.clear();
        } else {
            current.push_str(token);
        }
    }
    best = longer(best, &current);
    (!best.is_empty()).then_some(best)
}

/// Words, and between them everything that may stand in an expression, one character each.
fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if first.is_alphabetic() {
            rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        let (token, after) = rest.split_at(length);
        let arithmetic = first.is_alphanumeric() || " .,+-*/%^()×÷−√_".contains(first);
        // Anything else ends an expression as a word does.
        tokens.push(if arithmetic { token } else { "x" });
        rest = after;
    }
    tokens
}

fn longer(best: String, candidate: &str) -> String {
    let mut candidate = candidate.trim().trim_matches([',', ' ']).trim_end_matches(['.', ',', ' ']).trim();
    // A bracket that belongs to the sentence.
    if candidate.ends_with(')') && candidate.matches(')').count() > candidate.matches('(').count() {
        candidate = candidate.trim_end_matches(')').trim();
    }
    let operand =
        candidate.contains(|c: char| c.is_ascii_digit()) || CONSTANTS.iter().any(|name| candidate.contains(name));
    let inner = candidate.trim_start_matches(['+', '-', '−']);
    let operator = inner.contains(['+', '-', '*', '/', '%', '^', '×', '÷', '−', '√']) || inner.contains('(');
    let unfinished = candidate.ends_with(['+', '-', '*', '/', '^', '×', '÷', '−']);
    if operand && operator && !unfinished && candidate.len() > best.len() { candidate.to_owned() } else { best }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn facts(request: &str) -> Facts {
        Facts::of(request, &days_around(1_767_225_600_000))
    }

    #[test]
    fn expressions_are_found_in_sentences() {
        for (request, expected) in [
            ("What is 2 * (3 + 4)?", Some("2 * (3 + 4)")),
            ("please compute sqrt(16) + 1.", Some("sqrt(16) + 1")),
            ("how much is 15% of 80", Some("15 / 100 * 80")),
            ("12 plus 30, please", Some("12 + 30")),
            ("I have 3 cats (really)", None),
            ("what happened on 2026-01-02?", None),
            ("calculate \"1/3\"", Some("1/3")),
        ] {
            assert_eq!(facts(request).expression.as_deref(), expected, "{request}");
        }
    }

    #[test]
    fn conversions_are_found_in_sentences() {
        let conversion = |value, from: &str, to: &str| Some(Conversion { value, from: from.into(), to: to.into() });
        assert_eq!(facts("convert 5 km to miles").conversion, conversion(5.0, "km", "miles"));
        assert_eq!(facts("what is 20°C in fahrenheit?").conversion, conversion(20.0, "°C", "fahrenheit"));
        assert_eq!(facts("1,500 square feet to m2").conversion, conversion(1500.0, "square feet", "m2"));
        assert_eq!(facts("go to town").conversion, None);
    }

    #[test]
    fn dates_and_spans_are_found() {
        let found = facts("add 3 weeks and 1 day to 2026-02-28, tomorrow");
        assert_eq!(found.dates, ["2026-02-28", "2026-01-02"]);
        assert_eq!(found.spans, BTreeMap::from([("weeks", 3), ("days", 1)]));
        assert_eq!(facts("10 days before today").spans, BTreeMap::from([("days", -10)]));
        assert_eq!(facts("the time at +02:00").offset.as_deref(), Some("+02:00"));
    }

    #[test]
    fn days_are_named_by_the_calendar() {
        assert_eq!(days_around(951_782_400_000).today, "2000-02-29");
        assert_eq!(days_around(951_782_400_000).tomorrow, "2000-03-01");
        assert_eq!(days_around(0).yesterday, "1969-12-31");
    }

    #[test]
    fn documents_queries_quotations_and_assignments_are_found() {
        let found = facts(r#"find $.a[0] in {"a": [1, "x"]} and count "two words" with limit=5"#);
        assert_eq!(found.json, Some(json!({ "a": [1, "x"] })));
        assert_eq!(found.query.as_deref(), Some("$.a[0]"));
        assert_eq!(found.quotations, ["two words"]);
        assert_eq!(found.assigned["limit"], 5);
    }

    #[test]
    fn any_text_is_survived() {
        for request in ["", "{", "[[[", "\"", "=", "$", "/", "%", "é°×", "1e999 to x", "-", "to", "5 to", "+1:23:4"]
        {
            facts(request);
        }
    }
}
