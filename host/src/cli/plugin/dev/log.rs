//! What the plugin logs, and what the host says of it, line by line, wherever the host is.

use std::{collections::VecDeque, future::pending, sync::Arc};

use reqwest::Response;
use tokio::sync::broadcast::{self, error::RecvError};

use crate::{
    cli::plugin::logs::{Events, line},
    telemetry::recent::{LogLevel, LogLine, Writer},
};

pub(super) enum Log {
    /// Nothing to follow, yet or at all.
    Silent,
    /// Of the host in this process.
    Here(broadcast::Receiver<Arc<LogLine>>),
    /// Of a host elsewhere, as it streams it.
    There { answer: Response, unread: Events, ready: VecDeque<String> },
}

impl Log {
    pub fn there(answer: Response) -> Self {
        Self::There { answer, unread: Events::default(), ready: VecDeque::new() }
    }

    /// The next line, for people. Nothing is lost when it is not waited for.
    pub async fn next(&mut self) -> String {
        loop {
            match self {
                Self::Silent => pending().await,
                Self::Here(lines) => match lines.recv().await {
                    Ok(found) if is_of_interest(&found) => return line(&found),
                    Ok(_) => {}
                    Err(RecvError::Lagged(missed)) => return format!("({missed} lines came too fast)"),
                    Err(RecvError::Closed) => *self = Self::Silent,
                },
                Self::There { answer, unread, ready } => {
                    if let Some(line) = ready.pop_front() {
                        return line;
                    }
                    let events = match answer.chunk().await {
                        Ok(Some(bytes)) => unread.take(&bytes).ok(),
                        Ok(None) | Err(_) => None,
                    };
                    let Some(events) = events else {
                        *self = Self::Silent;
                        return "the host's log has ended".to_owned();
                    };
                    let lines = events.iter().filter_map(|(_, data)| serde_json::from_str::<LogLine>(data).ok());
                    ready.extend(lines.filter(is_of_interest).map(|found| line(&found)));
                }
            }
        }
    }
}

/// All that the plugin writes; of the host's lines, those about trouble in calls. What becomes of its file is
/// told by the round that deployed it.
fn is_of_interest(line: &LogLine) -> bool {
    line.writer == Writer::Plugin || (line.level >= LogLevel::Warn && !line.fields.contains_key("stage"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value};

    use super::*;

    #[test]
    fn the_plugins_own_lines_and_the_hosts_warnings_about_calls_are_shown() {
        let of = |writer, level, field: Option<&str>| LogLine {
            time: 0.0,
            level,
            writer,
            message: String::new(),
            fields: field.map(|name| (name.to_owned(), Value::from(1))).into_iter().collect::<Map<_, _>>(),
        };
        assert!(is_of_interest(&of(Writer::Plugin, LogLevel::Debug, None)));
        assert!(is_of_interest(&of(Writer::Host, LogLevel::Warn, Some("backtrace"))));
        assert!(!is_of_interest(&of(Writer::Host, LogLevel::Warn, Some("stage"))));
        assert!(!is_of_interest(&of(Writer::Host, LogLevel::Info, None)));
    }
}
