//! The rules of `tools.rules`, `resources.rules` and `prompts.rules`: what a user needs for what plugins offer,
//! and how much of it, in one readable line each.
//!
//! `PATTERN [scope NAME]... [rate N/UNIT [burst N]] [concurrent N] [timeout TIME]`, such as
//! `files__delete* scope files.write rate 5/min concurrent 1`. The first rule whose pattern fits decides. What
//! comes of it is decided where tools are; here it is read, and what is wrong with it is named.

use std::{fmt, sync::Arc, time::Duration};

use super::{Rate, units};

/// More, and nobody understands them any longer.
const MAX_RULES: usize = 256;

/// Enough for a tool's name with its plugin's, and for the beginning of a URI.
const MAX_PATTERN_BYTES: usize = 256;

/// Scopes of one rule. A token with more than a few is refused by proxies for its length.
const MAX_SCOPES: usize = 16;

/// Calls of one user at one time: as many as a host runs in all, which means "off".
const MAX_CONCURRENT: u32 = 2_730;

/// As long as the deadline of a plugin can be.
const MAX_TIMEOUT: Duration = Duration::from_secs(3_600);

/// Between the name of a plugin and that of its tool or prompt.
const SEPARATOR: &str = "__";

/// All rules for one kind of things, in their order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ItemRules {
    list: Vec<Arc<ItemRule>>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ItemRule {
    /// As it was written.
    pub text: Box<str>,
    /// `*` stands for any text.
    pattern: Box<str>,
    /// All are needed.
    pub scopes: Box<[Box<str>]>,
    /// Of one user, for each thing.
    pub rate: Option<Rate>,
    /// Calls of one user at one time, for each thing.
    pub concurrent: Option<u32>,
    /// Wall clock for one call.
    pub timeout: Option<Duration>,
}

impl ItemRules {
    /// Puts rules together. Fails with what is wrong with there being so many.
    pub fn new(list: Vec<ItemRule>) -> Result<Self, String> {
        if list.len() > MAX_RULES {
            return Err(format!("has {} rules, and {MAX_RULES} are allowed", list.len()));
        }
        Ok(Self { list: list.into_iter().map(Arc::new).collect() })
    }

    /// The rule for a tool or prompt. It is found by what the plugin calls it, because the name that users see
    /// becomes another one when a second plugin has a tool of the same name.
    pub fn of_name(&self, plugin: &str, name: &str) -> Option<&Arc<ItemRule>> {
        let whole = format!("{plugin}{SEPARATOR}{name}");
        self.list.iter().find(|rule| {
            let by_plugin = rule.pattern.contains(SEPARATOR);
            fits(&rule.pattern, if by_plugin { &whole } else { name })
        })
    }

    /// The rule for a resource, or a template as it is written.
    pub fn of_uri(&self, uri: &str) -> Option<&Arc<ItemRule>> {
        self.list.iter().find(|rule| fits(&rule.pattern, uri))
    }
}

impl ItemRule {
    /// Reads a rule, or says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace().peekable();
        let pattern = words.next().ok_or("is empty")?;
        if pattern.len() > MAX_PATTERN_BYTES {
            return Err(format!("has a pattern of {} bytes, and {MAX_PATTERN_BYTES} are allowed", pattern.len()));
        }
        let (mut scopes, mut rate, mut concurrent, mut timeout) = (Vec::new(), None, None, None);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("has nothing behind `{word}`"));
            let again = match word {
                "scope" => {
                    scopes.push(value()?.into());
                    false
                }
                "rate" => {
                    let mut written = value()?.to_owned();
                    if words.next_if_eq(&"burst").is_some() {
                        written = format!("{written} burst {}", words.next().unwrap_or_default());
                    }
                    rate.replace(Rate::parse(&written)?).is_some()
                }
                "concurrent" => concurrent.replace(count(value()?)?).is_some(),
                "timeout" => timeout.replace(time(value()?)?).is_some(),
                other => {
                    return Err(format!("has {other:?} where scope, rate, concurrent or timeout is needed"));
                }
            };
            if again {
                return Err(format!("has a second `{word}`"));
            }
        }
        if scopes.len() > MAX_SCOPES {
            return Err(format!("has {} scopes, and {MAX_SCOPES} are allowed", scopes.len()));
        }
        Ok(Self { text: text.into(), pattern: pattern.into(), scopes: scopes.into(), rate, concurrent, timeout })
    }
}

