//! The newest log lines of each plugin and the newest audit events, in memory, for operators who ask.
//!
//! Log collectors keep everything; this answers "what does it say right now" without one. All of it is
//! bounded, the oldest goes first, and a follower that is too slow is told how much it missed.
//!
//! Plugins choose what stands in their lines. So lines are kept as text, of which the length is what it costs, and
//! are parsed again for those who ask: as values, a list of zeros takes sixteen times its text.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::broadcast;
use utoipa::ToSchema;

use super::trail::{AuditEvent, AuditKind, Trail};

/// Lines of one plugin: what a terminal scrolls through.
pub(crate) const MAX_LINES: usize = 500;

/// Their bytes in memory, because a line may have a stack of frames in it.
const MAX_BYTES: usize = 256 << 10;

/// Bytes of the lines of all plugins together. Beyond that, the plugin with the most gives up its oldest.
const MAX_TOTAL_BYTES: usize = 16 << 20;

/// Plugins whose lines are kept. The directory of most hosts has a tenth of it.
const MAX_PLUGINS: usize = 256;

/// Lines that a follower may be behind. Twice what one call may write.
const MAX_BEHIND: usize = 256;

/// What a line costs beside its texts: itself, its counts, its place in the ring, of which up to a half may be
/// empty, and what the allocator adds to each of three pieces.
const LINE_OVERHEAD: usize = size_of::<KeptLine>() + 80;

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

/// A line in memory.
#[derive(Debug)]
pub(crate) struct KeptLine {
    time: f64,
    pub level: LogLevel,
    writer: Writer,
    message: Box<str>,
    /// Compact JSON.
    fields: Box<str>,
}

/// What is kept.
#[derive(Default)]
pub(crate) struct Recent {
    lines: Mutex<Rings>,
    trail: Mutex<Trail>,
}

#[derive(Default)]
struct Rings {
    by_plugin: HashMap<String, Ring>,
    /// Of all.
    bytes: usize,
}

struct Ring {
    lines: VecDeque<Arc<KeptLine>>,
    bytes: usize,
    followers: broadcast::Sender<Arc<KeptLine>>,
}

/// What there is, and what comes next, without a gap between the two.
pub(crate) struct Following {
    pub lines: Vec<Arc<KeptLine>>,
    pub next: broadcast::Receiver<Arc<KeptLine>>,
}

impl KeptLine {
    /// The line as it came.
    pub fn read(&self) -> LogLine {
        LogLine {
            time: self.time,
            level: self.level,
            writer: self.writer,
            message: self.message.to_string(),
            // It is text that was made from such a map.
            fields: serde_json::from_str(&self.fields).unwrap_or_default(),
        }
    }

    fn bytes(&self) -> usize {
        LINE_OVERHEAD + self.message.len() + self.fields.len()
    }
}

impl From<LogLine> for KeptLine {
    fn from(line: LogLine) -> Self {
        let LogLine { time, level, writer, message, fields } = line;
        Self { time, level, writer, message: message.into(), fields: Value::Object(fields).to_string().into() }
    }
}

impl Recent {
    /// Keeps a line, and hands it to those who follow the plugin.
    pub fn add_line(&self, plugin: &str, line: LogLine) {
        let line = Arc::new(KeptLine::from(line));
        let mut rings = self.rings();
        let ring = rings.of(plugin);
        let before = ring.bytes;
        ring.bytes += line.bytes();
        ring.lines.push_back(line.clone());
        while ring.lines.len() > MAX_LINES || ring.bytes > MAX_BYTES {
            ring.drop_oldest();
        }
        let after = ring.bytes;
        // Without followers it reaches nobody, which is no fault.
        let _ = ring.followers.send(line);
        rings.bytes = rings.bytes + after - before;
        rings.keep_to(MAX_TOTAL_BYTES);
    }

    /// The lines of a plugin, oldest first.
    pub fn lines(&self, plugin: &str) -> Vec<Arc<KeptLine>> {
        let rings = self.rings();
        rings.by_plugin.get(plugin).map(|ring| ring.lines.iter().cloned().collect()).unwrap_or_default()
    }

    /// The lines of a plugin, and those that come from here on.
    pub fn follow(&self, plugin: &str) -> Following {
        let mut rings = self.rings();
        let ring = rings.of(plugin);
        Following { lines: ring.lines.iter().cloned().collect(), next: ring.followers.subscribe() }
    }

    pub fn add_event(&self, event: AuditEvent) {
        self.trail().add(event);
    }

    /// The newest events that fit, newest first, of one kind or of all.
    pub fn audit(&self, limit: usize, kind: Option<AuditKind>, fits: impl Fn(&AuditEvent) -> bool) -> Vec<AuditEvent> {
        self.trail().newest(limit, kind, fits)
    }

