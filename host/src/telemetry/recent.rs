//! The newest log lines of each plugin and the newest audit events, in memory, for operators who ask.
//!
//! Log collectors keep everything; this answers "what does it say right now" without one. All of it is
//! bounded, the oldest goes first, and a follower that is too slow is told how much it missed.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::broadcast;
use utoipa::ToSchema;

/// Lines of one plugin: what a terminal scrolls through.
pub(crate) const MAX_LINES: usize = 500;

/// Their bytes, because a line may have a stack of frames in it.
const MAX_BYTES: usize = 256 << 10;

/// Plugins whose lines are kept. The directory of most hosts has a tenth of it.
const MAX_PLUGINS: usize = 256;

/// Lines that a follower may be behind. Twice what one call may write.
const MAX_BEHIND: usize = 256;

/// Audit events: those of a busy week of deployments.
const MAX_EVENTS: usize = 1_000;

/// What a line costs beside its texts, about.
const LINE_OVERHEAD: usize = 128;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LogLevel {
    Debug,
    Info,
    Warn,
    Error,
}

/// Who wrote a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Writer {
    /// The plugin itself.
    Plugin,
    /// The host, about the plugin.
    Host,
}

/// A log line about a plugin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct LogLine {
    /// Unix seconds.
    pub time: f64,
    pub level: LogLevel,
    pub writer: Writer,
    pub message: String,
    /// What else the line says, by name.
    pub fields: Map<String, Value>,
}

/// Something that was changed, or refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct AuditEvent {
    /// Unix seconds.
    pub time: f64,
    /// What it is about, such as `revocation`.
    pub event: String,
    /// Who, what and why, by name.
    pub fields: Map<String, Value>,
}

/// What is kept.
#[derive(Default)]
pub(crate) struct Recent {
    plugins: Mutex<HashMap<String, Ring>>,
    events: Mutex<VecDeque<AuditEvent>>,
}

struct Ring {
    lines: VecDeque<Arc<LogLine>>,
    bytes: usize,
    followers: broadcast::Sender<Arc<LogLine>>,
}

/// What there is, and what comes next, without a gap between the two.
pub(crate) struct Following {
    pub lines: Vec<Arc<LogLine>>,
    pub next: broadcast::Receiver<Arc<LogLine>>,
}

impl Recent {
    /// Keeps a line, and hands it to those who follow the plugin.
    pub fn add_line(&self, plugin: &str, line: LogLine) {
        let line = Arc::new(line);
        let mut plugins = self.plugins();
        let ring = ring_of(&mut plugins, plugin);
        ring.bytes += size_of(&line);
        ring.lines.push_back(line.clone());
        while ring.lines.len() > MAX_LINES || ring.bytes > MAX_BYTES {
            let Some(oldest) = ring.lines.pop_front() else { break };
            ring.bytes -= size_of(&oldest);
        }
        // Without followers it reaches nobody, which is no fault.
        let _ = ring.followers.send(line);
    }

    /// The lines of a plugin, oldest first.
    pub fn lines(&self, plugin: &str) -> Vec<Arc<LogLine>> {
        self.plugins().get(plugin).map(|ring| ring.lines.iter().cloned().collect()).unwrap_or_default()
    }

    /// The lines of a plugin, and those that come from here on.
    pub fn follow(&self, plugin: &str) -> Following {
        let mut plugins = self.plugins();
        let ring = ring_of(&mut plugins, plugin);
        Following { lines: ring.lines.iter().cloned().collect(), next: ring.followers.subscribe() }
    }

    pub fn add_event(&self, event: AuditEvent) {
        let mut events = self.events();
        if events.len() >= MAX_EVENTS {
            events.pop_front();
        }
        events.push_back(event);
    }

    /// The newest events that fit, newest first.
    pub fn audit(&self, limit: usize, fits: impl Fn(&AuditEvent) -> bool) -> Vec<AuditEvent> {
        self.events().iter().rev().filter(|event| fits(event)).take(limit).cloned().collect()
    }

