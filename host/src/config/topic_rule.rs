//! The rules of `topics.rules`: who may do what with which topics, in one readable line each.
//!
//! `EFFECT VERB PATTERN [if CONDITION [and CONDITION]...]`, such as
//! `allow publish team.{claim.team}.** if scope announce and claim role = admin`. What a rule means for
//! a user is decided where topics are; here it is read, and what is wrong with it is named.

use std::{collections::BTreeSet, fmt};

/// More, and nobody understands them any longer; and each subscriber remembers where it stands with each.
const MAX_RULES: usize = 256;

/// As long as the longest topic.
const MAX_PATTERN_BYTES: usize = 256;

/// All rules, in their order, and what they ask of tokens.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct TopicRules {
    pub list: Vec<TopicRule>,
    /// The claims that the rules name.
    pub claims: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopicRule {
    /// As it was written.
    pub text: Box<str>,
    pub effect: Effect,
    pub verb: Verb,
    /// Never empty; `Rest` is the last, if it is there.
    pub levels: Box<[Level]>,
    /// All have to hold.
    pub conditions: Box<[Condition]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Allow,
    Deny,
}

/// What a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    /// Subscriptions, members, history.
    Subscribe,
    Publish,
    All,
}

/// One level of a rule's pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Level {
    Exact(Box<str>),
    /// `*`
    One,
    /// `**`
    Rest,
    Of(Owner),
}

/// What stands in a level between braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Owner {
    /// `{sub}`
    Subject,
    /// `{claim.NAME}`
    Claim(Box<str>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Condition {
    Scope(Box<str>),
    Claim { name: Box<str>, value: Box<str> },
}

impl TopicRules {
    /// Puts rules together. Fails with what is wrong with there being so many.
    pub fn new(list: Vec<TopicRule>) -> Result<Self, String> {
        if list.len() > MAX_RULES {
            return Err(format!("has {} rules, and {MAX_RULES} are allowed", list.len()));
        }
        let claims = list.iter().flat_map(TopicRule::claims).map(str::to_owned).collect();
        Ok(Self { list, claims })
    }
}

impl TopicRule {
    /// Reads a rule, or says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let words = words(text)?;
        let mut words = words.iter().map(String::as_str);
        let effect = match words.next() {
            Some("allow") => Effect::Allow,
            Some("deny") => Effect::Deny,
            other => return Err(format!("begins with {}, and not with allow or deny", found(other))),
        };
        let verb = match words.next() {
            Some("subscribe") => Verb::Subscribe,
            Some("publish") => Verb::Publish,
            Some("all") => Verb::All,
            other => return Err(format!("has {} where subscribe, publish or all is needed", found(other))),
        };
        let levels = pattern(words.next().ok_or("names no topics")?)?;
        let conditions = conditions(words)?;
        Ok(Self { text: text.into(), effect, verb, levels, conditions })
    }

    fn claims(&self) -> impl Iterator<Item = &str> {
        let in_levels = self.levels.iter().filter_map(|level| match level {
            Level::Of(Owner::Claim(name)) => Some(&**name),
            _ => None,
        });
        let in_conditions = self.conditions.iter().filter_map(|condition| match condition {
            Condition::Claim { name, .. } => Some(&**name),
            Condition::Scope(_) => None,
        });
        in_levels.chain(in_conditions)
    }
}

impl fmt::Display for TopicRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn found(word: Option<&str>) -> String {
    word.map_or_else(|| "nothing".to_owned(), |word| format!("{word:?}"))
}

/// Words between blanks; one in single quotes may hold blanks.
fn words(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (word, tail) = match rest.strip_prefix('\'') {
            Some(quoted) => quoted.split_once('\'').ok_or("has a quote that does not end")?,
            None => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
        };
        words.push(word.to_owned());
        rest = tail.trim_start();
    }
    Ok(words)
}

fn pattern(text: &str) -> Result<Box<[Level]>, String> {
    if text.len() > MAX_PATTERN_BYTES {
        return Err(format!("has a pattern of {} bytes, and {MAX_PATTERN_BYTES} are allowed", text.len()));
    }
    if text.starts_with('$') {
        return Err("names topics with `$`, and these belong to the host".to_owned());
    }
    let mut levels = Vec::new();
    let mut rest = Some(text);
    while let Some(text) = rest {
        if levels.last() == Some(&Level::Rest) {
            return Err("has a `**` that is not the last level".to_owned());
        }
        let (level, tail) = level(text)?;
        levels.push(level);
        rest = tail;
    }
    Ok(levels.into())
}

