//! URI templates (RFC 6570) of resources: `{var}` of level 1, and `{+var}`. Whether a URI could be one's expansion.
//!
//! The time to match is bounded by the length of the URI times the parts of the template. A value that would lead
//! out of its folder (`..`, also encoded) matches nothing: whoever writes a plugin forgets to check it.

use super::uri;

/// Literals and variables of one template.
const MAX_PARTS: usize = 16;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    /// `{var}`: part of one segment.
    Segment(String),
    /// `{+var}`: may hold slashes.
    Rest(String),
}

impl Template {
    /// What is wrong is a clause that follows the template's name.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > uri::MAX_URI_BYTES {
            return Err(format!("has more than {} bytes", uri::MAX_URI_BYTES));
        }
        // So that no template fits what other plugins offer by chance.
        uri::split_scheme(text).ok_or("does not begin with a scheme")?;
        let mut parts = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (part, tail) = match rest.strip_prefix('{') {
                Some(braced) => {
                    let (inside, tail) = braced.split_once('}').ok_or("has a brace that does not close")?;
                    (variable(inside)?, tail)
                }
                None => {
                    let (literal, tail) = rest.split_at(rest.find('{').unwrap_or(rest.len()));
                    if !literal.bytes().all(uri::is_uri_byte) {
                        return Err("has characters that have to be percent-encoded".into());
                    }
                    (Part::Literal(literal.into()), tail)
                }
            };
            if !matches!(part, Part::Literal(_)) && parts.last().is_some_and(|last| !matches!(last, Part::Literal(_))) {
                return Err("has two variables with nothing between them".into());
            }
            parts.push(part);
            rest = tail;
        }
        if parts.len() > MAX_PARTS {
            return Err(format!("has {} parts, and {MAX_PARTS} are allowed", parts.len()));
        }
        Ok(Self { parts })
    }

    /// Whether a URI could be an expansion.
    pub fn matches(&self, uri: &str) -> bool {
        !leads_out(uri) && self.fits(uri.as_bytes())
    }

    /// How much of it is fixed: of two that match, the one with more says more.
    pub fn literal_bytes(&self) -> usize {
        self.parts.iter().map(|part| if let Part::Literal(text) = part { text.len() } else { 0 }).sum()
    }

    pub fn has_variable(&self, name: &str) -> bool {
        self.parts.iter().any(|part| match part {
            Part::Literal(_) => false,
            Part::Segment(own) | Part::Rest(own) => own == name,
        })
    }

    /// From part to part, with all places that the URI can have been read to.
    fn fits(&self, uri: &[u8]) -> bool {
        let mut reached = vec![false; uri.len() + 1];
        reached[0] = true;
        for part in &self.parts {
            reached = match part {
                Part::Literal(text) => after_literal(&reached, uri, text.as_bytes()),
                Part::Segment(_) => after_value(&reached, uri, |byte| !b"/?#".contains(&byte)),
                Part::Rest(_) => after_value(&reached, uri, |_| true),
            };
        }
        reached.last() == Some(&true)
    }
}

fn after_literal(reached: &[bool], uri: &[u8], literal: &[u8]) -> Vec<bool> {
    let mut next = vec![false; reached.len()];
    for (at, _) in reached.iter().enumerate().filter(|(_, reached)| **reached) {
        if uri.get(at..).is_some_and(|rest| rest.starts_with(literal)) {
            next[at + literal.len()] = true;
        }
    }
    next
}

/// A value is at least one byte.
fn after_value(reached: &[bool], uri: &[u8], is_part: impl Fn(u8) -> bool) -> Vec<bool> {
    let mut next = vec![false; reached.len()];
    let mut within = false;
    for (at, byte) in uri.iter().enumerate() {
        within = (within || reached[at]) && is_part(*byte);
        next[at + 1] = within;
    }
    next
}

fn variable(inside: &str) -> Result<Part, String> {
    let (name, rest) = match inside.strip_prefix('+') {
        Some(name) => (name, true),
        None => (inside, false),
    };
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_.%".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_name) {
        return Err(format!("has {{{inside}}}, and only {{name}} and {{+name}} are known"));
    }
    Ok(if rest { Part::Rest(name.into()) } else { Part::Segment(name.into()) })
}

