//! The parts of a request that are requests themselves.
//!
//! A line break, a semicolon or `then` always separates. `and` does only between two clauses that both have a
//! tool: `between Monday and Friday` is one. What is quoted, JSON, or follows a colon is never cut.

use super::{
    fragments::{self, Kind},
    words,
};

/// Enough for anything that somebody writes by hand; the rest is left out.
const MAX_CLAUSES: usize = 32;

const HARD: [&str; 6] = ["\n", ";", ", and then ", " and then ", ", then ", " then "];
const SOFT: [&str; 3] = [", and ", " and ", ", "];

pub(super) fn split(request: &str, has_tool: impl Fn(&str) -> bool) -> Vec<String> {
    let parts = cut(request, &HARD);
    let clauses = parts.into_iter().flat_map(|part| join_halves(&cut(part, &SOFT), part, &has_tool));
    clauses.map(str::trim).filter(|clause| !clause.is_empty()).take(MAX_CLAUSES).map(str::to_owned).collect()
}

/// Cuts at every separator that stands in the open.
fn cut<'a>(text: &'a str, separators: &[&str]) -> Vec<&'a str> {
    let closed: Vec<(usize, usize)> = fragments::find(text)
        .into_iter()
        .filter(|fragment| matches!(fragment.kind, Kind::Json(_) | Kind::Quoted | Kind::Expression))
        .map(|fragment| (fragment.start, fragment.end))
        .collect();
    let (mut parts, mut begin, mut at) = (Vec::new(), 0, 0);
    while at < text.len() {
        let rest = &text[at..];
        let inside = closed.iter().find(|(start, end)| (*start..*end).contains(&at));
        let after_colon = rest.starts_with(": ").then(|| rest.find('\n').unwrap_or(rest.len()));
        let lower = rest.get(..11.min(rest.len())).unwrap_or(rest).to_ascii_lowercase();
        let separator = separators.iter().find(|separator| lower.starts_with(**separator));
        if let Some((_, end)) = inside {
            at = *end;
        } else if let Some(length) = after_colon {
            at += length;
        } else if let Some(separator) = separator {
            parts.push(&text[begin..at]);
            at += separator.len();
            begin = at;
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    parts.push(&text[begin..]);
    parts
}

/// Puts together again what has no tool alone. The parts are slices of `whole`, in order.
fn join_halves<'a>(parts: &[&'a str], whole: &'a str, has_tool: &impl Fn(&str) -> bool) -> Vec<&'a str> {
    let offset = |part: &str| part.as_ptr() as usize - whole.as_ptr() as usize;
    let mut clauses: Vec<&str> = Vec::new();
    for part in parts {
        match clauses.last_mut() {
            Some(last) if !(has_tool(last) && has_tool(part) && !is_open(last)) => {
                *last = &whole[offset(last)..offset(part) + part.len()];
            }
            _ => clauses.push(part),
        }
    }
    clauses
}

/// Whether a `between` still waits for its `and`.
fn is_open(clause: &str) -> bool {
    words::find(clause, "between").is_some_and(|at| !words::contains(&clause[at..], "and"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(request: &str) -> Vec<String> {
        split(request, |clause| clause.contains('!'))
    }

    #[test]
    fn and_separates_only_what_stands_alone() {
        assert_eq!(parts("one! and two!"), ["one!", "two!"]);
        assert_eq!(parts("salt and pepper! and two"), ["salt and pepper! and two"]);
        assert_eq!(parts("between one! and two! and three!"), ["between one! and two!", "three!"]);
        assert_eq!(parts("one\ntwo; three then four"), ["one", "two", "three", "four"]);
    }

    #[test]
    fn what_is_quoted_or_follows_a_colon_stays_whole() {
        assert_eq!(parts("count! \"a! and b!; c\" and two!"), ["count! \"a! and b!; c\"", "two!"]);
        assert_eq!(parts("count!: a! and b!\ntwo"), ["count!: a! and b!", "two"]);
        assert_eq!(parts(r#"look! {"a": "x; y"} then two"#), [r#"look! {"a": "x; y"}"#, "two"]);
    }

    #[test]
    fn characters_of_several_bytes_do_no_harm() {
        assert_eq!(parts("ä ö ü – ß\nтест ; 🙂"), ["ä ö ü – ß", "тест", "🙂"]);
    }
}
