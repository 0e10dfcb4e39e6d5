//! The log lines of one call: what the guest logs, and what it writes to stdout and stderr.
//!
//! All of it counts against one limit, and carries the same marks. Invariant: whatever a guest writes, a
//! line is bounded, cannot pretend to be another, and what is held back of one that has not ended yet is no
//! longer than a line.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::guest_text::{MAX_LINE_BYTES, one_line};
use crate::telemetry::{Metrics, metrics::Plugin};

/// How urgent a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

/// Where a program writes that knows no `logging`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }

    /// Interpreters tell of their errors on stderr, and nobody writes there what can be missed.
    fn level(self) -> Level {
        match self {
            Self::Stdout => Level::Info,
            Self::Stderr => Level::Warn,
        }
    }
}

/// The lines of one call. Shared with the streams of the instance that serves it.
#[derive(Debug)]
pub(super) struct CallLog {
    plugin: Arc<str>,
    plugin_version: Arc<str>,
    connection_id: Arc<str>,
    /// Held by one thread at a time anyway: a guest runs on one.
    lines: Mutex<Lines>,
}

#[derive(Debug)]
struct Lines {
    left: u32,
    dropped: u32,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// The newest line of stderr.
    last_error: Option<String>,
}

impl CallLog {
    pub fn new(plugin: Arc<str>, plugin_version: Arc<str>, connection_id: Arc<str>, max_lines: u32) -> Arc<Self> {
        let lines = Mutex::new(Lines::new(max_lines));
        Arc::new(Self { plugin, plugin_version, connection_id, lines })
    }

    /// A line of the guest's own making. `fields` is shown as it is.
    pub fn line(&self, level: Level, message: &str, fields: impl FnOnce() -> String) {
        if self.lines().take() {
            self.emit(level, &one_line(message, MAX_LINE_BYTES), &fields(), None);
        }
    }

    /// Bytes that a guest wrote: each line that ends in them is logged, and the rest waits.
    pub fn write(&self, stream: Stream, bytes: &[u8]) {
        let mut parts = bytes.split(|&byte| byte == b'\n');
        // There is at least one part, if an empty one; only what stands before another has ended.
        let Some(mut part) = parts.next() else { return };
        for next in parts {
            let ended = self.lines().end_line(stream, part);
            self.emit_written(stream, ended);
            part = next;
        }
        self.lines().keep(stream, part);
    }

    /// Nothing more will be written: what has no end of line is a line, too.
    pub fn flush(&self) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let ended = self.lines().end_line(stream, &[]);
            self.emit_written(stream, ended);
        }
    }

    /// The call is over.
    pub fn end(&self, metrics: &Metrics) {
        self.flush();
        let dropped = std::mem::take(&mut self.lines().dropped);
        if dropped > 0 {
            let plugin = Plugin { plugin: self.plugin.clone() };
            metrics.plugin_log_lines_dropped.get_or_create(&plugin).inc_by(dropped.into());
            tracing::warn!(
                plugin = %self.plugin,
                plugin_version = %self.plugin_version,
                connection_id = %self.connection_id,
                dropped,
                "the plugin logged more than `max_log_lines` in one call"
            );
        }
    }

    /// What the guest last wrote to stderr: where an interpreter says why it gives up.
    pub fn last_error(&self) -> Option<String> {
        self.lines().last_error.clone()
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        // Counters and bytes are as good after a panic as before it.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn emit_written(&self, stream: Stream, line: Option<Vec<u8>>) {
        let Some(line) = line else { return };
        let text = one_line(String::from_utf8_lossy(&line).trim_end(), MAX_LINE_BYTES);
        if stream == Stream::Stderr {
            self.lines().last_error = Some(text.clone());
        }
        self.emit(stream.level(), &text, "", Some(stream.as_str()));
    }

    fn emit(&self, level: Level, message: &str, fields: &str, stream: Option<&'static str>) {
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    target: "switchboard::plugin::log",
                    plugin = %self.plugin,
                    plugin_version = %self.plugin_version,
                    connection_id = %self.connection_id,
                    fields = %fields,
                    stream,
                    "{message}"
                )
            };
        }
        match level {
            Level::Debug => line!(debug),
            Level::Info => line!(info),
            Level::Warn => line!(warn),
            Level::Error => line!(error),
        }
    }
}

impl Lines {
    fn new(left: u32) -> Self {
        Self { left, dropped: 0, stdout: Vec::new(), stderr: Vec::new(), last_error: None }
    }

    /// Whether there may be another line; if not, it is counted.
    fn take(&mut self) -> bool {
        let Some(left) = self.left.checked_sub(1) else {
            self.dropped = self.dropped.saturating_add(1);
            return false;
        };
        self.left = left;
        true
    }

    /// Of a line that goes on, no more than would be shown, and one byte that says that it was longer.
    fn keep(&mut self, stream: Stream, part: &[u8]) {
        let kept = self.of(stream);
        let room = (MAX_LINE_BYTES + 1).saturating_sub(kept.len());
        kept.extend_from_slice(part.get(..room).unwrap_or(part));
    }

    /// The line that this part ends, if it is to be logged. Empty ones say nothing.
    fn end_line(&mut self, stream: Stream, part: &[u8]) -> Option<Vec<u8>> {
        self.keep(stream, part);
        let line = std::mem::take(self.of(stream));
        let says_something = line.iter().any(|byte| !byte.is_ascii_whitespace());
        (says_something && self.take()).then_some(line)
    }

    fn of(&mut self, stream: Stream) -> &mut Vec<u8> {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_may_come_in_parts_and_streams_do_not_mix() {
        let mut lines = Lines::new(10);
        lines.keep(Stream::Stdout, b"one ");
        lines.keep(Stream::Stderr, b"other");
        assert_eq!(lines.end_line(Stream::Stdout, b"line").as_deref(), Some(&b"one line"[..]));
        assert_eq!(lines.end_line(Stream::Stderr, b"").as_deref(), Some(&b"other"[..]));
        assert_eq!(lines.end_line(Stream::Stdout, b" \r"), None);
    }

    #[test]
    fn a_line_without_an_end_costs_no_more_memory_than_a_line() {
        let mut lines = Lines::new(1);
        for _ in 0..100 {
            lines.keep(Stream::Stdout, &[b'x'; 60_000]);
        }
        assert_eq!(lines.end_line(Stream::Stdout, b"y").map(|line| line.len()), Some(MAX_LINE_BYTES + 1));
    }

    #[test]
    fn what_is_logged_and_what_is_written_share_one_limit() {
        let mut lines = Lines::new(2);
        assert!(lines.take());
        assert!(lines.end_line(Stream::Stdout, b"second").is_some());
        assert!(lines.end_line(Stream::Stderr, b"third").is_none());
        assert!(!lines.take());
        assert_eq!(lines.dropped, 2);
    }

    #[test]
    fn lines_beyond_the_limit_are_counted_once() {
        let log = CallLog::new("a".into(), "1".into(), "c".into(), 1);
        let metrics = Metrics::new();
        log.write(Stream::Stdout, b"one\ntwo\nthree");
        log.end(&metrics);
        log.end(&metrics);
        let plugin = Plugin { plugin: "a".into() };
        assert_eq!(metrics.plugin_log_lines_dropped.get_or_create(&plugin).get(), 2);
    }
}