/// Whether a segment, decoded, is one that leads elsewhere.
fn leads_out(uri: &str) -> bool {
    let decoded = percent_decoded(uri.as_bytes());
    decoded.split(|byte| b"/\\?#".contains(byte)).any(|segment| segment == b"." || segment == b"..")
}

fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let digit = |at: usize| text.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let (mut decoded, mut at) = (Vec::with_capacity(text.len()), 0);
    while let Some(&byte) = text.get(at) {
        let encoded = if byte == b'%' { digit(at + 1).zip(digit(at + 2)) } else { None };
        match encoded {
            Some((high, low)) => {
                // Two hexadecimal digits are at most 255.
                decoded.push(u8::try_from(high * 16 + low).unwrap_or(byte));
                at += 3;
            }
            None => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(template: &str, uri: &str) -> bool {
        Template::parse(template).unwrap().matches(uri)
    }

    #[test]
    fn a_variable_is_a_part_of_a_segment_unless_it_says_otherwise() {
        for (template, uri, expected) in [
            ("test://t/{id}/data", "test://t/123/data", true),
            ("test://t/{id}/data", "test://t/a%2Fb/data", true),
            ("test://t/{id}/data", "test://t/a/b/data", false),
            ("test://t/{id}/data", "test://t//data", false),
            ("test://t/{id}/data", "test://t/1/data/", false),
            ("test://t/{id}/data", "TEST://t/1/data", false),
            ("file:///{+path}", "file:///a/b/c?d#e", true),
            ("file:///{+path}", "file:///", false),
            ("db://{t}/{id}.{ext}", "db://users/a.b.json", true),
            ("db://{t}/{id}.{ext}", "db://users/ajson", false),
            ("a:b", "a:b", true),
            ("a:b", "a:bc", false),
        ] {
            assert_eq!(matches(template, uri), expected, "{template} {uri}");
        }
    }

    #[test]
    fn a_value_that_leads_out_of_its_folder_matches_nothing() {
        for uri in [
            "file:///public/../secret",
            "file:///public/%2e%2E/secret",
            "file:///public/a%2f..%2fsecret",
            "file:///public/..",
            "file:///public/a\\..\\b",
        ] {
            assert!(!matches("file:///public/{+path}", uri), "{uri}");
        }
        assert!(!matches("file:///public/{name}", "file:///public/.."));
        assert!(matches("file:///public/{+path}", "file:///public/a..b/...c/d"));
    }

    #[test]
    fn what_cannot_be_matched_is_refused() {
        for (text, problem) in [
            ("{+uri}", "scheme"),
            ("no-scheme", "scheme"),
            ("a:{b", "does not close"),
            ("a:{?q}", "{?q}"),
            ("a:{b*}", "{b*}"),
            ("a:{b:3}", "{b:3}"),
            ("a:{b,c}", "{b,c}"),
            ("a:{}", "{}"),
            ("a:{b}{c}", "nothing between"),
            ("a:b c", "percent-encoded"),
            ("a:b}c", "percent-encoded"),
        ] {
            assert!(Template::parse(text).unwrap_err().contains(problem), "{text}");
        }
        assert!(Template::parse(&format!("a:{}", "{b}c".repeat(20))).unwrap_err().contains("parts"));
    }

    #[test]
    fn matching_is_quick_however_the_parts_can_be_laid_out() {
        let template = Template::parse(&format!("a:{}", "{b}a".repeat(7))).unwrap();
        assert!(!template.matches(&format!("a:{}b", "a".repeat(uri::MAX_URI_BYTES - 3))));
    }

    #[test]
    fn of_two_the_one_with_more_fixed_text_says_more() {
        let bytes = |text| Template::parse(text).unwrap().literal_bytes();
        assert!(bytes("a:b/{c}") > bytes("a:{+c}"));
        let template = Template::parse("a:b/{c}/{+d}").unwrap();
        assert!(template.has_variable("c") && template.has_variable("d") && !template.has_variable("b"));
    }
}
