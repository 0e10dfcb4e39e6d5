//! What the plugin logs, and what the host says of it, line by line, wherever the host is.

use std::{collections::VecDeque, future::pending, sync::Arc};

use reqwest::Response;
use tokio::sync::broadcast::{self, error::RecvError};

use crate::{
    cli::plugin::logs::{Events, is_of_interest, line},
    telemetry::recent::{KeptLine, LogLine},
};

pub(super) enum Log {
    /// Nothing to follow, yet or at all.
    Silent,
    /// Of the host in this process.
    Here(broadcast::Receiver<Arc<KeptLine>>),
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
                    Ok(found) => {
                        let found = found.read();
                        if is_of_interest(&found) {
                            return line(&found);
                        }
                    }
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