impl fmt::Display for ItemRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn count(text: &str) -> Result<u32, String> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|number| digits && (1..=MAX_CONCURRENT).contains(number));
    number.ok_or_else(|| format!("has the number {text:?}, and 1 to {MAX_CONCURRENT} are allowed"))
}

fn time(text: &str) -> Result<Duration, String> {
    let time = units::parse_duration(text).filter(|time| !time.is_zero() && *time <= MAX_TIMEOUT);
    time.ok_or_else(|| format!("has the timeout {text:?}, and a time such as 30s, of at most an hour, is needed"))
}

/// Whether a text is the pattern with something, or nothing, for each `*`. In time that is at most the product of
/// both lengths.
fn fits(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where the last star stands, and how much of the text it stands for by now.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(byte) if *byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((at, taken)) = star else { return false };
                star = Some((at, taken + 1));
                p = at + 1;
                t = taken + 1;
            }
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(texts: &[&str]) -> ItemRules {
        ItemRules::new(texts.iter().map(|text| ItemRule::parse(text).unwrap()).collect()).unwrap()
    }

    #[test]
    fn a_rule_is_read_in_all_its_parts() {
        let text = "files__* scope files.read scope files.write rate 5/min burst 2 concurrent 3 timeout 10s";
        let rule = ItemRule::parse(text).unwrap();
        assert_eq!(rule.to_string(), text);
        assert_eq!(rule.scopes.iter().map(|scope| &**scope).collect::<Vec<_>>(), ["files.read", "files.write"]);
        assert_eq!(rule.rate.map(|rate| rate.to_string()).as_deref(), Some("5/min burst 2"));
        assert_eq!((rule.concurrent, rule.timeout), (Some(3), Some(Duration::from_secs(10))));
        let bare = ItemRule::parse("  add  ").unwrap();
        assert!(bare.scopes.is_empty() && bare.rate.is_none() && bare.concurrent.is_none() && bare.timeout.is_none());
        assert_eq!(ItemRule::parse("a rate 5/s").unwrap().rate.map(|rate| rate.burst().get()), Some(5));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, problem) in [
            ("", "is empty"),
            ("a needs b", "\"needs\" where scope, rate, concurrent or timeout"),
            ("a scope", "nothing behind `scope`"),
            ("a rate 5", "without a unit"),
            ("a rate 5/s burst", "no number behind `burst`"),
            ("a rate 5/s rate 6/s", "a second `rate`"),
            ("a concurrent 0", "the number \"0\""),
            ("a concurrent +1", "the number \"+1\""),
            ("a timeout 10", "the timeout \"10\""),
            ("a timeout 0s", "the timeout \"0s\""),
            ("a timeout 2h", "at most an hour"),
        ] {
            let found = ItemRule::parse(text).expect_err(text);
            assert!(found.contains(problem), "{text:?}: {found}");
        }
        assert!(ItemRule::parse(&"a".repeat(257)).is_err());
        assert!(ItemRule::parse(&format!("a{}", " scope b".repeat(17))).is_err());
        let many = (0..=MAX_RULES).map(|_| ItemRule::parse("a").unwrap()).collect();
        assert!(ItemRules::new(many).unwrap_err().contains("257"));
    }

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text, expected) in [
            ("add", "add", true),
            ("add", "adder", false),
            ("*", "", true),
            ("a*", "a", true),
            ("a*d", "abcd", true),
            ("a*d", "abcde", false),
            ("*b*b*", "abb", true),
            ("*b*b*", "ab", false),
            ("file:///a/*", "file:///a/b/c", true),
            ("", "a", false),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
        assert!(!fits(&format!("{}b", "a*".repeat(100)), &"a".repeat(2_048)), "and takes no time over it");
    }

    #[test]
    fn the_first_rule_that_fits_decides_whatever_the_tool_is_offered_as() {
        let rules = rules(&["files__read", "*delete* scope a", "files__* scope b", "* scope c"]);
        let text = |plugin, name| rules.of_name(plugin, name).map(ToString::to_string);
        assert_eq!(text("files", "read").as_deref(), Some("files__read"));
        assert_eq!(text("other", "read").as_deref(), Some("* scope c"));
        assert_eq!(text("files", "undelete").as_deref(), Some("*delete* scope a"));
        assert_eq!(text("files", "write").as_deref(), Some("files__* scope b"));
        // A plugin cannot call its tool what another one's is called with its plugin in front.
        assert_eq!(text("evil", "files__read").as_deref(), Some("* scope c"));
        assert_eq!(rules.of_uri("file:///x").map(ToString::to_string).as_deref(), Some("* scope c"));
    }
}
