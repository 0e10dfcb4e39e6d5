//! Where log lines go: to standard error, for people or as one JSON object a line.
//!
//! Standard output belongs to what a command was asked for. The filter follows the settings while the
//! host runs; the format stays, because open spans hold fields that were formatted for it.

use std::{
    io::{IsTerminal as _, stderr},
    sync::{Arc, LazyLock, OnceLock},
};

use tracing_subscriber::{
    EnvFilter, Layer, Registry, fmt, layer::SubscriberExt as _, reload, util::SubscriberInitExt as _,
};

use super::{
    collector::{self, Collector},
    recent::Recent,
};
use crate::config::{LogFormat, LoggingConfig};

/// The filter of this process's subscriber.
static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// What this process's subscriber keeps in memory.
static RECENT: LazyLock<Arc<Recent>> = LazyLock::new(Arc::default);

/// Why logging is not as it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoggingError {
    #[error("the filter cannot be read: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    #[error("another subscriber was installed before")]
    AlreadyInstalled,
    #[error("no subscriber was installed, or it is gone")]
    NotInstalled,
}

/// Installs the subscriber of this process. Once.
///
/// # Errors
///
/// When one is there already, or the filter is not in the syntax of one.
pub(crate) fn init(logging: &LoggingConfig) -> Result<(), LoggingError> {
    let (filter, handle) = reload::Layer::new(EnvFilter::try_new(&logging.filter)?);
    // Each has its own filter: what the log leaves out, an operator may still ask for.
    tracing_subscriber::registry()
        .with(lines(logging.format).with_filter(filter))
        .with(Collector(recent()).with_filter(collector::filter()))
        .try_init()
        .map_err(|_| LoggingError::AlreadyInstalled)?;
    FILTER.set(handle).map_err(|_| LoggingError::AlreadyInstalled)
}

/// The newest lines of plugins, and audit events.
pub(crate) fn recent() -> Arc<Recent> {
    RECENT.clone()
}

/// Takes over a changed filter.
///
/// # Errors
///
/// When nothing was installed, or the filter is not in the syntax of one.
pub(crate) fn apply(logging: &LoggingConfig) -> Result<(), LoggingError> {
    let filter = EnvFilter::try_new(&logging.filter)?;
    let handle = FILTER.get().ok_or(LoggingError::NotInstalled)?;
    handle.reload(filter).map_err(|_| LoggingError::NotInstalled)
}

fn lines<S>(format: LogFormat) -> Box<dyn Layer<S> + Send + Sync>
where
    S: ::tracing::Subscriber + for<'span> tracing_subscriber::registry::LookupSpan<'span>,
{
    match format {
        LogFormat::Text => {
            let colours = stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            fmt::layer().with_writer(stderr).with_ansi(colours).boxed()
        }
        // The fields of the event beside its message; those of the spans below `spans`, outermost first.
        LogFormat::Json => fmt::layer().json().flatten_event(true).with_current_span(false).with_writer(stderr).boxed(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_filter_counts_at_once() {
        let logging = |filter: &str| LoggingConfig { format: LogFormat::Json, filter: filter.to_owned() };
        assert!(matches!(apply(&logging("info")), Err(LoggingError::NotInstalled)));
        init(&logging("warn")).unwrap();
        let enabled = || ::tracing::enabled!(target: "switchboard::test", ::tracing::Level::DEBUG);
        assert!(!enabled());
        apply(&logging("warn,switchboard::test=debug")).unwrap();
        assert!(enabled());
        assert!(matches!(apply(&logging("=[")), Err(LoggingError::Filter(_))));
        assert!(enabled());
        apply(&logging("warn")).unwrap();
        assert!(!enabled());
        assert!(matches!(init(&logging("warn")), Err(LoggingError::AlreadyInstalled)));
    }
}
