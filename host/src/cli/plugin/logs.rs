//! `switchboard plugin logs`: what a plugin says, and what the host says of it, as it comes.

use std::io::Write as _;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use serde::Deserialize;

use super::{AdminClient, HostArgs, table};
use crate::{
    cli::audit,
    telemetry::recent::{LogLevel, LogLine, Writer},
};

/// Longest event: no line is nearly as long, and what is comes from something else than a Switchboard.
const MAX_EVENT_BYTES: usize = 1 << 20;

#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// The plugin.
    name: String,
    /// Go on with lines as they come.
    #[arg(long, short)]
    follow: bool,
    /// Leave out what matters less.
    #[arg(long, value_enum, default_value_t = Level::Debug)]
    level: Level,
    /// How many of the lines that are there.
    #[arg(long, default_value_t = 100)]
    lines: usize,
    #[command(flatten)]
    host: HostArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

#[derive(Deserialize)]
struct Missed {
    lines: u64,
}

pub(super) async fn run(args: LogsArgs) -> anyhow::Result<()> {
    let host = AdminClient::new(&args.host.admin)?;
    let level = args.level.to_possible_value().map(|level| level.get_name().to_owned()).unwrap_or_default();
    let query = [("follow", args.follow.to_string()), ("level", level), ("lines", args.lines.to_string())];
    let mut answer = host.send(host.get_with(&["plugins", &args.name, "logs"], &query)?).await?;
    let mut unread = Events::default();
    while let Some(bytes) = answer.chunk().await.context("the host ended, or the connection was cut")? {
        for (event, data) in unread.take(&bytes)? {
            show(&event, &data, args.host.json)?;
        }
    }
    Ok(())
}

fn show(event: &str, data: &str, json: bool) -> anyhow::Result<()> {
    let text = match event {
        "line" if json => data.to_owned(),
        "line" => line(&serde_json::from_str(data).context("a line cannot be read")?),
        "missed" => {
            let Missed { lines } = serde_json::from_str(data).context("an event cannot be read")?;
            eprintln!("({lines} lines came too fast, and are only in the host's log)");
            return Ok(());
        }
        _ => return Ok(()),
    };
    writeln!(std::io::stdout().lock(), "{text}").context("the lines could not be written")
}

/// A line, for people.
pub(super) fn line(line: &LogLine) -> String {
    let level = match line.level {
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warn",
        LogLevel::Error => "error",
    };
    let host = if line.writer == Writer::Host { " (host)" } else { "" };
    let fields: String = line.fields.iter().map(|(name, value)| format!(" {name}={}", audit::shown(value))).collect();
    table::plain(&format!("{} {level:<5}{host} {}{fields}", clock(line.time), line.message))
}

/// All that the plugin writes; of the host's lines, those about trouble in calls. What becomes of its file is
/// told where it is deployed.
pub(super) fn is_of_interest(line: &LogLine) -> bool {
    line.writer == Writer::Plugin || (line.level >= LogLevel::Warn && !line.fields.contains_key("stage"))
}

/// The time of day, in UTC.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time after 1970, to the millisecond")]
fn clock(unix_seconds: f64) -> String {
    let millis = (unix_seconds * 1_000.0) as u64;
    let (second, milli) = (millis / 1_000, millis % 1_000);
    format!("{:02}:{:02}:{:02}.{milli:03}", second / 3_600 % 24, second / 60 % 60, second % 60)
}

/// Server-Sent Events that have arrived in part: fields in lines, ended by an empty one.
#[derive(Default)]
pub(super) struct Events(Vec<u8>);

impl Events {
    /// The type and the data of those that are complete.
    pub fn take(&mut self, bytes: &[u8]) -> anyhow::Result<Vec<(String, String)>> {
        self.0.extend_from_slice(bytes);
        let mut events = Vec::new();
        while let Some(end) = self.0.windows(2).position(|pair| pair == b"\n\n") {
            let event: Vec<u8> = self.0.drain(..end + 2).collect();
            let text = String::from_utf8_lossy(&event);
            let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
            if !field("data:").is_empty() {
                events.push((field("event:").to_owned(), field("data:").to_owned()));
            }
        }
        if self.0.len() > MAX_EVENT_BYTES {
            bail!("the answer is not that of a Switchboard");
        }
        Ok(events)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value};

    use super::*;

    #[test]
    fn events_are_put_together_from_whatever_pieces_they_come_in() {
        let stream = "event: line\ndata: {\"a\":1}\n\n:\n\nevent: missed\ndata: {\"lines\":3}\n\n";
        for size in 1..stream.len() {
            let mut unread = Events::default();
            let events: Vec<_> = stream.as_bytes().chunks(size).flat_map(|piece| unread.take(piece).unwrap()).collect();
            let pair = |event: &str, data: &str| (event.to_owned(), data.to_owned());
            assert_eq!(events, [pair("line", "{\"a\":1}"), pair("missed", "{\"lines\":3}")], "in pieces of {size}");
        }
    }

    #[test]
    fn a_line_has_its_time_its_level_and_its_fields() {
        let json =
            r#"{"time":3661.5,"level":"warn","writer":"host","message":"odd\n","fields":{"n":1,"why":"two words"}}"#;
        assert_eq!(
            line(&serde_json::from_str(json).unwrap()),
            "01:01:01.500 warn  (host) odd\\n n=1 why=\"two words\""
        );
    }

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
