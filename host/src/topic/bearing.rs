//! What one rule means for one user: whether its conditions hold, and which levels are the user's own.
//!
//! A claim that no rule named when the token was read is not known. Then a rule that allows does not
//! fit, and one that denies does, so that a new rule never opens more than it says.

use serde_json::Value;

use super::{access::is_written, pattern::levels};
use crate::{
    auth::Principal,
    config::topic_rule::{Condition, Effect, Level, Owner, TopicRule},
};

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Bearing {
    /// A condition does not hold.
    None,
    /// For each level in braces, the texts that fit there.
    Own(Box<[Fitting]>),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fitting {
    Any,
    Of(Box<[Box<str>]>),
}

impl Bearing {
    pub fn of(rule: &TopicRule, principal: &Principal) -> Self {
        let holds = |condition: &Condition| match condition {
            Condition::Scope(scope) => principal.scopes.iter().any(|held| **held == **scope),
            Condition::Claim { name, value } => fitting(rule, principal, name).has(|text| text == &**value),
        };
        if !rule.conditions.iter().all(holds) {
            return Self::None;
        }
        let own = rule.levels.iter().filter_map(|level| match level {
            Level::Of(Owner::Subject) => Some(Fitting::Of([principal.subject.as_str().into()].into())),
            Level::Of(Owner::Claim(name)) => Some(fitting(rule, principal, name)),
            _ => None,
        });
        Self::Own(own.collect())
    }

    /// Whether these levels of a topic are the user's own. They are those that [`Bearing::places`] found.
    pub fn fits(&self, places: &[&str]) -> bool {
        match self {
            Self::None => false,
            Self::Own(own) => {
                own.iter().zip(places).all(|(fitting, place)| fitting.has(|text| is_written(place, text)))
            }
        }
    }

    /// The levels of a topic that stand where the rule has braces; `None` if the rule cannot fit it.
    pub fn places<'a>(rule: &TopicRule, name: &'a str) -> Option<Vec<&'a str>> {
        let (mut names, mut places) = (levels(name), Vec::new());
        for level in &rule.levels {
            let name = names.next()?;
            match level {
                Level::Rest => return Some(places),
                Level::One => {}
                Level::Exact(exact) if **exact == *name => {}
                Level::Exact(_) => return None,
                Level::Of(_) => places.push(name),
            }
        }
        names.next().is_none().then_some(places)
    }

    /// Whether everything that a topic or pattern can name falls under the rule.
    pub fn covers(&self, rule: &TopicRule, asked: &str) -> bool {
        self.compare(rule, asked, false)
    }

    /// Whether something that a topic or pattern can name falls under the rule.
    pub fn overlaps(&self, rule: &TopicRule, asked: &str) -> bool {
        self.compare(rule, asked, true)
    }

    /// `partly`: it is enough if something that both can name is the same.
    fn compare(&self, rule: &TopicRule, asked: &str, partly: bool) -> bool {
        let Self::Own(own) = self else { return false };
        let (mut asked, mut own) = (levels(asked), own.iter());
        for level in &rule.levels {
            let fits = match (level, asked.next()) {
                (_, None) => return false,
                (Level::Rest, Some(_)) => return true,
                (_, Some("**")) => return partly,
                (Level::One, Some(_)) => true,
                (Level::Exact(exact), Some(name)) => (partly && name == "*") || **exact == *name,
                (Level::Of(_), Some(name)) => own.next().is_some_and(|fitting| match (fitting, name) {
                    (Fitting::Any, _) => true,
                    (Fitting::Of(texts), "*") => partly && !texts.is_empty(),
                    (fitting, name) => fitting.has(|text| is_written(name, text)),
                }),
            };
            if !fits {
                return false;
            }
        }
        asked.next().is_none()
    }
}

impl Fitting {
    fn has(&self, fits: impl Fn(&str) -> bool) -> bool {
        match self {
            Self::Any => true,
            Self::Of(texts) => texts.iter().any(|text| fits(text)),
        }
    }
}

/// The texts of a claim: of a list, each of them.
fn fitting(rule: &TopicRule, principal: &Principal, claim: &str) -> Fitting {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.as_str().into()),
        Value::Number(number) => Some(number.to_string().into()),
        Value::Bool(flag) => Some(flag.to_string().into()),
        _ => None,
    };
    match principal.rule_claims.get(claim) {
        None if rule.effect == Effect::Deny => Fitting::Any,
        None => Fitting::Of([].into()),
        Some(Value::Array(items)) => Fitting::Of(items.iter().filter_map(text).collect()),
        Some(value) => Fitting::Of(text(value).into_iter().collect()),
    }
}
