//! What became of each conversation, for people and as JSON, and the sum.

use std::{fmt::Write as _, io::Write as _, path::Path, time::Instant};

use anyhow::bail;
use serde::Serialize;
use serde_json::Value;

use super::replay::Mismatch;
use crate::{
    cli::{plugin::logs, table},
    telemetry,
};

/// Differences of one message that are shown: after these it is another message.
const MAX_DIFFERENCES: usize = 8;

/// Bytes of a message that are shown.
const MAX_SHOWN: usize = 2_000;

/// Lines of the plugin's log that are shown with a failure.
const MAX_LOG_LINES: usize = 20;

/// How one conversation went.
pub(super) struct Verdict<'a> {
    pub file: &'a Path,
    pub plugin: &'a str,
    pub steps: usize,
    pub begun: Instant,
    pub outcome: Result<(), Mismatch>,
}

/// One line of `--json`.
#[derive(Serialize)]
struct Line<'a> {
    file: &'a Path,
    passed: bool,
    steps: usize,
    took_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<&'a Mismatch>,
}

pub(super) struct Report {
    json: bool,
    passed: usize,
    failed: usize,
    /// Log lines that belong to earlier conversations.
    log_lines: usize,
}

impl Report {
    pub fn new(json: bool) -> Self {
        Self { json, passed: 0, failed: 0, log_lines: 0 }
    }

    pub fn add(&mut self, verdict: &Verdict<'_>) -> anyhow::Result<()> {
        match verdict.outcome {
            Ok(()) => self.passed += 1,
            Err(_) => self.failed += 1,
        }
        let all = telemetry::tracing::recent().lines(verdict.plugin);
        let log: Vec<String> = all
            .iter()
            .skip(self.log_lines)
            .map(|line| line.read())
            .filter(logs::is_of_interest)
            .map(|line| logs::line(&line))
            .collect();
        self.log_lines = all.len();
        let text = if self.json { as_json(verdict)? } else { as_text(verdict, &log) };
        Ok(write!(std::io::stdout().lock(), "{text}")?)
    }

    pub fn finish(self) -> anyhow::Result<()> {
        let all = self.passed + self.failed;
        if self.failed > 0 {
            bail!("{} of {} failed", self.failed, counted(all));
        }
        if !self.json {
            writeln!(std::io::stdout().lock(), "{} passed", counted(all))?;
        }
        Ok(())
    }
}

fn counted(conversations: usize) -> String {
    format!("{conversations} conversation{}", if conversations == 1 { "" } else { "s" })
}

fn as_json(verdict: &Verdict<'_>) -> anyhow::Result<String> {
    let line = Line {
        file: verdict.file,
        passed: verdict.outcome.is_ok(),
        steps: verdict.steps,
        took_ms: u64::try_from(verdict.begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        failure: verdict.outcome.as_ref().err(),
    };
    Ok(serde_json::to_string(&line)? + "\n")
}

fn as_text(verdict: &Verdict<'_>, log: &[String]) -> String {
    let file = verdict.file.display();
    let Err(mismatch) = &verdict.outcome else {
        return format!("ok      {file}  {} steps  {:.2} s\n", verdict.steps, verdict.begun.elapsed().as_secs_f64());
    };
    let mut text = format!("FAILED  {file}:{}: {}\n", mismatch.line, table::plain(&mismatch.problem));
    // Writing to a String cannot fail.
    for message in &mismatch.expected {
        let _ = writeln!(text, "  expected  {}", shown(message));
    }
    for message in &mismatch.came {
        let _ = writeln!(text, "  came      {}", shown(message));
    }
    for difference in mismatch.differences.iter().take(MAX_DIFFERENCES) {
        let path = if difference.path.is_empty() { "the whole" } else { &difference.path };
        let came = difference.came.as_deref().map_or("nothing".to_owned(), cut);
        let _ = writeln!(text, "  at {path}: expected {}, came {came}", cut(&difference.expected));
    }
    if mismatch.differences.len() > MAX_DIFFERENCES {
        let _ = writeln!(text, "  and {} differences more", mismatch.differences.len() - MAX_DIFFERENCES);
    }
    if !log.is_empty() {
        let _ = writeln!(text, "  the log of {}:", verdict.plugin);
    }
    for line in &log[log.len().saturating_sub(MAX_LOG_LINES)..] {
        let _ = writeln!(text, "    {line}");
    }
    text
}

fn shown(message: &Value) -> String {
    cut(&message.to_string())
}

fn cut(text: &str) -> String {
    let text = table::plain(text);
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{} ...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::conversation::differences;

    #[test]
    fn a_mismatch_is_told_with_its_place_and_what_is_different() {
        let (expected, came) = (json!({"type": "a", "payload": {"n": 1}}), json!({"type": "a", "payload": {"n": 2}}));
        let differences = differences(&expected, &came, false);
        let problem = "what came is not what was expected".to_owned();
        let mismatch = Mismatch { line: 3, problem, expected: vec![expected], came: vec![came], differences };
        let file = Path::new("tests/a.conversation.jsonl");
        let verdict = Verdict { file, plugin: "p", steps: 4, begun: Instant::now(), outcome: Err(mismatch) };
        let text = as_text(&verdict, &["12:00:00.000 info  said".to_owned()]);
        let expected = "FAILED  tests/a.conversation.jsonl:3: what came is not what was expected
  expected  {\"payload\":{\"n\":1},\"type\":\"a\"}
  came      {\"payload\":{\"n\":2},\"type\":\"a\"}
  at /payload/n: expected 1, came 2
  the log of p:
    12:00:00.000 info  said
";
        assert_eq!(text, expected);
        let line: Value = serde_json::from_str(&as_json(&verdict).unwrap()).unwrap();
        assert_eq!(
            (&line["passed"], &line["failure"]["differences"][0]["path"]),
            (&json!(false), &json!("/payload/n"))
        );
    }
}
