//! Every internal error -> what the client is told. The one place where the two meet.
//!
//! A reply says what was wrong, whether a repeat can succeed and what to do. It never holds a
//! backtrace, a path of this machine, or another client's data.

use std::time::Duration;

use switchboard_protocol::{EnvelopeFault, ErrorCode, ErrorPayload, MessageType};

use crate::{
    admission::RateExceeded,
    auth::AuthFailure,
    plugin::{
        SchemaFault,
        failure::{CallFailure, Refusal},
    },
};

/// What a client is told, and the label that it is counted under.
#[derive(Debug)]
pub(crate) struct Reply {
    pub payload: ErrorPayload,
    pub label: &'static str,
}

/// When a call that was interrupted can be repeated: the next version serves already, or is far away.
const AFTER_INTERRUPTION: Duration = Duration::from_secs(1);

/// The label of codes that plugins made up.
const PLUGINS_OWN: &str = "plugin";

impl Reply {
    pub fn new(code: ErrorCode, error: impl Into<String>) -> Self {
        Self { payload: ErrorPayload::new(code, error), label: code.as_str() }
    }

    /// Whether the client sent something wrong, and not the operator took something away, or has yet to
    /// bring it: a type that nobody handles now was handled a moment ago, or is waited for.
    pub fn blames_client(&self) -> bool {
        let operators = [ErrorCode::PluginDisabled, ErrorCode::PluginUnavailable, ErrorCode::UnknownMessageType];
        !operators.iter().any(|code| code.as_str() == self.label)
    }

    /// Whether the client sent something too soon, and not something wrong.
    pub fn is_about_rate(&self) -> bool {
        self.label == ErrorCode::RateLimited.as_str()
    }

    /// Whether the message never came to run, so that a repeat of it is not answered from the record.
    pub fn is_about_a_message_that_did_not_run(&self) -> bool {
        // With a wait, it is to be sent again. What is poison is not, but it may be when its time is over.
        self.payload.retry_after_ms.is_some() || self.label == ErrorCode::MessagePoisoned.as_str()
    }

    fn help(mut self, help: String) -> Self {
        self.payload = self.payload.with_help(help);
        self
    }

    fn after(mut self, wait: Duration) -> Self {
        self.payload = self.payload.with_retry_after(wait);
        self
    }
}

pub(crate) fn envelope(fault: &EnvelopeFault) -> Reply {
    Reply { payload: fault.to_payload(), label: fault.code().as_str() }
}

pub(crate) fn too_large(bytes: usize, limit: usize) -> Reply {
    Reply::new(ErrorCode::MessageTooLarge, format!("the message has {bytes} bytes, and {limit} are allowed"))
}

pub(crate) fn too_many_in_flight(limit: usize) -> Reply {
    Reply::new(ErrorCode::TooManyInFlight, format!("{limit} messages of this session have not been answered yet"))
}

/// Which limit it was, how much that allows, and when to come again.
pub(crate) fn rate_limited(exceeded: &RateExceeded) -> Reply {
    Reply::new(ErrorCode::RateLimited, exceeded.to_string()).after(exceeded.retry_after)
}

pub(crate) fn reserved(message_type: &MessageType) -> Reply {
    Reply::new(ErrorCode::ReservedMessageType, format!("{message_type:?} is a type of the server"))
}

pub(crate) fn interrupted() -> Reply {
    let error = "the handler was abandoned before it had finished; whether it took effect is not known";
    Reply::new(ErrorCode::MessageInterrupted, error)
}

/// It can be sent again at once: the next process has the session.
pub(crate) fn not_begun() -> Reply {
    let error = "the server stops, and the message was not handed to its handler";
    Reply::new(ErrorCode::ServerDraining, error).help("send it again".into()).after(Duration::ZERO)
}

pub(crate) fn resume_too_late() -> Reply {
    Reply::new(ErrorCode::ReservedMessageType, "`resume` can only be the first frame on a socket")
        .help("open another socket, and send `resume` before anything else".into())
}

/// There is no second chance on the same socket, because this was its first frame.
pub(crate) fn resume_malformed(problem: &str) -> Reply {
    let help = "send {\"session_id\", \"resume_token\", \"epoch\", \"last_seq\"} as the first frame of another socket, or go on with the fresh session";
    payload(problem.to_owned()).help(help.into())
}

pub(crate) fn ack_malformed() -> Reply {
    payload("/payload/seq: a whole number from 0 on is needed".into()).help("send {\"seq\": N}".into())
}

pub(crate) fn ack_ahead(seq: u64, sent: u64) -> Reply {
    Reply::new(ErrorCode::AckInvalid, format!("/payload/seq: {seq} was not sent yet; the last was {sent}"))
}

pub(crate) fn payload(problem: String) -> Reply {
    Reply::new(ErrorCode::PayloadInvalid, problem)
}

