//! Failures of a tool, a resource or a prompt in words that a model, or the person behind it, can act on.

use crate::plugin::{
    effects::ToolError,
    failure::CallFailure,
    offers::{CatalogueError, Item},
};

/// The code with which a plugin says that there is no such resource.
const NOT_FOUND: &str = "RESOURCE_NOT_FOUND";

/// What an item is called in a sentence.
pub(super) fn named(what: &Item) -> String {
    match what {
        Item::Tool(name) => format!("the tool {name:?}"),
        Item::Prompt(name) => format!("the prompt {name:?}"),
        Item::Resource(uri) => format!("the resource {uri:?}"),
        Item::ResourceTemplate(template) => format!("the resource template {template:?}"),
    }
}

pub(super) fn in_words(what: &Item, failure: &CallFailure) -> CatalogueError {
    let text = match failure {
        CallFailure::TimedOut { .. } => return CatalogueError::Timeout,
        CallFailure::Refused(refusal) if refusal.code == NOT_FOUND => {
            return CatalogueError::Unknown(name(what).to_owned());
        }
        CallFailure::Refused(refusal) => {
            let mut text = format!("{} ({})", refusal.message, refusal.code);
            if let Some(help) = &refusal.help {
                text.push_str(&format!(". {help}"));
            }
            if let Some(wait) = refusal.retry_after {
                text.push_str(&format!(". Try again after {} ms", wait.as_millis()));
            }
            return CatalogueError::Failed(text);
        }
        CallFailure::Crashed { trap, .. } => {
            format!("crashed ({trap}); the same arguments will most likely crash it again")
        }
        CallFailure::OutOfMemory { .. } => "ran out of memory; ask for less at once".into(),
        CallFailure::Cancelled => "was cancelled".into(),
        CallFailure::Interrupted => "was replaced or stopped while it ran; try again".into(),
        CallFailure::LimitExceeded { limit, detail } => format!("exceeded its limit `{limit}`: {detail}"),
        CallFailure::Busy { retry_after } => {
            format!("is busy; try again after {} ms", retry_after.as_millis())
        }
        CallFailure::Unavailable { retry_after } => {
            format!("failed again and again, and is left alone; try again after {} ms", retry_after.as_millis())
        }
        CallFailure::Poisoned { retry_after } => format!(
            "crashed with the same arguments before, and was not run with them again; choose other arguments, or wait for {} s",
            retry_after.as_secs()
        ),
        CallFailure::AnswerInvalid(problem) => format!("gave an invalid answer ({problem}); do without it"),
        CallFailure::NotExported(_) => "is not there any more; list what there is again".into(),
        CallFailure::Host(_) => "could not be called, for a reason on the server's side; try again later".into(),
    };
    CatalogueError::Failed(format!("{} {text}", named(what)))
}

fn name(what: &Item) -> &str {
    match what {
        Item::Tool(name) | Item::Prompt(name) | Item::Resource(name) | Item::ResourceTemplate(name) => name,
    }
}

/// In the words of `toolbox`, which has fewer.
impl From<CatalogueError> for ToolError {
    fn from(fault: CatalogueError) -> Self {
        match fault {
            CatalogueError::Unknown(name) => Self::UnknownTool(name),
            CatalogueError::InvalidArguments(text) => Self::InvalidArguments(text),
            CatalogueError::Forbidden { reason, .. } => Self::Forbidden(reason),
            CatalogueError::Limited { reason, retry_after_ms } => {
                Self::Failed(format!("{reason}; try again after {retry_after_ms} ms"))
            }
            CatalogueError::Failed(text) => Self::Failed(text),
            CatalogueError::Timeout => Self::Timeout,
            CatalogueError::Cycle(text) => Self::Cycle(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::plugin::failure::Refusal;

    fn div(failure: &CallFailure) -> CatalogueError {
        in_words(&Item::Tool("div".into()), failure)
    }

    #[test]
    fn failures_tell_the_model_what_to_do() {
        let refusal = Refusal {
            code: "DIVISION_BY_ZERO".into(),
            message: "the divisor is 0".into(),
            recoverable: true,
            help: Some("Choose another divisor".into()),
            retry_after: None,
        };
        assert_eq!(
            div(&CallFailure::Refused(refusal)),
            CatalogueError::Failed("the divisor is 0 (DIVISION_BY_ZERO). Choose another divisor".into())
        );
        assert_eq!(
            div(&CallFailure::TimedOut { limit: Duration::ZERO, setting: crate::plugin::failure::TimeLimit::Deadline }),
            CatalogueError::Timeout
        );
        assert_eq!(
            div(&CallFailure::Busy { retry_after: Duration::from_millis(5) }),
            CatalogueError::Failed("the tool \"div\" is busy; try again after 5 ms".into())
        );
    }

    #[test]
    fn a_tool_that_was_not_run_says_when_it_will_be() {
        let text = |failure| match div(&failure) {
            CatalogueError::Failed(text) => text,
            other => panic!("{other:?}"),
        };
        let wait = Duration::from_secs(7);
        assert!(text(CallFailure::Unavailable { retry_after: wait }).ends_with("try again after 7000 ms"));
        assert!(text(CallFailure::Poisoned { retry_after: wait }).ends_with("choose other arguments, or wait for 7 s"));
    }

    #[test]
    fn a_plugin_can_say_that_there_is_no_such_resource() {
        let refusal = Refusal {
            code: "RESOURCE_NOT_FOUND".into(),
            message: "gone".into(),
            recoverable: false,
            help: None,
            retry_after: None,
        };
        let found = in_words(&Item::Resource("a:b".into()), &CallFailure::Refused(refusal));
        assert_eq!(found, CatalogueError::Unknown("a:b".into()));
    }

    #[test]
    fn what_the_host_knows_of_its_own_faults_stays_with_the_operator() {
        let CatalogueError::Failed(text) = div(&CallFailure::Host("/secret/path".into())) else {
            panic!("not a failure");
        };
        assert!(!text.contains("secret"));
    }
}