/// The first level of a pattern, and what follows its separator.
fn level(text: &str) -> Result<(Level, Option<&str>), String> {
    if let Some(braced) = text.strip_prefix('{') {
        // Names of claims may hold the separators of levels.
        let (name, tail) = braced.split_once('}').ok_or("has a brace that does not close")?;
        let rest = match tail.strip_prefix(['.', '/']) {
            None if tail.is_empty() => None,
            None => return Err(format!("has {{{name}}} as a part of a level, and it can only be a whole one")),
            Some(rest) => Some(rest),
        };
        return Ok((Level::Of(owner(name)?), rest));
    }
    let (level, rest) = match text.split_once(['.', '/']) {
        Some((level, rest)) => (level, Some(rest)),
        None => (text, None),
    };
    let level = match level {
        "" => return Err("has an empty level".to_owned()),
        "*" => Level::One,
        "**" => Level::Rest,
        _ if level.contains(['*', '{', '}']) => {
            return Err(format!("has the level {level:?}: `*` and braces can only be whole levels"));
        }
        _ => Level::Exact(level.into()),
    };
    Ok((level, rest))
}

fn owner(name: &str) -> Result<Owner, String> {
    match name.strip_prefix("claim.") {
        Some(claim) if !claim.is_empty() => Ok(Owner::Claim(claim.into())),
        None if name == "sub" => Ok(Owner::Subject),
        _ => Err(format!("has {{{name}}}, and only {{sub}} and {{claim.NAME}} are known")),
    }
}

fn conditions<'a>(mut words: impl Iterator<Item = &'a str>) -> Result<Box<[Condition]>, String> {
    let mut conditions = Vec::new();
    let mut link = "if";
    while let Some(word) = words.next() {
        if word != link {
            return Err(format!("has {word:?} where `{link}` is needed"));
        }
        link = "and";
        let condition = match (words.next(), words.next()) {
            (Some("scope"), Some(scope)) => Condition::Scope(scope.into()),
            (Some("claim"), Some(name)) => match (words.next(), words.next()) {
                (Some("="), Some(value)) => Condition::Claim { name: name.into(), value: value.into() },
                _ => return Err(format!("has a condition on the claim {name:?} without ` = VALUE`")),
            },
            (other, _) => {
                return Err(format!("has {} where `scope NAME` or `claim NAME = VALUE` is needed", found(other)));
            }
        };
        conditions.push(condition);
    }
    Ok(conditions.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        TopicRule::parse(text).expect_err(text)
    }

    #[test]
    fn a_rule_is_read_in_all_its_parts() {
        let text =
            "allow all team.{claim.https://id.example/team}/{sub}.** if scope announce and claim role = 'team lead'";
        let rule = TopicRule::parse(text).unwrap();
        assert_eq!((rule.effect, rule.verb, rule.to_string().as_str()), (Effect::Allow, Verb::All, text));
        let claim = Level::Of(Owner::Claim("https://id.example/team".into()));
        assert_eq!(*rule.levels, [Level::Exact("team".into()), claim, Level::Of(Owner::Subject), Level::Rest]);
        let role = Condition::Claim { name: "role".into(), value: "team lead".into() };
        assert_eq!(*rule.conditions, [Condition::Scope("announce".into()), role]);
        let rules = TopicRules::new(vec![rule]).unwrap();
        assert_eq!(rules.claims.into_iter().collect::<Vec<_>>(), ["https://id.example/team", "role"]);
        let rule = TopicRule::parse("  deny   subscribe  'a b.*' ").unwrap();
        assert_eq!(*rule.levels, [Level::Exact("a b".into()), Level::One]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, problem) in [
            ("", "begins with nothing"),
            ("alow subscribe a", "begins with \"alow\""),
            ("allow read a", "has \"read\" where subscribe, publish or all"),
            ("allow all", "names no topics"),
            ("allow all a..b", "an empty level"),
            ("allow all a.**.b", "`**` that is not the last"),
            ("allow all a*.b", "the level \"a*\""),
            ("allow all $sys.a", "belong to the host"),
            ("allow all a.{tenant}", "{tenant}"),
            ("allow all a.{claim.}", "{claim.}"),
            ("allow all a.x{sub}", "the level \"x{sub}\""),
            ("allow all a.{sub}x", "{sub} as a part of a level"),
            ("allow all a.{sub", "does not close"),
            ("allow all a when scope b", "\"when\" where `if`"),
            ("allow all a if", "has nothing where"),
            ("allow all a if role = b", "\"role\" where `scope NAME`"),
            ("allow all a if claim role=b", "without ` = VALUE`"),
            ("allow all a if claim role = b or scope c", "\"or\" where `and`"),
            ("allow all 'a", "a quote that does not end"),
        ] {
            let found = fault(text);
            assert!(found.contains(problem), "{text:?}: {found}");
        }
        let many = vec![TopicRule::parse("deny all a").unwrap(); MAX_RULES + 1];
        assert!(TopicRules::new(many).unwrap_err().contains("257"));
    }
}
