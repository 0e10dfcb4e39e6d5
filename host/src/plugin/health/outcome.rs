//! What the end of a call says about the version, and about the message: the one place that decides.

use std::time::Duration;

use super::super::failure::{CallFailure, TimeLimit};

/// About the version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// It did its duty.
    Served,
    /// It did not.
    Failed,
    /// Nothing.
    Void,
}

/// What a call may take, and whether it was another plugin's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Circumstances {
    pub deadline: Duration,
    /// Made by a call of another plugin, with what was left of its deadline.
    pub nested: bool,
}

/// `None`: there was an answer.
pub(super) fn about_version(failure: Option<&CallFailure>, circumstances: &Circumstances) -> Ending {
    use CallFailure::*;
    match failure {
        // To say no is to work.
        None | Some(Refused(_)) => Ending::Served,
        Some(Crashed { .. } | OutOfMemory { .. } | LimitExceeded { .. } | AnswerInvalid(_)) => Ending::Failed,
        // Whether it computed for ever, or waited for somebody who does not answer: it cannot serve now.
        Some(TimedOut { limit, setting }) if circumstances.had_its_own_time(*limit, *setting) => Ending::Failed,
        // It was called with less time than it may take.
        Some(TimedOut { .. }) => Ending::Void,
        // The caller's or the operator's doing.
        Some(Cancelled | Interrupted) => Ending::Void,
        // There was more to do than allowed; what was let in was done.
        Some(Busy { .. }) => Ending::Void,
        // Another version would have met the same.
        Some(Host(_)) => Ending::Void,
        // Asked for what it never offered, or not let in at all.
        Some(NotExported(_) | Unavailable { .. } | Poisoned { .. }) => Ending::Void,
    }
}

/// Whether it may have been the message that brought the guest down: what costs an instance, or all the
/// CPU time that a call has, and would again. Someone who does not answer in time is not in the message,
/// and what exceeds another limit, or answers nonsense, costs no more than any other call.
pub(super) fn is_crash(failure: &CallFailure) -> bool {
    match failure {
        CallFailure::Crashed { .. } | CallFailure::OutOfMemory { .. } => true,
        CallFailure::TimedOut { setting, .. } => *setting == TimeLimit::CpuTime,
        _ => false,
    }
}

impl Circumstances {
    fn had_its_own_time(&self, limit: Duration, setting: TimeLimit) -> bool {
        !self.nested || setting == TimeLimit::CpuTime || limit >= self.deadline
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::failure::Refusal;

    const ALONE: Circumstances = Circumstances { deadline: Duration::from_secs(5), nested: false };

    fn check(failure: CallFailure, ending: Ending, crash: bool) {
        assert_eq!(about_version(Some(&failure), &ALONE), ending, "{failure:?}");
        assert_eq!(is_crash(&failure), crash, "{failure:?}");
    }

    #[test]
    fn each_end_of_a_call_is_held_against_the_version_the_message_or_nobody() {
        let wait = Duration::from_secs(1);
        let refusal =
            Refusal { code: "NO".into(), message: "no".into(), recoverable: true, help: None, retry_after: None };
        assert_eq!(about_version(None, &ALONE), Ending::Served);
        check(CallFailure::Refused(refusal), Ending::Served, false);
        check(CallFailure::Crashed { trap: String::new(), backtrace: String::new() }, Ending::Failed, true);
        check(CallFailure::OutOfMemory { limit_bytes: 1, backtrace: String::new() }, Ending::Failed, true);
        check(CallFailure::LimitExceeded { limit: "x", detail: String::new() }, Ending::Failed, false);
        check(CallFailure::AnswerInvalid(String::new()), Ending::Failed, false);
        check(CallFailure::Cancelled, Ending::Void, false);
        check(CallFailure::Interrupted, Ending::Void, false);
        check(CallFailure::Busy { retry_after: wait }, Ending::Void, false);
        check(CallFailure::Host(String::new()), Ending::Void, false);
        check(CallFailure::NotExported("tools"), Ending::Void, false);
        check(CallFailure::Unavailable { retry_after: wait }, Ending::Void, false);
        check(CallFailure::Poisoned { retry_after: wait }, Ending::Void, false);
    }

    #[test]
    fn only_cpu_time_that_ran_out_is_a_crash_and_only_its_own_time_is_a_failure() {
        let timed_out = |limit| CallFailure::TimedOut { limit, setting: TimeLimit::Deadline };
        let computed = || CallFailure::TimedOut { limit: Duration::from_secs(1), setting: TimeLimit::CpuTime };
        let (short, deadline) = (Duration::from_millis(300), ALONE.deadline);
        // The deadline of a message begins a moment before its call.
        let nearly = deadline - Duration::from_micros(20);
        check(computed(), Ending::Failed, true);
        check(timed_out(deadline), Ending::Failed, false);
        check(timed_out(nearly), Ending::Failed, false);
        let nested = Circumstances { nested: true, ..ALONE };
        assert_eq!(about_version(Some(&timed_out(short)), &nested), Ending::Void);
        assert_eq!(about_version(Some(&computed()), &nested), Ending::Failed);
        assert_eq!(about_version(Some(&timed_out(deadline)), &nested), Ending::Failed);
    }
}
