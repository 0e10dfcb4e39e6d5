//! Failures of a tool in words that a model, or the person behind it, can act on.

use crate::plugin::{effects::ToolError, failure::CallFailure};

pub(super) fn in_words(tool: &str, failure: &CallFailure) -> ToolError {
    let text = match failure {
        CallFailure::TimedOut { .. } => return ToolError::Timeout,
        CallFailure::Refused(refusal) => {
            let mut text = format!("{} ({})", refusal.message, refusal.code);
            if let Some(help) = &refusal.help {
                text.push_str(&format!(". {help}"));
            }
            if let Some(wait) = refusal.retry_after {
                text.push_str(&format!(". Try again after {} ms", wait.as_millis()));
            }
            return ToolError::Failed(text);
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
        CallFailure::NotExported(_) => "is not there any more; list the tools again".into(),
        CallFailure::Host(_) => "could not be called, for a reason on the server's side; try again later".into(),
    };
    ToolError::Failed(format!("the tool {tool:?} {text}"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::plugin::failure::Refusal;

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
            in_words("div", &CallFailure::Refused(refusal)),
            ToolError::Failed("the divisor is 0 (DIVISION_BY_ZERO). Choose another divisor".into())
        );
        assert_eq!(
            in_words(
                "div",
                &CallFailure::TimedOut { limit: Duration::ZERO, setting: crate::plugin::failure::TimeLimit::Deadline }
            ),
            ToolError::Timeout
        );
        assert_eq!(
            in_words("div", &CallFailure::Busy { retry_after: Duration::from_millis(5) }),
            ToolError::Failed("the tool \"div\" is busy; try again after 5 ms".into())
        );
    }

    #[test]
    fn a_tool_that_was_not_run_says_when_it_will_be() {
        let text = |failure| match in_words("div", &failure) {
            ToolError::Failed(text) => text,
            other => panic!("{other:?}"),
        };
        let wait = Duration::from_secs(7);
        assert!(text(CallFailure::Unavailable { retry_after: wait }).ends_with("try again after 7000 ms"));
        assert!(text(CallFailure::Poisoned { retry_after: wait }).ends_with("choose other arguments, or wait for 7 s"));
    }

    #[test]
    fn what_the_host_knows_of_its_own_faults_stays_with_the_operator() {
        let ToolError::Failed(text) = in_words("div", &CallFailure::Host("/secret/path".into())) else {
            panic!("not a failure");
        };
        assert!(!text.contains("secret"));
    }
}