pub(crate) fn schema(fault: &SchemaFault) -> Reply {
    let path = format!("/payload{}", fault.path);
    Reply::new(ErrorCode::PayloadInvalid, format!("{path}: {}", fault.problem))
        .help(format!("correct the value at {path}; GET /ws/config holds the schema"))
}

pub(crate) fn unknown_type(message_type: &MessageType, nearest: &[String]) -> Reply {
    let reply = Reply::new(ErrorCode::UnknownMessageType, format!("no plugin handles {message_type:?}"));
    if nearest.is_empty() {
        return reply;
    }
    let names: Vec<_> = nearest.iter().map(|name| format!("{name:?}")).collect();
    reply.help(format!("did you mean {}? GET /ws/config lists the types that are handled", names.join(" or ")))
}

pub(crate) fn disabled(message_type: &MessageType, plugin: &str) -> Reply {
    let error = format!("{message_type:?} belongs to the plugin {plugin:?}, which is switched off");
    Reply::new(ErrorCode::PluginDisabled, error)
}

pub(crate) fn unavailable(message_type: &MessageType, plugin: &str, retry_after: Duration) -> Reply {
    let error = format!("{message_type:?} belongs to the plugin {plugin:?}, which cannot serve at the moment");
    Reply::new(ErrorCode::PluginUnavailable, error).after(retry_after)
}

pub(crate) fn auth(failure: &AuthFailure) -> Reply {
    Reply::new(failure.code, failure.detail.clone())
}

/// `None` where the client knows already: the terminal event of a cancelled run has told it.
pub(crate) fn call(failure: &CallFailure, plugin: &str) -> Option<Reply> {
    let code = match failure {
        CallFailure::Refused(refusal) => return Some(refused(refusal)),
        CallFailure::Cancelled => return None,
        CallFailure::Busy { retry_after } => {
            let error = format!("the plugin {plugin:?} serves as many calls as it may");
            return Some(Reply::new(ErrorCode::PluginBusy, error).after(*retry_after));
        }
        CallFailure::Interrupted => {
            let error = format!("plugin {plugin:?}: {failure}");
            return Some(Reply::new(ErrorCode::PluginUnavailable, error).after(AFTER_INTERRUPTION));
        }
        CallFailure::Unavailable { retry_after } => {
            let error = format!("the plugin {plugin:?} has failed again and again, and is left alone for a moment");
            return Some(Reply::new(ErrorCode::PluginUnavailable, error).after(*retry_after));
        }
        CallFailure::Poisoned { retry_after } => return Some(poisoned(plugin, *retry_after)),
        // What failed inside the host is the operator's business.
        CallFailure::Host(_) | CallFailure::NotExported(_) => {
            return Some(Reply::new(ErrorCode::InternalError, "the server could not run the handler"));
        }
        CallFailure::Crashed { .. } => ErrorCode::PluginCrashed,
        CallFailure::OutOfMemory { .. } => ErrorCode::PluginOutOfMemory,
        CallFailure::TimedOut { .. } => ErrorCode::PluginTimeout,
        CallFailure::LimitExceeded { .. } => ErrorCode::PluginLimitExceeded,
        CallFailure::AnswerInvalid(_) => ErrorCode::PluginAnswerInvalid,
    };
    // `Display` of a failure leaves the backtrace out.
    Some(Reply::new(code, format!("plugin {plugin:?}: {failure}")))
}

/// Without `retry_after_ms`, which clients act on by themselves: to try again is a person's decision.
fn poisoned(plugin: &str, retry_after: Duration) -> Reply {
    let error = format!("the same message has brought the plugin {plugin:?} down before, and was not run again");
    let seconds = retry_after.as_nanos().div_ceil(1_000_000_000);
    Reply::new(ErrorCode::MessagePoisoned, error)
        .help(format!("send something else: the same message is not tried again for {seconds} s"))
}