    fn plugins(&self) -> MutexGuard<'_, HashMap<String, Ring>> {
        self.plugins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn events(&self) -> MutexGuard<'_, VecDeque<AuditEvent>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The ring of a plugin, for which the one gives way that has been silent for longest.
fn ring_of<'a>(plugins: &'a mut HashMap<String, Ring>, plugin: &str) -> &'a mut Ring {
    if plugins.len() >= MAX_PLUGINS && !plugins.contains_key(plugin) {
        let newest = |ring: &Ring| ring.lines.back().map_or(0.0, |line| line.time);
        let silent = plugins.iter().min_by(|(_, one), (_, other)| newest(one).total_cmp(&newest(other)));
        if let Some(silent) = silent.map(|(name, _)| name.clone()) {
            plugins.remove(&silent);
        }
    }
    plugins.entry(plugin.to_owned()).or_insert_with(|| Ring {
        lines: VecDeque::new(),
        bytes: 0,
        followers: broadcast::Sender::new(MAX_BEHIND),
    })
}

fn size_of(line: &LogLine) -> usize {
    let fields = line.fields.iter().map(|(name, value)| name.len() + value.as_str().map_or(8, str::len));
    LINE_OVERHEAD + line.message.len() + fields.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(time: u32, message: &str) -> LogLine {
        let (level, writer) = (LogLevel::Info, Writer::Plugin);
        LogLine { time: f64::from(time), level, writer, message: message.to_owned(), fields: Map::new() }
    }

    fn messages(lines: &[Arc<LogLine>]) -> Vec<&str> {
        lines.iter().map(|line| line.message.as_str()).collect()
    }

    #[test]
    fn each_plugin_has_its_own_newest_lines() {
        let recent = Recent::default();
        for number in 0..u32::try_from(MAX_LINES).unwrap() + 2 {
            recent.add_line("a", line(number, &number.to_string()));
        }
        recent.add_line("b", line(0, "of b"));
        let lines = recent.lines("a");
        assert_eq!((lines.len(), lines[0].message.as_str()), (MAX_LINES, "2"));
        assert_eq!(messages(&recent.lines("b")), ["of b"]);
        assert!(recent.lines("c").is_empty());
    }

    #[test]
    fn long_lines_are_fewer_and_silent_plugins_give_way() {
        let recent = Recent::default();
        for _ in 0..10 {
            recent.add_line("a", line(1, &"x".repeat(MAX_BYTES / 4)));
        }
        assert_eq!(recent.lines("a").len(), 3);
        for number in 0..u32::try_from(MAX_PLUGINS).unwrap() {
            recent.add_line(&number.to_string(), line(number + 2, "later"));
        }
        assert!(recent.lines("a").is_empty());
        assert_eq!(recent.lines("0").len(), 1);
    }

    #[tokio::test]
    async fn a_follower_gets_what_is_there_and_then_each_line_once() {
        let recent = Recent::default();
        recent.add_line("a", line(1, "before"));
        let Following { lines, mut next } = recent.follow("a");
        recent.add_line("a", line(2, "after"));
        recent.add_line("b", line(3, "of another"));
        assert_eq!(messages(&lines), ["before"]);
        assert_eq!(next.recv().await.unwrap().message, "after");
        assert!(next.try_recv().is_err());
    }

    #[tokio::test]
    async fn a_follower_that_is_too_slow_is_told_how_much_it_missed() {
        let recent = Recent::default();
        let mut following = recent.follow("a").next;
        for number in 0..u32::try_from(MAX_BEHIND).unwrap() + 5 {
            recent.add_line("a", line(number, "x"));
        }
        assert!(matches!(following.recv().await, Err(broadcast::error::RecvError::Lagged(5))));
        assert!(following.recv().await.is_ok());
    }

    #[test]
    fn the_newest_events_come_first_and_are_bounded() {
        let recent = Recent::default();
        for number in 0..MAX_EVENTS + 1 {
            let time = f64::from(u32::try_from(number).unwrap());
            recent.add_event(AuditEvent { time, event: format!("e{number}"), fields: Map::new() });
        }
        assert_eq!(recent.audit(usize::MAX, |_| true).len(), MAX_EVENTS);
        assert_eq!(recent.audit(1, |_| true)[0].event, format!("e{MAX_EVENTS}"));
        assert_eq!(recent.audit(5, |event| event.event == "e7").len(), 1);
    }
}
