//! The embedded planner: from a request in words to tools and their arguments, without a model.
//!
//! It is a pure function of the request, the tools that there are and the thread. Nothing in it names a tool:
//! it reads names, descriptions and schemas, as a model would.
//!
//! - [`clauses`]: the parts of a request that are requests themselves
//! - [`fragments`] and [`expression`]: what in a text is a value (a number, a date, JSON, arithmetic ...)
//! - [`matching`]: how well a tool fits a clause
//! - [`arguments`] and [`property`]: a tool's arguments, taken from a clause as its schema wants them
//! - [`follow_up`]: clauses that refer to the result before

mod arguments;
mod clauses;
mod expression;
mod follow_up;
mod fragments;
mod matching;
mod property;
mod words;

use serde_json::{Map, Value};
use switchboard_sdk::HeardTool;

use crate::thread::Thread;

pub(crate) use follow_up::follow_up;

/// What to do for one clause of a request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    Call(Call),
    /// A clause that refers to the result of the step before.
    Later(String),
    /// The right tool, without all of its arguments.
    Missing(Missing),
    /// Say what was asked before.
    Recall,
    /// Nothing fits this clause.
    Unknown(String),
}

/// A tool with its arguments.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Call {
    pub tool: String,
    pub arguments: Map<String, Value>,
}

/// A tool, and the arguments that it lacks.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Missing {
    pub tool: String,
    pub names: Vec<String>,
}

impl Step {
    /// In a word, if there is something to do.
    pub(crate) fn describe(&self) -> Option<String> {
        match self {
            Self::Call(call) => Some(format!("I call `{}`", call.tool)),
            Self::Later(_) => Some("I go on with the result".to_owned()),
            Self::Missing(Missing { tool, .. }) => Some(format!("`{tool}` fits, but I lack arguments for it")),
            Self::Recall => Some("I look into this thread".to_owned()),
            Self::Unknown(_) => None,
        }
    }
}

/// One step for each clause.
pub(crate) fn plan(request: &str, tools: &[HeardTool], thread: &Thread) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for clause in clauses::split(request, |clause| matching::best(clause, tools).is_some_and(|found| found.is_call())) {
        let something_before = steps.iter().any(|step| matches!(step, Step::Call(_) | Step::Later(_)));
        steps.push(step(&clause, tools, thread, something_before));
    }
    steps
}

fn step(clause: &str, tools: &[HeardTool], thread: &Thread, something_before: bool) -> Step {
    if follow_up::asks_for_the_past(clause) {
        return Step::Recall;
    }
    if something_before && follow_up::refers_back(clause) {
        return Step::Later(clause.to_owned());
    }
    if let Some(call) = follow_up::refers_back(clause).then(|| follow_up(clause, tools, thread.last_used())).flatten() {
        return Step::Call(call);
    }
    matching::best(clause, tools).unwrap_or_else(|| match follow_up(clause, tools, thread.last_used()) {
        Some(call) => Step::Call(call),
        None => Step::Unknown(clause.to_owned()),
    })
}

impl Step {
    fn is_call(&self) -> bool {
        matches!(self, Self::Call(_))
    }
}

#[cfg(test)]
mod tests;
