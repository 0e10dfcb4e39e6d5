//! A tool's arguments, taken from a clause as the tool's schema wants them.

use serde_json::{Map, Value};
use switchboard_sdk::HeardTool;

use super::{
    fragments::{self, Fragment, Kind},
    property::{Wants, wants},
    words,
};

/// What a value of a telling form says for the tool that can use it, and against one that cannot.
const TELLING: f64 = 2.0;

/// Words that turn a number of days or the like around.
const EARLIER: [&str; 5] = ["before", "ago", "earlier", "subtract", "minus"];

const CONNECTORS: [&str; 5] = ["to", "into", "in", "as", "are"];

/// As much as was found.
#[derive(Debug, PartialEq)]
pub(super) struct Filled {
    pub arguments: Map<String, Value>,
    /// The names of required properties for which there was nothing.
    pub missing: Vec<String>,
    /// How much what was found speaks for the tool.
    pub score: f64,
}

/// Fills what it can. `rest` is what follows the words that chose the tool, for a property that takes any text.
pub(super) fn fill(tool: &HeardTool, clause: &str, rest: &str) -> Filled {
    let fragments = fragments::find(clause).into_iter().map(|fragment| (fragment, false)).collect();
    let mut filling = Filling { clause, rest, fragments, arguments: Map::new(), score: 0.0 };
    filling.take_members(tool);
    let properties = properties(tool);
    for (name, wants, required) in &properties {
        if !filling.arguments.contains_key(*name)
            && let Some(value) = filling.value(name, wants, *required, &properties)
        {
            filling.arguments.insert((*name).to_owned(), value);
        }
    }
    filling.assume_today(&properties);
    filling.finish(&properties)
}

/// A property's name, what it wants, and whether it is required.
type Property<'a> = (&'a str, Wants, bool);

/// The required ones first, in the order in which they are required.
fn properties(tool: &HeardTool) -> Vec<Property<'_>> {
    let Some(all) = tool.input_schema["properties"].as_object() else { return Vec::new() };
    let required: Vec<&str> =
        tool.input_schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let first = required.iter().filter_map(|name| all.get_key_value(*name)).map(|property| (property, true));
    let others = all.iter().filter(|(name, _)| !required.contains(&name.as_str())).map(|property| (property, false));
    let mut properties: Vec<Property<'_>> =
        first.chain(others).map(|((name, schema), required)| (name.as_str(), wants(name, schema), required)).collect();
    ends_want_what_beginnings_want(&mut properties);
    properties
}

/// `to` is often described as "the same as `from`", which says nothing by itself.
fn ends_want_what_beginnings_want(properties: &mut [Property<'_>]) {
    let beginning = properties.iter().find(|(name, ..)| matches!(*name, "from" | "start" | "since" | "begin")).cloned();
    let ends = properties.iter_mut().filter(|(name, ..)| matches!(*name, "to" | "end" | "until"));
    for (_, wants, _) in ends.filter(|(_, wants, _)| *wants == Wants::Text) {
        *wants = beginning.as_ref().map_or(Wants::Text, |(_, wants, _)| wants.clone());
    }
}

struct Filling<'a> {
    clause: &'a str,
    rest: &'a str,
    /// With whether each was used.
    fragments: Vec<(Fragment, bool)>,
    arguments: Map<String, Value>,
    score: f64,
}

