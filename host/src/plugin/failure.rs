//! How a call can fail. A guest's polite refusal, its crash, its running out of something and a fault
//! of the host are different variants, because they have different consequences.

use std::time::Duration;

/// A guest's polite "no".
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// `UPPER_SNAKE_CASE`, at most 64 characters; checked by the host.
    pub code: String,
    pub message: String,
    pub recoverable: bool,
    pub help: Option<String>,
    pub retry_after: Option<Duration>,
}

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallFailure {
    /// The guest said no; its instance did nothing wrong.
    #[error("{}: {}", .0.code, .0.message)]
    Refused(Refusal),
    /// The guest trapped. `trap` is one line for the client's eyes; `backtrace` for the operator's.
    #[error("the handler crashed: {trap}")]
    Crashed { trap: String, backtrace: String },
    /// The guest wanted more memory or table space than it may have, and gave up.
    #[error("the handler used all of the {limit_bytes} bytes of memory that it may")]
    OutOfMemory { limit_bytes: usize, backtrace: String },
    /// Out of time, in Wasm or in a host call.
    #[error("{}", timed_out(*.limit, *.setting))]
    TimedOut { limit: Duration, setting: TimeLimit },
    /// The run that the call belonged to was cancelled.
    #[error("the run was cancelled")]
    Cancelled,
    /// The version was taken out of service, and its time to drain is over.
    #[error("the plugin was replaced or stopped before the handler had finished")]
    Interrupted,
    /// A limit whose excess ends the call; the name is that of the setting.
    #[error("the handler exceeded `{limit}`: {detail}")]
    LimitExceeded { limit: &'static str, detail: String },
    /// As many calls as allowed are under way, and none ended while this one waited.
    #[error("the plugin serves as many calls as it may")]
    Busy { retry_after: Duration },
    /// Its calls fail, so the version is left alone for a while; this one was not made.
    #[error("the plugin has failed again and again, and is left alone for {} ms", .retry_after.as_millis())]
    Unavailable { retry_after: Duration },
    /// It has brought the version down before; it was not run again.
    #[error("the same message has brought the handler down before, and is not run again for {} s", .retry_after.as_secs())]
    Poisoned { retry_after: Duration },
    /// What came back is not what the contract asks for.
    #[error("the handler's answer is invalid: {0}")]
    AnswerInvalid(String),
    /// The plugin does not have the export.
    #[error("the plugin exports no `{0}`")]
    NotExported(&'static str),
    /// Not the guest's fault.
    #[error("the host failed: {0}")]
    Host(String),
}

/// What a call's time is limited by. Named as the settings are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimeLimit {
    /// Computing alone.
    CpuTime,
    /// From its beginning to its end, waiting included.
    Deadline,
}

fn timed_out(limit: Duration, setting: TimeLimit) -> String {
    let ms = rounded_ms(limit);
    match setting {
        TimeLimit::CpuTime => format!("the handler has computed for {ms} ms, which is all that `cpu_time` allows"),
        TimeLimit::Deadline => format!("the handler did not finish within {ms} ms, its `deadline`"),
    }
}

/// To the nearest, because what is left of a deadline when a call begins is a little less than the setting.
fn rounded_ms(time: Duration) -> u128 {
    time.saturating_add(Duration::from_micros(500)).as_millis()
}

impl CallFailure {
    /// The value of the `outcome` label in metrics and logs.
    pub fn outcome(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::Crashed { .. } => "crashed",
            Self::OutOfMemory { .. } => "out_of_memory",
            Self::TimedOut { .. } => "timed_out",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
            Self::LimitExceeded { .. } => "limit_exceeded",
            Self::Busy { .. } => "busy",
            Self::Unavailable { .. } => "unavailable",
            Self::Poisoned { .. } => "poisoned",
            Self::AnswerInvalid(_) => "answer_invalid",
            Self::NotExported(_) => "not_exported",
            Self::Host(_) => "host_failure",
        }
    }
}
