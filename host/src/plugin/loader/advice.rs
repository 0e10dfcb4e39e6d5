//! What to change, for failures of a load whose own words only say what happened.
//!
//! The words that callers of a serving plugin get name settings that the operator can raise. Before a plugin
//! serves, the reader is most likely its author, and the cause most likely in what was just written.

use super::super::{
    compile::CompileFault,
    failure::{CallFailure, TimeLimit},
    status::{LoadFailure, Stage},
};

/// The compiler refuses what the validator lets through: proposals that this engine does not run.
pub(super) fn of_compiling(fault: CompileFault) -> LoadFailure {
    let reason = match &fault {
        CompileFault::Refused(_) => format!("{fault}; build it without newer proposals of WebAssembly"),
        CompileFault::Crashed => format!("{fault}: report it, with the component"),
        CompileFault::Stopping => format!("{fault}: it is tried again at the next start"),
    };
    LoadFailure::new(Stage::Compile, reason)
}

/// Names fit, but not what is behind them.
pub(super) fn of_linking(fault: impl std::fmt::Display) -> LoadFailure {
    let reason =
        format!("{fault}; build it with the SDK, or the WIT, of this host's contract (`switchboard plugin new`)");
    LoadFailure::new(Stage::Link, reason)
}

/// It is called in a sandbox with the host's own limits, which nobody can raise.
pub(super) fn of_manifest(failure: &CallFailure) -> LoadFailure {
    let reason = match failure {
        CallFailure::Crashed { trap, .. } => format!(
            "`manifest` crashed: {trap}; it is called without imports, so return a constant there, and call nothing of the host"
        ),
        CallFailure::OutOfMemory { limit_bytes, .. } => {
            format!("`manifest` used more than {limit_bytes} bytes of memory: return a constant there")
        }
        CallFailure::TimedOut { limit, .. } => {
            format!("`manifest` took longer than {} ms: return a constant there", limit.as_millis())
        }
        CallFailure::LimitExceeded { .. } => format!("{failure}: return a smaller manifest"),
        other => other.to_string(),
    };
    LoadFailure::new(Stage::Manifest, reason)
}

/// Of an instance that was started, or tested, before it takes traffic.
pub(super) fn of_call(stage: Stage, plugin: &str, failure: &CallFailure) -> LoadFailure {
    let what = if stage == Stage::SelfTest { "its self-test" } else { "its start" };
    let limits = format!("[plugins.{plugin}.limits]");
    let reason = match failure {
        CallFailure::Crashed { trap, .. } => {
            format!("{what} crashed: {trap}; the plugin's log says where (`switchboard plugin logs {plugin}`)")
        }
        CallFailure::OutOfMemory { limit_bytes, .. } => format!(
            "{what} needs more than {limit_bytes} bytes of memory: use less, or raise `max_memory_bytes` in {limits}"
        ),
        CallFailure::TimedOut { limit, setting } => {
            let setting = match setting {
                TimeLimit::CpuTime => "cpu_time",
                TimeLimit::Deadline => "deadline",
            };
            format!("{what} took longer than {} ms: do less there, or raise `{setting}` in {limits}", limit.as_millis())
        }
        CallFailure::LimitExceeded { limit, detail } => {
            format!("{what} exceeded `{limit}`: {detail}; do less there, or raise it in {limits}")
        }
        CallFailure::Refused(refusal) => {
            format!("{what} says no: {}; mend what it names, in the plugin or in [plugins.{plugin}]", refusal.message)
        }
        CallFailure::Busy { .. } => format!("{failure}: it is tried again when its file is touched"),
        other => other.to_string(),
    };
    LoadFailure::new(stage, reason)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_failure_before_traffic_says_what_to_change() {
        let limit = Duration::from_millis(7);
        for (failure, words) in [
            (CallFailure::Crashed { trap: "unreachable".into(), backtrace: String::new() }, "plugin logs notes"),
            (
                CallFailure::OutOfMemory { limit_bytes: 9, backtrace: String::new() },
                "`max_memory_bytes` in [plugins.notes.limits]",
            ),
            (CallFailure::TimedOut { limit, setting: TimeLimit::CpuTime }, "raise `cpu_time`"),
            (CallFailure::TimedOut { limit, setting: TimeLimit::Deadline }, "raise `deadline`"),
            (CallFailure::LimitExceeded { limit: "max_table_elements", detail: "x".into() }, "or raise it in"),
        ] {
            let told = of_call(Stage::SelfTest, "notes", &failure);
            assert!(told.reason.starts_with("its self-test") && told.reason.contains(words), "{told}");
            // The limits of this call are the host's own.
            assert!(!of_manifest(&failure).reason.contains("raise"), "{failure}");
        }
    }
}