impl Filling<'_> {
    /// A JSON object with members named as properties brings them along.
    fn take_members(&mut self, tool: &HeardTool) {
        let Some(properties) = tool.input_schema["properties"].as_object() else { return };
        for (fragment, used) in &mut self.fragments {
            let Kind::Json(Value::Object(members)) = &fragment.kind else { continue };
            if !members.is_empty() && members.keys().all(|name| properties.contains_key(name)) {
                *used = true;
                self.score += TELLING;
                self.arguments.extend(members.clone());
            }
        }
    }

    fn value(&mut self, name: &str, wants: &Wants, required: bool, all: &[Property<'_>]) -> Option<Value> {
        let is = |kind: Kind| move |fragment: &Fragment| fragment.kind == kind;
        match wants {
            Wants::Integer => self.integer(),
            Wants::Number => number(&self.take(is(Kind::Number), TELLING / 4.0)?.text),
            Wants::Boolean => self.boolean(name),
            Wants::Json => self.json(),
            Wants::Word(choice) => self.word(choice),
            Wants::Expression => self.expression(),
            Wants::Date { .. } => self.date(name, all),
            Wants::Zone => Some(self.take(is(Kind::Zone), TELLING)?.text.into()),
            Wants::Path => Some(self.take(is(Kind::Path), TELLING)?.text.into()),
            Wants::Unit => self.unit(name),
            Wants::Text if required => self.text(),
            Wants::Text => None,
        }
    }

    /// The first value that fits and was not used.
    fn take(&mut self, fits: impl Fn(&Fragment) -> bool, score: f64) -> Option<Fragment> {
        let (fragment, used) = self.fragments.iter_mut().find(|(fragment, used)| !used && fits(fragment))?;
        *used = true;
        self.score += score;
        Some(fragment.clone())
    }

    fn has(&self, kind: &Kind) -> bool {
        self.fragments.iter().any(|(fragment, _)| fragment.kind == *kind)
    }

    /// `3 weeks before` a date is a negative number of weeks.
    fn integer(&mut self) -> Option<Value> {
        let whole = |fragment: &Fragment| fragment.kind == Kind::Number && fragment.text.parse::<i64>().is_ok();
        let number: i64 = self.take(whole, TELLING / 4.0)?.text.parse().ok()?;
        let earlier = EARLIER.iter().any(|word| words::contains(self.clause, word));
        let of_a_date = self.has(&Kind::Date) || words::contains(self.clause, "ago");
        Some(if earlier && of_a_date { number.saturating_neg() } else { number }.into())
    }

    fn boolean(&self, name: &str) -> Option<Value> {
        let (_, after) = self.clause.split_once(name)?;
        let word = words::words(after).into_iter().next()?.1.to_lowercase();
        Some((!matches!(word.as_str(), "false" | "no" | "off")).into())
    }

    fn json(&mut self) -> Option<Value> {
        match self.take(|fragment| matches!(fragment.kind, Kind::Json(_)), TELLING)?.kind {
            Kind::Json(value) => Some(value),
            _ => None,
        }
    }

    /// Singular or plural.
    fn word(&mut self, choice: &[String]) -> Option<Value> {
        let spoken = words::words(self.clause);
        let is_choice = |choice: &str| {
            let singular = |word: &str| word.to_lowercase().trim_end_matches('s').to_owned();
            spoken.iter().any(|(_, word)| singular(word) == singular(choice))
        };
        let found = choice.iter().find(|word| is_choice(word))?.clone();
        self.score += TELLING / 2.0;
        Some(found.into())
    }

    fn expression(&mut self) -> Option<Value> {
        let calculation = self.take(|fragment| fragment.kind == Kind::Expression, TELLING * 1.5);
        let found =
            calculation.or_else(|| self.take(|fragment| matches!(fragment.kind, Kind::Number | Kind::Quoted), 0.0));
        Some(found?.text.into())
    }

    /// A date, or a Unix time. `until` one date leaves the date before it open, which then is today.
    fn date(&mut self, name: &str, all: &[Property<'_>]) -> Option<Value> {
        let dates = self.fragments.iter().filter(|(fragment, used)| fragment.kind == Kind::Date && !used).count();
        let still_wanted: Vec<&str> = all
            .iter()
            .filter(|(name, wants, _)| matches!(wants, Wants::Date { .. }) && !self.arguments.contains_key(*name))
            .map(|(name, ..)| *name)
            .collect();
        let back = ["since", "old", "ago", "from"].iter().any(|word| words::contains(self.clause, word));
        if dates < still_wanted.len() && !back && still_wanted.last() != Some(&name) {
            return None;
        }
        let unix_time = |fragment: &Fragment| fragment.kind == Kind::Number && fragment.text.len() >= 9;
        Some(self.take(|fragment| fragment.kind == Kind::Date || unix_time(fragment), TELLING)?.text.into())
    }

    /// Dates that nobody named are today, where a tool understands that and something else was said.
    fn assume_today(&mut self, all: &[Property<'_>]) {
        for (name, wants, required) in all {
            let open = *required && !self.arguments.contains_key(*name);
            if open && !self.arguments.is_empty() && *wants == (Wants::Date { today: true }) {
                self.arguments.insert((*name).to_owned(), "today".into());
            }
        }
    }

    /// `5 km to miles`, or `how many miles are 5 km`: what a number has, and what it is to have.
    fn unit(&mut self, name: &str) -> Option<Value> {
        let (number, _) = self.fragments.iter().find(|(fragment, _)| fragment.kind == Kind::Number)?;
        let after = self.clause[number.end..].trim_start();
        let connector = CONNECTORS.iter().filter_map(|word| Some((words::find(after, word)?, word.len()))).min();
        let (source, target) = match connector {
            Some((at, length)) => (&after[..at], Some(&after[at + length..])),
            None => (after, None),
        };
        let is_target =
            ["to", "target", "into"].iter().any(|part| name.to_lowercase().split('_').any(|word| word == *part));
        let unit = if is_target { target.or_else(|| self.asked_unit()) } else { Some(source) };
        let unit = unit?.split(['?', '!', ',']).next()?.trim().trim_end_matches('.');
        if unit.is_empty() || unit.split_whitespace().count() > 3 {
            return None;
        }
        let unit = unit.to_owned();
        self.score += TELLING;
        Some(unit.into())
    }

    /// The unit of `how many ... are` and `how many ... in`.
    fn asked_unit(&self) -> Option<&str> {
        const HOW: [&str; 2] = ["how many", "how much"];
        let (at, asked) = HOW.iter().find_map(|words| Some((words::find(self.clause, words)?, words)))?;
        let after = &self.clause[at + asked.len()..];
        let end = ["is", "are", "in", "does"].iter().filter_map(|word| words::find(after, word)).min()?;
        Some(&after[..end])
    }

    /// What is quoted, else what follows a colon, else what follows the words that chose the tool.
    fn text(&mut self) -> Option<Value> {
        if let Some(quoted) = self.take(|fragment| fragment.kind == Kind::Quoted, TELLING / 2.0) {
            return Some(quoted.text.into());
        }
        let text = self.clause.split_once(": ").map_or(self.rest, |(_, after)| after).trim();
        // Values within a text that is taken whole are part of it.
        self.fragments.iter_mut().for_each(|(_, used)| *used = true);
        (!text.is_empty()).then(|| text.into())
    }

    fn finish(mut self, all: &[Property<'_>]) -> Filled {
        let telling = |kind: &Kind| !matches!(kind, Kind::Number | Kind::Quoted);
        let unused = self.fragments.iter().filter(|(fragment, used)| !used && telling(&fragment.kind)).count();
        self.score -= unused as f64 * TELLING;
        let open = all.iter().filter(|(name, _, required)| *required && !self.arguments.contains_key(*name));
        let missing = open.map(|(name, ..)| (*name).to_owned()).collect();
        Filled { arguments: self.arguments, missing, score: self.score }
    }
}

/// A whole number where it is one, so that it is written as the user wrote it.
fn number(text: &str) -> Option<Value> {
    text.parse::<i64>().map(Value::from).ok().or_else(|| text.parse::<f64>().map(Value::from).ok())
}