    fn rings(&self) -> MutexGuard<'_, Rings> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trail(&self) -> MutexGuard<'_, Trail> {
        self.trail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rings {
    /// The ring of a plugin, for which the one gives way that has been silent for longest.
    fn of(&mut self, plugin: &str) -> &mut Ring {
        if self.by_plugin.len() >= MAX_PLUGINS && !self.by_plugin.contains_key(plugin) {
            let newest = |ring: &Ring| ring.lines.back().map_or(0.0, |line| line.time);
            let silent = self.by_plugin.iter().min_by(|(_, one), (_, other)| newest(one).total_cmp(&newest(other)));
            let silent = silent.map(|(name, _)| name.clone());
            if let Some(ring) = silent.and_then(|name| self.by_plugin.remove(&name)) {
                self.bytes -= ring.bytes;
            }
        }
        self.by_plugin.entry(plugin.to_owned()).or_insert_with(|| Ring {
            lines: VecDeque::new(),
            bytes: 0,
            followers: broadcast::Sender::new(MAX_BEHIND),
        })
    }

    fn keep_to(&mut self, most: usize) {
        while self.bytes > most {
            let Some(largest) = self.by_plugin.values_mut().max_by_key(|ring| ring.bytes) else { return };
            let before = largest.bytes;
            largest.drop_oldest();
            self.bytes -= before - largest.bytes;
        }
    }
}

impl Ring {
    fn drop_oldest(&mut self) {
        match self.lines.pop_front() {
            Some(oldest) => self.bytes -= oldest.bytes(),
            None => self.bytes = 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(time: u32, message: &str) -> LogLine {
        let (level, writer) = (LogLevel::Info, Writer::Plugin);
        LogLine { time: f64::from(time), level, writer, message: message.to_owned(), fields: Map::new() }
    }

    fn messages(lines: &[Arc<KeptLine>]) -> Vec<&str> {
        lines.iter().map(|line| &*line.message).collect()
    }

    /// What all lines take in memory, counted piece by piece.
    fn weighed(recent: &Recent) -> usize {
        let of_line = |line: &Arc<KeptLine>| {
            let KeptLine { time: _, level: _, writer: _, message, fields } = &**line;
            let counts = 2 * size_of::<usize>();
            counts + size_of_val(&**line) + size_of_val(&**message) + size_of_val(&**fields)
        };
        let of_ring = |ring: &Ring| {
            let places = ring.lines.capacity() * size_of::<Arc<KeptLine>>();
            places + ring.lines.iter().map(of_line).sum::<usize>()
        };
        recent.rings().by_plugin.values().map(of_ring).sum()
    }

    /// As a plugin may write it: four KiB of text, and two thousand values.
    fn zeros(time: u32) -> LogLine {
        let list = Value::Array(vec![Value::from(0); 2_000]);
        LogLine { fields: [("a".to_owned(), list)].into_iter().collect(), ..line(time, "zeros") }
    }

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let written = LogLine { writer: Writer::Host, level: LogLevel::Warn, ..zeros(7) };
        assert_eq!(KeptLine::from(written.clone()).read(), written);
    }

    #[test]
    fn the_bound_holds_for_real_memory_whatever_plugins_write() {
        let recent = Recent::default();
        for number in 0..u32::try_from(MAX_LINES).unwrap() {
            recent.add_line("lists", zeros(number));
        }
        assert!(weighed(&recent) <= MAX_BYTES, "{}", weighed(&recent));
        assert!(weighed(&recent) >= MAX_BYTES * 9 / 10, "it is not counted as more than it is: {}", weighed(&recent));
        let recent = Recent::default();
        for number in 0..u32::try_from(MAX_LINES).unwrap() {
            recent.add_line("short", line(number, "x"));
        }
        let counted = recent.rings().bytes;
        assert!((counted / 2..=counted).contains(&weighed(&recent)), "{counted} for {}", weighed(&recent));
    }

    #[test]
    fn all_plugins_together_keep_to_a_bound_and_those_with_most_give_up_their_oldest() {
        let recent = Recent::default();
        recent.add_line("quiet", line(0, "the oldest of all"));
        for number in 0..MAX_PLUGINS - 1 {
            for time in 0..100 {
                recent.add_line(&number.to_string(), zeros(time + 1));
            }
        }
        assert!(weighed(&recent) <= MAX_TOTAL_BYTES, "{}", weighed(&recent));
        assert!(weighed(&recent) >= MAX_TOTAL_BYTES * 9 / 10, "{}", weighed(&recent));
        assert_eq!(messages(&recent.lines("quiet")), ["the oldest of all"]);
        let counted: usize = recent.rings().by_plugin.values().map(|ring| ring.bytes).sum();
        assert_eq!(recent.rings().bytes, counted);
    }

    #[test]
    fn each_plugin_has_its_own_newest_lines() {
        let recent = Recent::default();
        for number in 0..u32::try_from(MAX_LINES).unwrap() + 2 {
            recent.add_line("a", line(number, &number.to_string()));
        }
        recent.add_line("b", line(0, "of b"));
        let lines = recent.lines("a");
        assert_eq!((lines.len(), &*lines[0].message), (MAX_LINES, "2"));
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
        assert_eq!(&*next.recv().await.unwrap().message, "after");
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
}