fn refused(refusal: &Refusal) -> Reply {
    let mut reply = Reply::new(ErrorCode::InternalError, refusal.message.clone());
    reply.label = PLUGINS_OWN;
    reply.payload.code = refusal.code.clone().into();
    reply.payload.recoverable = refusal.recoverable;
    reply.payload.help = refusal.help.clone().map(Into::into);
    match refusal.retry_after {
        Some(wait) => reply.after(wait),
        None => reply,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{admission::RateScope, config::Rate};

    #[test]
    fn each_failure_of_a_call_has_its_code() {
        let seconds = Duration::from_secs(1);
        let crash = |backtrace: &str| CallFailure::Crashed { trap: "unreachable".into(), backtrace: backtrace.into() };
        for (failure, code) in [
            (crash(""), ErrorCode::PluginCrashed),
            (CallFailure::OutOfMemory { limit_bytes: 1, backtrace: String::new() }, ErrorCode::PluginOutOfMemory),
            (
                CallFailure::TimedOut { limit: seconds, setting: crate::plugin::failure::TimeLimit::CpuTime },
                ErrorCode::PluginTimeout,
            ),
            (CallFailure::LimitExceeded { limit: "max_emissions", detail: "9".into() }, ErrorCode::PluginLimitExceeded),
            (CallFailure::Busy { retry_after: seconds }, ErrorCode::PluginBusy),
            (CallFailure::AnswerInvalid("x".into()), ErrorCode::PluginAnswerInvalid),
            (CallFailure::Interrupted, ErrorCode::PluginUnavailable),
            (CallFailure::Unavailable { retry_after: seconds }, ErrorCode::PluginUnavailable),
            (CallFailure::Poisoned { retry_after: seconds }, ErrorCode::MessagePoisoned),
            (CallFailure::NotExported("handler"), ErrorCode::InternalError),
            (CallFailure::Host("secret".into()), ErrorCode::InternalError),
        ] {
            let reply = call(&failure, "p").expect("a reply");
            assert_eq!((&*reply.payload.code, reply.label), (code.as_str(), code.as_str()), "{failure:?}");
            assert!(!reply.payload.error.contains("secret"));
        }
        assert!(call(&CallFailure::Cancelled, "p").is_none());
    }

    #[test]
    fn poison_is_no_invitation_to_try_again_but_says_when_that_would_be() {
        let reply = call(&CallFailure::Poisoned { retry_after: Duration::from_millis(89_001) }, "p").expect("a reply");
        assert_eq!((reply.payload.recoverable, reply.payload.retry_after_ms), (false, None));
        assert!(reply.payload.help.as_deref().is_some_and(|help| help.contains("for 90 s")), "{reply:?}");
        assert!(reply.is_about_a_message_that_did_not_run());
    }

    #[test]
    fn a_version_that_is_left_alone_says_when_to_come_back() {
        let reply = call(&CallFailure::Unavailable { retry_after: Duration::from_secs(2) }, "p").expect("a reply");
        assert_eq!((reply.payload.recoverable, reply.payload.retry_after_ms), (true, Some(2_000)));
        assert!(reply.is_about_a_message_that_did_not_run());
    }

    #[test]
    fn a_backtrace_stays_with_the_operator() {
        let failure = CallFailure::Crashed { trap: "unreachable".into(), backtrace: "0: secret!main".into() };
        let reply = call(&failure, "p").expect("a reply");
        assert_eq!(reply.payload.error, "plugin \"p\": the handler crashed: unreachable");
    }

    #[test]
    fn a_plugins_refusal_is_passed_on_and_counted_under_one_label() {
        let refusal = Refusal {
            code: "NO_SEATS".into(),
            message: "all taken".into(),
            recoverable: true,
            help: Some("come back".into()),
            retry_after: Some(Duration::from_millis(1500)),
        };
        let Reply { payload, label } = call(&CallFailure::Refused(refusal), "p").expect("a reply");
        assert_eq!((&*payload.code, payload.error.as_str(), label), ("NO_SEATS", "all taken", "plugin"));
        assert_eq!(
            (payload.recoverable, payload.help.as_deref(), payload.retry_after_ms),
            (true, Some("come back"), Some(1500))
        );
    }

    #[test]
    fn an_unknown_type_names_near_matches() {
        let name = MessageType::parse("pnig").unwrap();
        let help = unknown_type(&name, &["ping".into()]).payload.help.unwrap();
        assert!(help.starts_with("did you mean \"ping\"?"), "{help}");
        assert!(unknown_type(&name, &[]).payload.help.unwrap().contains("GET /ws/config"));
    }

    #[test]
    fn a_message_that_came_too_fast_hears_which_limit_it_was_and_how_long_to_wait() {
        for (scope, words) in [
            (RateScope::Connection, "on this connection"),
            (RateScope::User, "from this user, on all connections together"),
            (RateScope::MessageType, "of this type"),
        ] {
            let retry_after = Duration::from_micros(1_001);
            let reply = rate_limited(&RateExceeded { scope, allowed: Rate::per_second(5, 20), retry_after });
            let Reply { payload, label } = &reply;
            assert_eq!((&*payload.code, *label), ("RATE_LIMITED", "RATE_LIMITED"));
            assert!(payload.error.contains(words), "{}", payload.error);
            assert!(payload.error.contains("5/s burst 20 are allowed"), "{}", payload.error);
            // Rounded up: after one millisecond it would be refused again.
            assert_eq!((payload.recoverable, payload.retry_after_ms), (true, Some(2)));
            assert!(reply.blames_client());
        }
    }

    #[test]
    fn a_payload_fault_names_the_path_within_the_message() {
        let reply = schema(&SchemaFault { path: "/room".into(), problem: "7 is not a string".into() });
        assert_eq!(reply.payload.error, "/payload/room: 7 is not a string");
    }
}
