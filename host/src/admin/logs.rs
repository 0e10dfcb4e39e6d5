//! `/plugins/{name}/logs`: what a plugin says, and what the host says of it, as Server-Sent Events.

use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::State,
    response::sse::{Event, KeepAlive, Sse},
};
use futures_util::{Stream, stream};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio_util::sync::CancellationToken;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    AdminState,
    body::{Name, Parameters},
    plugins,
    problem::{ErrorBody, Problem},
};
use crate::telemetry::recent::{Following, KeptLine, LogLevel, LogLine, MAX_LINES};

/// If nobody says how many: a screen or two.
const LINES: usize = 100;

/// A quiet stream says that it is alive more often than proxies cut.
const HEARTBEAT: Duration = Duration::from_secs(15);

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct LogParameters {
    /// Whether to go on with lines as they come.
    #[serde(default)]
    follow: bool,
    /// Lines that matter less are left out.
    #[serde(default = "everything")]
    #[param(inline)]
    level: LogLevel,
    /// How many of the lines that are there: 100 by default, and 500 at most.
    lines: Option<usize>,
}

fn everything() -> LogLevel {
    LogLevel::Debug
}

pub(super) fn routes() -> OpenApiRouter<AdminState> {
    OpenApiRouter::new().routes(routes!(logs))
}

/// The newest lines of a plugin
///
/// As Server-Sent Events: `line` with a log line as JSON, and `missed` with `{"lines": N}` where a client
/// that follows was too slow. A comment comes every 15 seconds. The stream ends when the lines that are
/// there were sent, or, with `follow`, when the host stops.
#[utoipa::path(get, path = "/plugins/{name}/logs", tag = "plugins", params(("name" = String, Path), LogParameters),
    responses(
        (status = 200, description = "Events, whose `data` is this", body = LogLine, content_type = "text/event-stream"),
        (status = 400, description = "A parameter is wrong", body = ErrorBody),
        (status = 404, description = "There is no plugin of this name", body = ErrorBody),
    ))]
async fn logs(
    State(state): State<AdminState>,
    Name(name): Name,
    Parameters(parameters): Parameters<LogParameters>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    plugins::find(&state, &name)?;
    let (lines, next) = if parameters.follow {
        let Following { lines, next } = state.recent.follow(&name);
        (lines, Some(next))
    } else {
        (state.recent.lines(&name), None)
    };
    let level = parameters.level;
    let mut lines: VecDeque<_> = lines.into_iter().filter(|line| line.level >= level).collect();
    let wanted = parameters.lines.unwrap_or(LINES).min(MAX_LINES);
    lines.drain(..lines.len().saturating_sub(wanted));
    let tail = Tail { lines, next, level, end: state.draining };
    let events = stream::unfold(tail, |mut tail| async move { tail.next().await.map(|event| (Ok(event), tail)) });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT)))
}

/// What is left to send.
struct Tail {
    lines: VecDeque<Arc<KeptLine>>,
    next: Option<Receiver<Arc<KeptLine>>>,
    level: LogLevel,
    /// A stream that went on would hold up the end of the host.
    end: CancellationToken,
}

impl Tail {
    async fn next(&mut self) -> Option<Event> {
        if let Some(line) = self.lines.pop_front() {
            return event(&line);
        }
        let next = self.next.as_mut()?;
        loop {
            let received = tokio::select! {
                received = next.recv() => received,
                () = self.end.cancelled() => return None,
            };
            match received {
                Ok(line) if line.level >= self.level => return event(&line),
                Ok(_) => {}
                Err(RecvError::Lagged(lines)) => {
                    return Event::default().event("missed").json_data(json!({ "lines": lines })).ok();
                }
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

fn event(line: &KeptLine) -> Option<Event> {
    Event::default().event("line").json_data(line.read()).ok()
}
